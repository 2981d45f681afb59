//! Sigmas, timesteps, and a whole trajectory of Euler steps.

use candle_core::Tensor;
use serde_json::Value;

use super::{Errors, Goldens, golden, max_abs_error};
use crate::error::ModelError;
use crate::sampler::{euler_step, schedule};

pub(super) fn check(config: &Value, case: &Goldens) -> Result<Errors, ModelError> {
    let shift = config.get("shift").and_then(Value::as_f64).unwrap_or(3.0);
    let mut errors = Vec::new();
    for (steps, expected) in case.starting_with("sigmas_") {
        let name = format!("sigmas_{steps}");
        let steps: usize = steps
            .parse()
            .map_err(|_| ModelError::BadInput(format!("tensor name {name}")))?;
        let sigmas = schedule::sigmas(steps, shift);
        let timesteps: Vec<f32> = sigmas[..steps].iter().map(|&s| schedule::timestep(s)).collect();
        errors.push((name, max_abs_error(&Tensor::new(sigmas, &case.device)?, expected)?));
        let name = format!("timesteps_{steps}");
        let error = max_abs_error(&Tensor::new(timesteps, &case.device)?, golden(case, &name)?)?;
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
