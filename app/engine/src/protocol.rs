//! What goes down to the worker ([`Request`]) and what comes back ([`Event`]): plain data, no tensors.

use std::path::PathBuf;
use std::sync::Arc;

use mdsd3_study::AnalyzeRequest;
use mdsd3_study::formation::Formation;
use mdsd3_words::image::{DepthView, LayerView, Rgba8, SpectrumFrame};
use mdsd3_words::lane::{LaneId, LaneKind, RunId};
use mdsd3_words::weather::WeatherSettings;
use mdsd3_words::{ModelSettings, ModelSummary, RenderRequest};

use crate::chores::{Chore, ChoreEvent};
use crate::queue::QueueEntry;
use crate::training::TrainingEvent;

/// One lane of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneRequest {
    /// Chosen by the caller.
    pub lane: LaneId,
    /// What makes its image.
    pub kind: LaneKind,
    /// What to make.
    pub request: RenderRequest,
}

/// Lanes that are sampled together, one transformer batch per step.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneBatch {
    /// The lanes.
    pub lanes: Vec<LaneId>,
    /// `steps + 1` noise levels, from that of the first step down to 0.
    pub sigmas: Vec<f32>,
    /// The first step that is computed; those before come from the run that these lanes branch from.
    pub first_step: usize,
}

impl LaneBatch {
    /// Steps that are computed.
    pub fn steps_to_do(&self) -> usize {
        self.sigmas.len().saturating_sub(1 + self.first_step)
    }
}

/// Which image of a step is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepView {
    /// The noisy latents `x_t` the step started from, decoded.
    XT,
    /// The clean-data prediction `x_t - sigma * v`, decoded.
    X0Hat,
}

/// One decoded step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StepFrame {
    /// The run it belongs to.
    pub run: RunId,
    /// The lane it belongs to.
    pub lane: LaneId,
    /// Step index from 0; `steps` (one past the last) is the finished result.
    pub step: usize,
    /// Number of denoising steps of the lane; 0 for a physical baseline.
    pub steps: usize,
    /// Noise level the step was evaluated at, 1 (all noise) to 0 (none).
    pub sigma: f32,
    /// Which image this is.
    pub view: StepView,
    /// The decoded image.
    pub image: Rgba8,
    /// Its spectrum.
    pub spectrum: SpectrumFrame,
}

/// What the depth and the regions of a scene depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct WeatherOf {
    /// The photo; the bundled demo photo when `None`.
    pub path: Option<PathBuf>,
    /// Side in pixels that it is fitted to.
    pub size: u32,
    /// Depth and regions; the rest is of no account.
    pub settings: WeatherSettings,
}

/// How far away everything in a scene is, and where classes act.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneWeatherView {
    /// The depth.
    pub depth: DepthView,
    /// A mask for each region, named after its class: shares from 0 to 1.
    pub regions: Vec<LayerView>,
}

/// Down the bounded channel to the worker, handled in order.
#[derive(Debug, Clone)]
pub enum Request {
    /// Load a model; answered by `ModelProgress`, then `ModelLoaded` or `Failed`.
    LoadModel {
        /// Which, where it runs and in which precision.
        key: Box<ModelSettings>,
    },
    /// Something beside the runs, which waits for none of them; answered by `Chore`.
    Chore(Box<Chore>),
    /// Load and fit a scene for viewing; answered by `SceneLoaded` or `Failed`.
    OpenScene {
        /// The photo; the bundled demo photo when `None`.
        path: Option<PathBuf>,
        /// Side in pixels to fit to.
        size: u32,
    },
    /// Run mixes side by side; answered by `Started`, then `StepDone` per step of each batch, then one of `Finished`,
    /// `Cancelled`, `Failed`. All lanes share photo, size and model; those that share sampling settings too are computed
    /// in one batch.
    Render {
        /// Chosen by the caller.
        run: RunId,
        /// The lanes, at least one.
        lanes: Vec<LaneRequest>,
    },
    /// Tell how far away everything in a scene is, and where classes act; answered by `SceneWeather`.
    SceneWeather(Box<WeatherOf>),
    /// Make the maps of a physical baseline; answered by `Layers`.
    Layers(Box<RenderRequest>),
    /// Write the maps of a physical baseline into a folder, with a file that says what they are; answered by `Saved` or `Failed`.
    SaveLayers {
        /// The baseline.
        request: Box<RenderRequest>,
        /// The folder; made when it is missing.
        folder: PathBuf,
    },
    /// Save the newest finished image of a lane (with its settings in the PNG).
    SaveResult {
        /// The lane whose result is meant.
        lane: LaneId,
        /// Target file; written to a temporary name, then renamed.
        path: PathBuf,
    },
    /// Measure when degradations form; answered by `AnalysisStep` as it goes on, then one of `Analyzed`, `Cancelled`,
    /// `Failed`.
    Analyze {
        /// Chosen by the caller, from the numbers of runs.
        run: RunId,
        /// What to analyse.
        request: Box<AnalyzeRequest>,
    },
    /// Test hook: makes the worker panic, to show that it becomes a message and a restarted worker.
    #[doc(hidden)]
    PanicForTest,
}

