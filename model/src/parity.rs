//! Recomputes golden tensors and reports how far off we are.
//!
//! A folder of goldens holds `config.json`, `weights.safetensors` in diffusers' key layout and `case.safetensors` with
//! named inputs and outputs. What a folder tests follows from its config and its case, not from its name, so folders
//! of the same kinds with other sizes and seeds work as they are.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use serde::Serialize;

use crate::config::MmditConfig;
use crate::error::ModelError;
use crate::io::checkpoint::Weights;
use crate::loss::{FocalFrequency, focal_frequency_loss};
use crate::mmdit::{CleanCache, Conditioning, Mmdit};
use crate::sampler::{euler_step, schedule};

/// Largest absolute difference that counts as equal, f32 on the CPU.
pub const TOLERANCE: f64 = 1e-4;

/// One compared tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Case {
    /// The golden folder's name.
    pub folder: String,
    /// The tensor's name in `case.safetensors`.
    pub tensor: String,
    /// Largest absolute difference; NaN when a value is.
    pub max_abs_error: f64,
    /// Whether the difference is within [`TOLERANCE`].
    pub ok: bool,
}

/// All compared tensors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// One entry per tensor.
    pub cases: Vec<Case>,
    /// Folders that hold a kind of golden this version cannot recompute.
    pub skipped: Vec<String>,
    /// The tolerance that was applied.
    pub tolerance: f64,
}

impl Report {
    /// Whether every tensor is within the tolerance, and there was at least one.
    pub fn passed(&self) -> bool {
        !self.cases.is_empty() && self.cases.iter().all(|c| c.ok)
    }
}

type Goldens = BTreeMap<String, Tensor>;

/// Recomputes every golden folder below `goldens` (or `goldens` itself, if it is one).
pub fn run(goldens: &Path) -> Result<Report, ModelError> {
    let mut folders: Vec<_> = if goldens.join("case.safetensors").is_file() {
        vec![goldens.to_owned()]
    } else {
        let entries = std::fs::read_dir(goldens)
            .map_err(|e| ModelError::BadInput(format!("{}: cannot list the goldens folder ({e})", goldens.display())))?;
        entries.flatten().map(|e| e.path()).filter(|p| p.join("case.safetensors").is_file()).collect()
    };
    folders.sort();
    if folders.is_empty() {
        return Err(ModelError::BadInput(format!("{}: no folder with a case.safetensors in it", goldens.display())));
    }
    let mut report = Report { cases: Vec::new(), skipped: Vec::new(), tolerance: TOLERANCE };
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match check_folder(&folder)? {
            Some(errors) => report.cases.extend(errors.into_iter().map(|(tensor, max_abs_error)| Case {
                folder: name.clone(),
                tensor,
                max_abs_error,
                ok: max_abs_error <= TOLERANCE,
            })),
            None => report.skipped.push(name),
        }
    }
    Ok(report)
}

type Errors = Vec<(String, f64)>;

fn check_folder(folder: &Path) -> Result<Option<Errors>, ModelError> {
    let case = Weights::open(&folder.join("case.safetensors"))?;
    let case = &case.tensors()?;
    let config = folder.join("config.json");
    let json = std::fs::read_to_string(&config).unwrap_or_default();
    if json.contains("SD3Transformer2DModel") {
        let config: MmditConfig = serde_json::from_str(&json)
            .map_err(|e| ModelError::BadInput(format!("{}: {e}", config.display())))?;
        config.check()?;
        return transformer(&config, &Weights::open(&folder.join("weights.safetensors"))?, case).map(Some);
    }
    if case.contains_key("velocities") {
        return scheduler(&json, case).map(Some);
    }
    if case.keys().any(|k| k.starts_with("loss_")) {
        return focal_frequency(case).map(Some);
    }
    Ok(None)
}

fn golden<'a>(case: &'a Goldens, name: &str) -> Result<&'a Tensor, ModelError> {
    case.get(name).ok_or_else(|| ModelError::BadInput(format!("case.safetensors has no tensor {name}")))
}

/// Largest absolute difference; a shape that differs counts as infinite.
fn max_abs_error(ours: &Tensor, expected: &Tensor) -> Result<f64, ModelError> {
    if ours.elem_count() != expected.elem_count() {
        return Ok(f64::INFINITY);
    }
    let flat = |t: &Tensor| t.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
    let pairs = flat(ours)?.into_iter().zip(flat(expected)?);
    Ok(pairs.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, |worst, d| if d.is_nan() || d > worst { d } else { worst }))
}

