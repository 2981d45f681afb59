//! The masked transformer: plain, masked, with the clean path, and with everything masked.

use candle_core::{DType, Tensor};

use super::{Errors, Goldens, golden, max_abs_error};
use crate::config::MmditConfig;
use crate::error::ModelError;
use crate::io::checkpoint::Weights;
use crate::mmdit::{CleanCache, Conditioning, Mmdit};

pub(super) fn check(config: &MmditConfig, weights: &Weights, case: &Goldens) -> Result<Errors, ModelError> {
    config.check()?;
    let model = Mmdit::new(config, weights.builder(DType::F32, &case.device))?;
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