/// Why a run was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// The user pressed Stop or Esc.
    User,
    /// A newer run with other settings replaces it.
    Superseded,
    /// The program is closing.
    Shutdown,
}

/// Up from the engine's threads, in order. Bulk frames do not come this way: see `Engine::take_frames`.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Some of a model has been read; progress events may be dropped.
    ModelProgress {
        /// Parameters read.
        done: u64,
        /// Parameters in all.
        total: u64,
    },
    /// What became of a chore.
    Chore(ChoreEvent),
    /// What the training tells.
    Training(TrainingEvent),
    /// The entries of the queue of datasets, all of them, when something about one has changed.
    Queue(Vec<QueueEntry>),
    /// A model is ready.
    ModelLoaded(ModelSummary),
    /// A scene is ready.
    SceneLoaded {
        /// Its path; `None` for the demo photo.
        path: Option<PathBuf>,
        /// As the model will see it.
        image: Rgba8,
        /// Its spectrum.
        spectrum: SpectrumFrame,
        /// Size of the photo before fitting, in pixels.
        original_size: (u32, u32),
        /// What had to be converted or guessed when it was read, such as its colours; one sentence each.
        notes: Vec<String>,
    },
    /// Depth and regions of a scene.
    SceneWeather {
        /// What they are of.
        of: Box<WeatherOf>,
        /// They, or in one line why they can't be had.
        outcome: Result<Arc<SceneWeatherView>, String>,
    },
    /// The maps of a physical baseline.
    Layers {
        /// What they are of.
        of: Box<RenderRequest>,
        /// They, or in one line why they can't be had.
        outcome: Result<Arc<[LayerView]>, String>,
    },
    /// A run has begun; all sigmas are known.
    Started {
        /// The run.
        run: RunId,
        /// The sampled lanes in the batches that are computed one after the other.
        batches: Vec<LaneBatch>,
    },
    /// A denoising step of a batch is complete.
    StepDone {
        /// The run.
        run: RunId,
        /// The lanes of the batch.
        lanes: Vec<LaneId>,
        /// Step index from 0.
        step: usize,
        /// Steps in total.
        steps: usize,
        /// Noise level of the step.
        sigma: f32,
        /// Seconds this step took, for all lanes of the batch together.
        step_secs: f32,
    },
    /// The run is complete; its result frames are (or will be) among the frames.
    Finished {
        /// The run.
        run: RunId,
        /// Seconds from start to end.
        elapsed_secs: f32,
    },
    /// The run was stopped.
    Cancelled {
        /// The run.
        run: RunId,
        /// Why.
        reason: CancelReason,
        /// Steps that were complete, over all batches.
        steps_done: usize,
    },
    /// A request failed; one line that says what, where and what to do.
    Failed {
        /// The run, when a run failed.
        run: Option<RunId>,
        /// The message.
        message: String,
    },
    /// A denoising step of an analysis is complete.
    AnalysisStep {
        /// The analysis.
        run: RunId,
        /// Steps that are complete.
        done: usize,
        /// Steps in total.
        total: usize,
    },
    /// An analysis is complete.
    Analyzed {
        /// The analysis.
        run: RunId,
        /// What it found.
        formation: Arc<Formation>,
    },
    /// A file was written.
    Saved {
        /// Where.
        path: PathBuf,
    },
    /// The worker panicked and was restarted; the model is loaded again on the next request.
    WorkerRestarted {
        /// The run that was going on, if any.
        run: Option<RunId>,
        /// The panic message.
        message: String,
    },
}