fn transformer(config: &MmditConfig, weights: &Weights, case: &Goldens) -> Result<Errors, ModelError> {
    let model = Mmdit::new(config, weights.builder(DType::F32, &Device::Cpu))?;
    weights.check_all_used()?;
    let mask = golden(case, "mask")?;
    let scene = golden(case, "clean_hidden_states")?;
    let projections = model.clean_projections(scene, None)?;
    let mut errors = Vec::new();
    for (i, qkv) in projections.blocks.iter().enumerate() {
        for (name, tensor) in ["q", "k", "v"].iter().zip(qkv) {
            let name = format!("clean_{name}_{i}");
            let error = max_abs_error(tensor, golden(case, &name)?)?;
            errors.push((name, error));
        }
    }
    let clean = projections.into_cache()?;
    let zeros = mask.zeros_like()?;
    let runs: [(&str, Option<&Tensor>, Option<&CleanCache>); 4] = [
        ("out_plain", None, None),
        ("out_masked", Some(mask), None),
        ("out_full", Some(mask), Some(&clean)),
        ("out_zero_mask", Some(&zeros), Some(&clean)),
    ];
    for (name, mask, clean) in runs {
        let on = Conditioning {
            timestep: golden(case, "timestep")?,
            context: golden(case, "encoder_hidden_states")?,
            pooled: golden(case, "pooled_projections")?,
            mask,
            clean,
            origin: None,
        };
        let ours = model.forward(golden(case, "hidden_states")?, &on)?;
        errors.push((name.to_owned(), max_abs_error(&ours, golden(case, name)?)?));
    }
    Ok(errors)
}

fn scheduler(config: &str, case: &Goldens) -> Result<Errors, ModelError> {
    let config: serde_json::Value = serde_json::from_str(config).unwrap_or_default();
    let shift = config.get("shift").and_then(serde_json::Value::as_f64).unwrap_or(3.0);
    let mut errors = Vec::new();
    for (name, expected) in case.iter().filter(|(name, _)| name.starts_with("sigmas_")) {
        let steps: usize = name["sigmas_".len()..].parse().map_err(|_| ModelError::BadInput(format!("tensor name {name}")))?;
        let sigmas = schedule::sigmas(steps, shift);
        let timesteps: Vec<f32> = sigmas[..steps].iter().map(|&s| schedule::timestep(s)).collect();
        errors.push((name.clone(), max_abs_error(&Tensor::new(sigmas, &Device::Cpu)?, expected)?));
        let name = format!("timesteps_{steps}");
        let error = max_abs_error(&Tensor::new(timesteps, &Device::Cpu)?, golden(case, &name)?)?;
        errors.push((name, error));
    }
    let velocities = golden(case, "velocities")?;
    let sigmas = schedule::sigmas(velocities.dim(0)?, shift);
    let mut x = golden(case, "start")?.clone();
    for (i, pair) in sigmas.windows(2).enumerate() {
        x = euler_step(&x, &velocities.get(i)?, pair[0], pair[1])?;
    }
    errors.push(("end".to_owned(), max_abs_error(&x, golden(case, "end")?)?));
    Ok(errors)
}

/// Options from a tag such as `a05_p2_log`: alpha 0.5, patch factor 2, logarithm.
fn options_from_tag(tag: &str) -> FocalFrequency {
    let mut options = FocalFrequency::default();
    for part in tag.split('_') {
        if let Some(digits) = part.strip_prefix('a') {
            let whole: f64 = digits.parse().unwrap_or(1.0);
            options.alpha = if digits.len() > 1 { whole / 10f64.powi(digits.len() as i32 - 1) } else { whole };
        } else if let Some(factor) = part.strip_prefix('p') {
            options.patch_factor = factor.parse().unwrap_or(1);
        } else if part == "log" {
            options.log_matrix = true;
        }
    }
    options
}

fn focal_frequency(case: &Goldens) -> Result<Errors, ModelError> {
    let mut errors = Vec::new();
    for (name, expected) in case.iter().filter(|(name, _)| name.starts_with("loss_")) {
        let tag = &name["loss_".len()..];
        let prediction = Var::from_tensor(golden(case, &format!("pred_{tag}"))?)?;
        let target = golden(case, &format!("target_{tag}"))?;
        let loss = focal_frequency_loss(prediction.as_tensor(), target, options_from_tag(tag))?.mean_all()?;
        errors.push((name.clone(), max_abs_error(&loss.reshape(1)?, expected)?));
        let grads = loss.backward()?;
        let name = format!("grad_{tag}");
        let error = match grads.get(&prediction) {
            Some(grad) => max_abs_error(grad, golden(case, &name)?)?,
            None => f64::INFINITY,
        };
        errors.push((name, error));
    }
    Ok(errors)
}
