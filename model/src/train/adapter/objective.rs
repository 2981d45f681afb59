//! What is minimised: flow matching, and the focal frequency loss on the clean-data prediction.

use candle_core::{DType, Device, Result, Tensor};

pub use super::recipe::Objective;
use super::recipe::Timesteps;
use crate::loss::focal_frequency_loss;
use crate::sampler::noise::{Stream, normals, unit};
use crate::sampler::schedule;

/// Noise levels stay this far from 0, where nothing is left to predict.
const LEAST_SIGMA: f64 = 0.001;

/// What a batch's samples are conditioned on, on the host, in f32.
#[derive(Clone)]
pub struct Conditions {
    /// `[batch, channels, height, width]`
    pub scene: Tensor,
    /// `[batch, tokens, joint_attention_dim]`
    pub context: Tensor,
    /// `[batch, pooled_projection_dim]`
    pub pooled: Tensor,
    /// One per sample.
    pub sigmas: Vec<f32>,
    /// One mask of all heads per sample.
    pub masks: Vec<Vec<f32>>,
}

/// A batch on the host, in f32.
pub struct Batch {
    pub on: Conditions,
    /// What the samples should become: `[batch, channels, height, width]`.
    pub target: Tensor,
    pub noise: Tensor,
    /// What each sample is, for messages.
    pub names: Vec<String>,
}

impl Batch {
    /// `(1 - sigma) target + sigma noise`.
    ///
    /// # Shapes
    /// Result: `[batch, channels, height, width]`.
    pub fn noisy(&self) -> Result<Tensor> {
        let sigma = self.sigma()?;
        self.target.broadcast_mul(&(1.0 - &sigma)?)? + self.noise.broadcast_mul(&sigma)?
    }

    /// `[batch, 1, 1, 1]`
    fn sigma(&self) -> Result<Tensor> {
        let sigmas = &self.on.sigmas;
        Tensor::from_slice(sigmas, (sigmas.len(), 1, 1, 1), &Device::Cpu)
    }

    /// The clean-data prediction `x_t - sigma v` of a velocity on the host, in f32.
    ///
    /// # Shapes
    /// `velocity: [batch, channels, height, width]`, result likewise.
    pub fn x0_hat(&self, velocity: &Tensor) -> Result<Tensor> {
        self.noisy()? - velocity.broadcast_mul(&self.sigma()?)?
    }
}

/// Losses of a batch.
pub struct Losses {
    /// What is minimised, a scalar.
    pub total: Tensor,
    /// Squared error of the velocity per sample.
    pub flow: Vec<f32>,
    /// Focal frequency loss per sample, before any weight; empty when it is switched off.
    pub focal: Vec<f32>,
}

/// The objective of a batch for the network's velocity (Esser et al. 2024, equation 14, target `noise - x0`).
///
/// # Shapes
/// `velocity: [batch, channels, height, width]`
pub fn velocity_losses(velocity: &Tensor, batch: &Batch, objective: &Objective) -> Result<Losses> {
    // Back on the host: latents are small, and the loss is taken in f32 whatever is computed in.
    let velocity = velocity.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
    let target = (&batch.noise - &batch.target)?;
    let flow = (&velocity - &target)?.sqr()?.mean((1, 2, 3))?;
    let mut total = flow.mean_all()?;
    let mut focal_values = Vec::new();
    if objective.focal.weight > 0.0 {
        let focal = focal_frequency_loss(&batch.x0_hat(&velocity)?, &batch.target, objective.focal.options())?;
        focal_values = focal.to_vec1()?;
        let late = (1.0 - batch.sigma()?.flatten_all()?)?;
        total = (total + ((focal * late)?.mean_all()? * objective.focal.weight)?)?;
    }
    Ok(Losses {
        total,
        flow: flow.to_vec1()?,
        focal: focal_values,
    })
}

/// Draws a noise level, shifted.
pub fn draw_sigma(timesteps: Timesteps, shift: f64, rng: &mut Stream) -> f32 {
    use rand_chacha::rand_core::Rng;
    let level = match timesteps {
        Timesteps::LogitNormal { mean, deviation } => {
            let logit = mean + deviation * f64::from(normals(rng, 1)[0]);
            1.0 / (1.0 + (-logit).exp())
        }
        Timesteps::Mode { scale } => {
            let u = unit(rng.next_u64());
            let cos = (std::f64::consts::FRAC_PI_2 * u).cos();
            1.0 - u - scale * (cos * cos - 1.0 + u)
        }
        Timesteps::Uniform => unit(rng.next_u64()),
    };
    schedule::shifted(level, shift).clamp(LEAST_SIGMA, 1.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::noise::stream;

    fn draws(timesteps: Timesteps) -> Vec<f32> {
        let mut rng = stream(5, 0, 0);
        (0..4000).map(|_| draw_sigma(timesteps, 1.0, &mut rng)).collect()
    }

    fn share(draws: &[f32], range: std::ops::Range<f32>) -> f32 {
        draws.iter().filter(|s| range.contains(s)).count() as f32 / draws.len() as f32
    }

    #[test]
    fn noise_levels_follow_their_distribution() {
        let uniform = draws(Timesteps::Uniform);
        let normal = draws(Timesteps::LogitNormal {
            mean: 0.0,
            deviation: 1.0,
        });
        // Shares of the logit-normal: Phi(logit(0.7)) - Phi(logit(0.3)) = 0.603.
        assert!((share(&uniform, 0.3..0.7) - 0.4).abs() < 0.03);
        assert!((share(&normal, 0.3..0.7) - 0.603).abs() < 0.03);
        let (middle, ends) = (
            draws(Timesteps::Mode { scale: 1.29 }),
            draws(Timesteps::Mode { scale: -1.0 }),
        );
        assert!(share(&middle, 0.4..0.6) > 0.25 && share(&ends, 0.4..0.6) < 0.18);
    }
}
