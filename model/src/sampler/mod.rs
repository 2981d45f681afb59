//! From noise to a mix: schedule, initial noise, prediction and integration.
//!
//! | file | what |
//! |---|---|
//! | `schedule` | SD3's shifted sigmas, as diffusers' `FlowMatchEulerDiscreteScheduler` computes them |
//! | `noise` | Gaussian noise keyed by (seed, scene, lane), the same bits everywhere |
//! | `initial` | `alpha * noise + beta * scene`, its regimes |
//! | `curves` | a class's ratio as a function of sigma |
//! | `moving_average` | a sampling aid: averages predictions per wavelet sub-band |
//! | `prediction` | what the network's output means: velocity, or a correction to the scene residual's posterior mean |

pub mod curves;
pub mod initial;
pub mod moving_average;
pub mod noise;
pub mod prediction;
pub mod schedule;

use candle_core::{Result, Tensor};

/// One Euler step of the flow: `x + (next_sigma - sigma) * velocity`.
///
/// # Shapes
/// Any, kept.
pub fn euler_step(x: &Tensor, velocity: &Tensor, sigma: f32, next_sigma: f32) -> Result<Tensor> {
    x + (velocity * f64::from(next_sigma - sigma))?
}
