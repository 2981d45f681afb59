//! Focal frequency loss, its value and its gradient.

use candle_core::Var;

use super::{Errors, Goldens, golden, max_abs_error};
use crate::error::ModelError;
use crate::loss::{FocalFrequency, focal_frequency_loss};

/// Options from a tag such as `a05_p2_log`: alpha 0.5, patch factor 2, logarithm.
fn options_from_tag(tag: &str) -> FocalFrequency {
    let mut options = FocalFrequency::default();
    for part in tag.split('_') {
        if let Some(digits) = part.strip_prefix('a') {
            let whole: f64 = digits.parse().unwrap_or(1.0);
            options.alpha = if digits.len() > 1 {
                whole / 10f64.powi(digits.len() as i32 - 1)
            } else {
                whole
            };
        } else if let Some(factor) = part.strip_prefix('p') {
            options.patch_factor = factor.parse().unwrap_or(1);
        } else if part == "log" {
            options.log_matrix = true;
        }
    }
    options
}

pub(super) fn check(case: &Goldens) -> Result<Errors, ModelError> {
    let mut errors = Vec::new();
    for (tag, expected) in case.starting_with("loss_") {
        let prediction = Var::from_tensor(golden(case, &format!("pred_{tag}"))?)?;
        let target = golden(case, &format!("target_{tag}"))?;
        let loss = focal_frequency_loss(prediction.as_tensor(), target, options_from_tag(tag))?.mean_all()?;
        errors.push((format!("loss_{tag}"), max_abs_error(&loss.reshape(1)?, expected)?));
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
