//! Recomputes golden tensors and reports how far off we are.
//!
//! A folder of goldens holds `case.safetensors` with named inputs and outputs, and what they were computed with:
//! `config.json` and `weights.safetensors` in the key layout of diffusers or transformers, or a whole pipeline. What a
//! folder tests follows from its config and its case, not from its name, so folders of the same kinds with other sizes
//! and seeds work as they are.
//!
//! | file | told by | compared |
//! |---|---|---|
//! | `transformer` | class `SD3Transformer2DModel` | clean projections, four outputs |
//! | `scheduler` | tensor `velocities` | sigmas, timesteps, a trajectory |
//! | `loss` | tensors `loss_*` | focal frequency loss and gradient |
//! | `text` | config field `hidden_act` or `d_kv` | CLIP's and T5's outputs |
//! | `autoencoder` | config field `block_out_channels` or `decoder_block_out_channels` | latents and pixels |
//! | `depth` | config field `neck_hidden_sizes` | disparity, per layout |
//! | `pipeline` | file `case.json` | tokens, prompts, every step and the image, per layout |

mod autoencoder;
mod depth;
mod loss;
mod pipeline;
mod scheduler;
mod text;
mod transformer;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::device::Place;
use crate::error::ModelError;
use crate::io::checkpoint::Weights;

/// Largest absolute difference that counts as equal, in f32 on a device: the processor is the reference, a GPU's libraries sum
/// in orders of their own.
pub fn tolerance(device: &Device) -> f64 {
    if device.is_cpu() { 1e-4 } else { 1e-3 }
}

/// One compared tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Case {
    /// The golden folder's name.
    pub folder: String,
    /// The tensor's name in `case.safetensors`.
    pub tensor: String,
    /// Largest absolute difference; NaN when a value is.
    pub max_abs_error: f64,
    /// Whether the difference is within the [`tolerance`].
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

/// The tensors of a case, on the device that recomputes them.
struct Goldens {
    tensors: BTreeMap<String, Tensor>,
    device: Device,
}

type Errors = Vec<(String, f64)>;

/// Recomputes every golden folder below `goldens` (or `goldens` itself, if it is one) on `device`, in f32.
///
/// # Errors
/// [`ModelError`] when there is no case, or a file of one can't be used.
pub fn run(goldens: &Path, place: &Place) -> Result<Report, ModelError> {
    let device = &place.device;
    let mut folders: Vec<_> = if goldens.join("case.safetensors").is_file() {
        vec![goldens.to_owned()]
    } else {
        let entries =
            std::fs::read_dir(goldens).map_err(|e| bad(goldens, format!("cannot list the goldens folder ({e})")))?;
        entries
            .flatten()
            .map(|e| e.path())
            .filter(|p| p.join("case.safetensors").is_file())
            .collect()
    };
    folders.sort();
    if folders.is_empty() {
        return Err(bad(goldens, "no folder with a case.safetensors in it"));
    }
    let mut report = Report {
        cases: Vec::new(),
        skipped: Vec::new(),
        tolerance: tolerance(device),
    };
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match check_folder(&folder, device)? {
            Some(errors) => report
                .cases
                .extend(errors.into_iter().map(|(tensor, max_abs_error)| Case {
                    folder: name.clone(),
                    tensor,
                    max_abs_error,
                    ok: max_abs_error <= tolerance(device),
                })),
            None => report.skipped.push(name),
        }
    }
    Ok(report)
}

fn check_folder(folder: &Path, device: &Device) -> Result<Option<Errors>, ModelError> {
    let case = Goldens::open(&folder.join("case.safetensors"), device)?;
    if folder.join("case.json").is_file() {
        return pipeline::check(folder, &case).map(Some);
    }
    let path = folder.join("config.json");
    let config: Value = if path.is_file() { read_json(&path)? } else { Value::Null };
    let file = |name: &str| Weights::open(&folder.join(name));
    let weights = || file("weights.safetensors");
    let has = |field: &str| config.get(field).is_some();
    let errors = if config.get("_class_name").and_then(Value::as_str) == Some("SD3Transformer2DModel") {
        transformer::check(&parsed(&config, &path)?, &weights()?, &case)?
    } else if case.tensors.contains_key("velocities") {
        scheduler::check(&config, &case)?
    } else if case.starting_with("loss_").next().is_some() {
        loss::check(&case)?
    } else if has("decoder_block_out_channels") {
        autoencoder::check_tiny(&weights()?, &case)?
    } else if has("block_out_channels") {
        autoencoder::check_kl(&config, &weights()?, &case)?
    } else if has("hidden_act") {
        text::check_clip(&parsed(&config, &path)?, &weights()?, &case)?
    } else if has("neck_hidden_sizes") {
        let layouts = [
            ("transformers", weights()?),
            ("original", file("original.safetensors")?),
        ];
        depth::check(&parsed(&config, &path)?, layouts, &case)?
    } else if has("d_kv") {
        text::check_t5(&parsed(&config, &path)?, &weights()?, &case)?
    } else {
        return Ok(None);
    };
    Ok(Some(errors))
}

fn bad(path: &Path, what: impl std::fmt::Display) -> ModelError {
    ModelError::BadInput(format!("{}: {what}", path.display()))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let text = std::fs::read_to_string(path).map_err(|e| bad(path, e))?;
    serde_json::from_str(&text).map_err(|e| bad(path, e))
}

fn parsed<T: DeserializeOwned>(config: &Value, path: &Path) -> Result<T, ModelError> {
    serde_json::from_value(config.clone()).map_err(|e| bad(path, e))
}

impl Goldens {
    fn open(path: &Path, device: &Device) -> Result<Self, ModelError> {
        let on_device = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_device(device)?));
        let tensors = Weights::open(path)?.tensors()?.into_iter().map(on_device);
        Ok(Self {
            tensors: tensors.collect::<Result<_, ModelError>>()?,
            device: device.clone(),
        })
    }

    /// The tensors whose names begin with `prefix`, and the rest of their names.
    fn starting_with(&self, prefix: &str) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .filter_map(move |(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)))
    }
}

fn golden<'a>(case: &'a Goldens, name: &str) -> Result<&'a Tensor, ModelError> {
    case.tensors
        .get(name)
        .ok_or_else(|| ModelError::BadInput(format!("case.safetensors has no tensor {name}")))
}

/// The errors of computed tensors against the goldens of the same names.
fn compare<const N: usize>(case: &Goldens, ours: [(&str, &Tensor); N]) -> Result<Errors, ModelError> {
    ours.into_iter()
        .map(|(name, tensor)| Ok((name.to_owned(), max_abs_error(tensor, golden(case, name)?)?)))
        .collect()
}

/// Largest absolute difference; a shape that differs counts as infinite.
fn max_abs_error(ours: &Tensor, expected: &Tensor) -> Result<f64, ModelError> {
    if ours.elem_count() != expected.elem_count() {
        return Ok(f64::INFINITY);
    }
    let flat = |t: &Tensor| t.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
    let pairs = flat(ours)?.into_iter().zip(flat(expected)?);
    Ok(pairs
        .map(|(a, b)| f64::from((a - b).abs()))
        .fold(0.0, |worst, d| if d.is_nan() || d > worst { d } else { worst }))
}
