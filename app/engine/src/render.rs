//! Mix runs, step by step: what is reported of them, and the sampling of one batch that all runs share.

use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::Tensor;
use mdsd3_model::error::ModelError;
use mdsd3_model::pipeline::{Lane, Pipeline, Scene, Start, Step};
use mdsd3_words::{RenderRequest, Sampling};

use crate::error::EngineError;
use crate::frames::Decoded;
use crate::lanes::{LaneOutput, LanesOutput};
use crate::loaded::{Decoder, Latents};

/// A denoising step that is complete.
#[derive(Clone)]
pub struct RenderStep {
    /// Place of its lane among the requests of the run.
    pub lane: usize,
    /// Index from 0.
    pub index: usize,
    /// Denoising steps of the run.
    pub steps: usize,
    /// Noise level the step was evaluated at, 1 (all noise) to 0 (none).
    pub sigma: f32,
    /// Seconds the step took, without the observer's time.
    pub step_secs: f32,
    /// The noisy latents it started from.
    pub x_t: Latents,
    /// The clean-data prediction.
    pub x0_hat: Latents,
}

/// Lanes that are sampled together.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Places of the lanes among the requests of the run.
    pub lanes: Vec<usize>,
    /// Noise levels: `steps + 1` values, ending in 0.
    pub sigmas: Vec<f32>,
    /// The first step that is computed; the steps before come from the runs that these lanes branch from.
    pub first_step: usize,
}

/// Watches a run, and may stop it at every point it is asked.
pub trait RenderObserver {
    /// The requests are valid and all noise levels are known; nothing is computed yet.
    fn started(&mut self, _batches: &[Batch], _decoder: &Decoder) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Asked now and then while nothing is done that would be reported.
    fn poll(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// The scene is encoded; the first step comes next.
    fn scene_encoded(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// A step of a lane is complete; the lanes of a batch are reported one after the other.
    fn step_done(&mut self, _step: RenderStep) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// A lane is complete: its place among the requests, and its result.
    fn lane_done(&mut self, _lane: usize, _result: &Decoded) {}
}

/// Watches nothing.
impl RenderObserver for () {}

/// A finished run.
#[derive(Debug, Clone)]
pub struct RenderOutput {
    /// The result with its spectrum.
    pub result: Decoded,
    /// Noise levels: `steps + 1` values, ending in 0.
    pub sigmas: Vec<f32>,
    /// Seconds of each step.
    pub step_secs: Vec<f32>,
    /// Seconds of encoding the scene and its clean path; about 0 when they were still known.
    pub encode_secs: f32,
    /// Whether they were still known from the run before.
    pub scene_was_known: bool,
    /// Seconds of decoding the result.
    pub decode_secs: f32,
    /// Seconds from the loaded model and photo to the decoded result.
    pub elapsed_secs: f32,
    /// SHA-256 of the photo's file in hexadecimal digits.
    pub scene_sha256: String,
}

impl From<LanesOutput> for Option<RenderOutput> {
    /// The first lane.
    fn from(output: LanesOutput) -> Self {
        let LaneOutput {
            result,
            sigmas,
            step_secs,
            decode_secs,
        } = output.lanes.into_iter().next()?;
        Some(RenderOutput {
            result,
            sigmas,
            step_secs,
            encode_secs: output.encode_secs,
            scene_was_known: output.scene_was_known,
            decode_secs,
            elapsed_secs: output.elapsed_secs,
            scene_sha256: output.scene_sha256,
        })
    }
}

/// What the pipeline calls a lane. All lanes of a scene and seed start from the same noise, which is what makes them
/// comparable.
pub(crate) fn lane_of(request: &RenderRequest) -> Lane {
    Lane {
        mix: request.sampling.mix.clone(),
        noise_lane: 0,
    }
}

/// Final latents of each lane of a batch, and the seconds of each step.
pub(crate) type Ended = (Vec<Latents>, Vec<f32>);

/// Samples a batch; the final latents of each lane and the seconds of each step, or `None` when `on_step` stopped it.
///
/// `on_step` gets every lane of a step, with its place in the batch.
pub(crate) fn sample_batch(
    pipeline: &Pipeline,
    scene: &Scene,
    (lanes, settings): (&[Lane], &Sampling),
    start: Start,
    on_step: &mut dyn FnMut(usize, RenderStep) -> ControlFlow<()>,
) -> Result<Option<Ended>, EngineError> {
    let mut all_secs = Vec::with_capacity(settings.steps);
    let mut step_start = Instant::now();
    let mut failure = None;
    let mut observer = |step: &Step| {
        let step_secs = step_start.elapsed().as_secs_f32();
        all_secs.push(step_secs);
        let parts = split(&step.x_t).and_then(|x_t| Ok((x_t, split(&step.x0_hat)?)));
        let flow = match parts {
            Ok((x_t, x0_hat)) => {
                let lanes = x_t.into_iter().zip(x0_hat).enumerate();
                let flows = lanes.map(|(place, (x_t, x0_hat))| {
                    let step = RenderStep {
                        lane: place,
                        index: step.index,
                        steps: settings.steps,
                        sigma: step.sigma,
                        step_secs,
                        x_t,
                        x0_hat,
                    };
                    on_step(place, step)
                });
                // All lanes of a step are reported, also when one of them stops the run.
                let flows: Vec<ControlFlow<()>> = flows.collect();
                flows
                    .into_iter()
                    .find(ControlFlow::is_break)
                    .unwrap_or(ControlFlow::Continue(()))
            }
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        };
        step_start = Instant::now();
        flow
    };
    let latents = pipeline.sample_from(start, scene, lanes, settings, &mut observer)?;
    match (failure, latents) {
        (Some(error), _) => Err(error),
        (None, Some(latents)) => Ok(Some((split(&latents)?, all_secs))),
        (None, None) => Ok(None),
    }
}

/// The latents of each batch entry, each with memory of its own: a view would keep the whole batch for as long as one lane of
/// it is kept.
fn split(latents: &Tensor) -> Result<Vec<Latents>, EngineError> {
    let lanes = latents.dims().first().copied().unwrap_or(1);
    let parts = latents.chunk(lanes, 0).map_err(ModelError::from)?;
    let own = parts
        .into_iter()
        .map(|part| if lanes == 1 { Ok(part) } else { part.copy() });
    let own: Result<Vec<Tensor>, _> = own.collect();
    Ok(own.map_err(ModelError::from)?.into_iter().map(Latents).collect())
}
