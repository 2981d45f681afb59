//! The one loop that follows the flow from noise to an image: behind renders, datasets, studies and the samples of trainings.

use std::convert::Infallible;
use std::ops::ControlFlow;

use candle_core::Tensor;
use mdsd3_words::Sampler;

use super::moving_average::MovingAverage;
use super::{euler_step, heun_velocity, velocity};
use crate::error::ModelError;

/// Where an evaluation is: the step that it belongs to, or leads to, and its noise level.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// Index of the step.
    pub step: usize,
    /// Noise level.
    pub sigma: f32,
}

/// How the flow is followed.
pub struct Course<'a> {
    /// Noise levels: one per step, and 0 behind the last.
    pub sigmas: &'a [f32],
    /// How one step follows the flow.
    pub sampler: Sampler,
    /// Whether the clean-data prediction is replaced by its moving average per wavelet sub-band.
    pub moving_average: bool,
}

/// Where sampling takes up: at the first step with initial latents, or at a later one with what an earlier run had there.
#[derive(Debug, Clone)]
pub struct Start {
    /// Latents that the first step starts from: `[lanes, channels, height/factor, width/factor]`.
    pub latents: Tensor,
    /// Index of that step.
    pub first_step: usize,
    /// Clean-data prediction of the step before, same shape: what a moving average goes on from.
    pub previous_x0_hat: Option<Tensor>,
}

impl Start {
    /// At the first step.
    ///
    /// # Shapes
    /// `latents: [lanes, channels, height/factor, width/factor]`
    pub fn at_first_step(latents: Tensor) -> Self {
        Self {
            latents,
            first_step: 0,
            previous_x0_hat: None,
        }
    }
}

/// A completed step, handed to the observer.
pub struct Step {
    /// Index from 0.
    pub index: usize,
    /// Noise level the step was evaluated at.
    pub sigma: f32,
    /// Noise level it ends at.
    pub next_sigma: f32,
    /// Latents the step started from: `[lanes, channels, height/factor, width/factor]`.
    pub x_t: Tensor,
    /// Clean-data prediction where the step starts, same shape.
    pub x0_hat: Tensor,
}

/// Takes the steps from `start` on; the latents behind the last, or what the observer broke off with.
///
/// `predict` makes the clean-data prediction of latents; the observer sees every step.
///
/// # Shapes
/// Result like `start.latents`.
///
/// # Errors
/// Those of `predict`, and latents of odd sides under a moving average.
pub fn follow<B>(
    start: Start,
    course: &Course,
    mut predict: impl FnMut(&Tensor, At) -> Result<Tensor, ModelError>,
    mut observer: impl FnMut(Step) -> ControlFlow<B>,
) -> Result<ControlFlow<B, Tensor>, ModelError> {
    let steps = course.sigmas.len().saturating_sub(1);
    let mut x = start.latents;
    let mut average = course
        .moving_average
        .then(|| MovingAverage::resume(start.previous_x0_hat.as_ref()))
        .transpose()?;
    for (index, pair) in course.sigmas.windows(2).enumerate().skip(start.first_step) {
        let (sigma, next_sigma) = (pair[0], pair[1]);
        let mut x0_hat = predict(&x, At { step: index, sigma })?;
        if let Some(average) = &mut average {
            x0_hat = average.update(&x0_hat, index, steps)?;
        }
        let mut along = velocity(&x, &x0_hat, sigma)?;
        if course.sampler == Sampler::Heun && next_sigma > 0.0 {
            let ahead = At {
                step: index + 1,
                sigma: next_sigma,
            };
            along = heun_velocity(&x, &along, (sigma, next_sigma), |x| predict(x, ahead))?;
        }
        // Under training, the graph of all steps would be kept.
        let next = euler_step(&x, &along, sigma, next_sigma)?.detach();
        let step = Step {
            index,
            sigma,
            next_sigma,
            x_t: std::mem::replace(&mut x, next),
            x0_hat,
        };
        if let ControlFlow::Break(with) = observer(step) {
            return Ok(ControlFlow::Break(with));
        }
    }
    Ok(ControlFlow::Continue(x))
}

/// [`follow`] by Euler's method from noise to the end, as trainings sample.
///
/// # Shapes
/// Result like `noise`.
///
/// # Errors
/// Those of `predict`.
pub fn follow_plainly(
    noise: Tensor,
    sigmas: &[f32],
    predict: impl FnMut(&Tensor, At) -> Result<Tensor, ModelError>,
) -> Result<Tensor, ModelError> {
    let course = Course {
        sigmas,
        sampler: Sampler::Euler,
        moving_average: false,
    };
    let unwatched = |_| ControlFlow::<Infallible>::Continue(());
    let ControlFlow::Continue(end) = follow(Start::at_first_step(noise), &course, predict, unwatched)?;
    Ok(end)
}
