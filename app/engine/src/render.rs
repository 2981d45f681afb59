//! Mix runs, step by step: what is reported of them.

use std::ops::ControlFlow;

/// A denoising step that is complete; its lane is the place among the requests of the run.
pub use mdsd3_model::pipeline::LaneStep as RenderStep;
use mdsd3_words::{RenderRequest, Sampling};

use crate::frames::Decoded;
use crate::lanes::{LaneOutput, LanesOutput};
use crate::loaded::Decoder;

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

/// How a lane of a batch is sampled: a branch begins with the weights of noise and scene of the run that it comes from.
pub(crate) fn lane_of(request: &RenderRequest) -> Sampling {
    Sampling {
        mix: request.sampling.mix.clone(),
        ..request.batch_sampling()
    }
}
