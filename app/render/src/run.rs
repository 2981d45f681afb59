//! Mix runs, step by step: what is reported of them.

use std::ops::ControlFlow;

use mdsd3_words::{RenderRequest, Sampling};

/// A denoising step that is complete; its lane is the place among the requests of the run.
pub use mdsd3_model::pipeline::LaneStep as RenderStep;

use crate::frames::Decoded;
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

/// How a lane of a batch is sampled: a branch begins with the weights of noise and scene of the run that it comes from.
pub fn lane_of(request: &RenderRequest) -> Sampling {
    Sampling {
        mix: request.sampling.mix.clone(),
        ..request.batch_sampling()
    }
}
