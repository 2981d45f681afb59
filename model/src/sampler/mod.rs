//! From noise to a mix: schedule, initial noise, prediction and integration.
//!
//! | file | what |
//! |---|---|
//! | `schedule` | SD3's shifted sigmas, as diffusers' `FlowMatchEulerDiscreteScheduler` computes them |
//! | `noise` | Gaussian noise keyed by (seed, scene, lane), the same bits everywhere |
//! | `initial` | `alpha * noise + beta * scene` and the share of its noise |
//! | `follow` | the loop over the steps |
//! | `moving_average` | a sampling aid: averages predictions per wavelet sub-band |
//! | `prediction` | what the network's output means: velocity, or a correction to the scene residual's posterior mean |

pub mod follow;
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
///
/// # Errors
/// Tensors of other shapes.
pub fn euler_step(x: &Tensor, velocity: &Tensor, sigma: f32, next_sigma: f32) -> Result<Tensor> {
    x + (velocity * f64::from(next_sigma - sigma))?
}

/// The flow's velocity that a clean-data prediction amounts to: `(x - x0_hat) / sigma`.
///
/// # Shapes
/// Both alike.
///
/// # Errors
/// Tensors of other shapes.
pub fn velocity(x: &Tensor, x0_hat: &Tensor, sigma: f32) -> Result<Tensor> {
    (x - x0_hat)? / f64::from(sigma)
}

/// The velocity of Heun's step from `sigma` to `next_sigma`, above 0, given the velocity where it starts.
///
/// `predict` makes the clean-data prediction of latents at `next_sigma`. As in diffusers' `FlowMatchHeunDiscreteScheduler`
/// without added noise (`schedulers/scheduling_flow_match_heun_discrete.py`).
///
/// # Shapes
/// All alike.
///
/// # Errors
/// Those of `predict`.
pub fn heun_velocity<E: From<candle_core::Error>>(
    x: &Tensor,
    first: &Tensor,
    (sigma, next_sigma): (f32, f32),
    predict: impl FnOnce(&Tensor) -> std::result::Result<Tensor, E>,
) -> std::result::Result<Tensor, E> {
    let ahead = euler_step(x, first, sigma, next_sigma)?;
    let second = velocity(&ahead, &predict(&ahead)?, next_sigma)?;
    Ok(((first + second)? * 0.5)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use mdsd3_words::Sampler;

    use super::*;

    /// A velocity that bends: `0.5 x² - sigma`.
    fn x0_hat(x: &Tensor, sigma: f32) -> Result<Tensor> {
        let velocity = ((x.sqr()? * 0.5)? - f64::from(sigma))?;
        x - (velocity * f64::from(sigma))?
    }

    /// Results of all steps.
    fn follow(sampler: Sampler, sigmas: &[f32]) -> Vec<Vec<f32>> {
        let mut x = Tensor::new(&[0.5f32, -1.25, 2.0], &Device::Cpu).unwrap();
        let mut all = Vec::new();
        for pair in sigmas.windows(2) {
            let (sigma, next) = (pair[0], pair[1]);
            let mut along = velocity(&x, &x0_hat(&x, sigma).unwrap(), sigma).unwrap();
            if sampler == Sampler::Heun && next > 0.0 {
                along = heun_velocity(&x, &along, (sigma, next), |ahead| x0_hat(ahead, next)).unwrap();
            }
            x = euler_step(&x, &along, sigma, next).unwrap();
            all.push(x.to_vec1().unwrap());
        }
        all
    }

    /// From diffusers 0.38:
    /// ```python
    /// h = FlowMatchHeunDiscreteScheduler(shift=3.0); h.set_timesteps(5); x = torch.tensor([0.5, -1.25, 2.0])
    /// for t in h.timesteps:
    ///     s = h.sigmas[h.step_index] if h.step_index is not None else h.sigmas[0]
    ///     x = h.step(0.5 * x * x - s.item(), t, x).prev_sample  # every second one ends a step, and the last
    /// ```
    #[test]
    fn heun_steps_are_those_of_diffusers() {
        let expected = [
            [0.579_860_45, -1.231_822_1, 1.905_075_9],
            [0.672_828_6, -1.219_889_5, 1.776_194_1],
            [0.760_336, -1.248_659_6, 1.582_946_7],
            [0.722_751_44, -1.551_812_5, 1.218_338],
            [0.720_499_16, -1.562_483_3, 1.211_791_2],
        ];
        let found = follow(Sampler::Heun, &schedule::sigmas(5, 3.0));
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-5, "{found} instead of {expected}");
        }
    }

    #[test]
    fn halving_steps_quarters_the_error_of_heun_and_halves_that_of_euler() {
        let sigmas = |steps: u16| -> Vec<f32> {
            (0..=steps)
                .map(|i| 1.0 - 0.5 * f32::from(i) / f32::from(steps))
                .collect()
        };
        let end = |sampler, steps| follow(sampler, &sigmas(steps)).pop().unwrap()[2];
        let exact = end(Sampler::Heun, 2000);
        let gain = |sampler| (end(sampler, 8) - exact).abs() / (end(sampler, 16) - exact).abs();
        let (euler, heun) = (gain(Sampler::Euler), gain(Sampler::Heun));
        assert!(
            (1.7..2.3).contains(&euler) && (3.4..4.6).contains(&heun),
            "{euler}, {heun}"
        );
    }
}
