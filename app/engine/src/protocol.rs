//! What goes down to the worker ([`Request`]) and what comes back ([`Event`]): plain data, no tensors.

use std::path::PathBuf;
use std::sync::Arc;

use crate::request::RenderRequest;

/// Identifies one run; the caller chooses it, events carry it back.
pub type RunId = u64;

/// An 8-bit sRGB image with opaque alpha, rows top to bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgba8 {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `width * height * 4` bytes.
    pub pixels: Arc<[u8]>,
}

/// Which image of a step is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepView {
    /// The noisy latents `x_t` the step started from, decoded.
    XT,
    /// The clean-data prediction `x_t - sigma * v`, decoded.
    X0Hat,
}

/// A 2-D log power spectrum of luma, zero frequency in the middle, and its radial average.
#[derive(Debug, Clone, PartialEq)]
pub struct SpectrumFrame {
    /// Width in frequency bins.
    pub width: u32,
    /// Height in frequency bins.
    pub height: u32,
    /// `log10(power + floor)` per bin, row major, `height * width` values.
    pub log_power: Arc<[f32]>,
    /// Radially averaged power: (radius in cycles per pixel, mean power), ascending radius.
    pub radial: Arc<[(f32, f32)]>,
}

/// One decoded step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StepFrame {
    /// The run it belongs to.
    pub run: RunId,
    /// Step index from 0; `steps` (one past the last) is the finished result.
    pub step: usize,
    /// Number of denoising steps in the run.
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

/// What a loaded model is, for the Model pane and the sliders.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSummary {
    /// Human-readable name, such as "bundled mini model".
    pub name: String,
    /// Where it came from; `None` for the bundled model.
    pub path: Option<PathBuf>,
    /// Degradation classes in checkpoint order.
    pub classes: Vec<String>,
    /// Indices of the attention heads each class owns, same order.
    pub class_heads: Vec<Vec<usize>>,
    /// Attention heads per block.
    pub heads: usize,
    /// Transformer blocks.
    pub blocks: usize,
    /// Token width.
    pub width: usize,
    /// Parameters of all parts.
    pub parameters: u64,
    /// Image sides must be multiples of this many pixels.
    pub size_multiple: u32,
    /// Largest image side the model covers, in pixels.
    pub max_size: u32,
    /// Compute dtype in words, such as "f32".
    pub dtype: String,
    /// Device in words, such as "cpu".
    pub device: String,
}

/// Down the bounded channel to the worker, handled in order.
#[derive(Debug, Clone)]
pub enum Request {
    /// Load a model (the bundled one when `path` is `None`); answered by `ModelLoaded` or `Failed`.
    LoadModel {
        /// Folder or safetensors file.
        path: Option<PathBuf>,
    },
    /// Load and fit a scene for viewing; answered by `SceneLoaded` or `Failed`.
    OpenScene {
        /// The photo; the bundled demo photo when `None`.
        path: Option<PathBuf>,
        /// Side in pixels to fit to.
        size: u32,
    },
    /// Run a mix; answered by `Started`, then `StepDone` per step, then one of `Finished`, `Cancelled`, `Failed`.
    Render {
        /// Chosen by the caller.
        run: RunId,
        /// What to render.
        request: Box<RenderRequest>,
    },
    /// Save the finished image of the last run (with its settings in the PNG).
    SaveResult {
        /// The run whose result is meant.
        run: RunId,
        /// Target file; written to a temporary name, then renamed.
        path: PathBuf,
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

/// Up from the worker, in order. Bulk frames do not come this way: see `Engine::take_frames`.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
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
    },
    /// A run has begun; all sigmas are known.
    Started {
        /// The run.
        run: RunId,
        /// `steps + 1` noise levels, from 1 down to 0.
        sigmas: Vec<f32>,
    },
    /// A denoising step is complete.
    StepDone {
        /// The run.
        run: RunId,
        /// Step index from 0.
        step: usize,
        /// Steps in total.
        steps: usize,
        /// Noise level of the step.
        sigma: f32,
        /// Seconds this step took.
        step_secs: f32,
    },
    /// The run is complete; its result frame is (or will be) among the frames.
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
        /// Steps that were complete.
        steps_done: usize,
    },
    /// A request failed; one line that says what, where and what to do.
    Failed {
        /// The run, when a run failed.
        run: Option<RunId>,
        /// The message.
        message: String,
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
