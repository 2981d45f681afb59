//! Work beside the runs: looking at models, reading settings, writing many files.
//!
//! None of it needs the loaded model, so it has a thread of its own and never waits for a run. Each chore answers with one
//! event, and those that can take seconds report progress and can be cancelled between two files.

mod identify;
mod keep;
pub(crate) mod thread;

use std::path::PathBuf;

use mdsd3_render::device::DeviceReport;
use mdsd3_render::inspect::ModelReport;
use mdsd3_words::image::Rgba8;
use mdsd3_words::{ModelSettings, RenderRequest};

pub use identify::{FileKind, identify};

/// Something to do beside the runs.
#[derive(Debug, Clone)]
pub enum Chore {
    /// Look at a model without loading it; answered by [`ChoreEvent::Inspected`].
    InspectModel(Box<ModelSettings>),
    /// Try every kind of device once; answered by [`ChoreEvent::Devices`].
    ListDevices,
    /// Tell what a file or folder is; answered by [`ChoreEvent::Identified`].
    Identify {
        /// The file or folder.
        path: PathBuf,
    },
    /// Compare a model with the one that an image was made with; answered by [`ChoreEvent::ModelCompared`].
    CompareModel {
        /// The image.
        image: PathBuf,
        /// The model to be used.
        key: Box<ModelSettings>,
        /// Hash of the one that made the image.
        sha256: String,
    },
    /// Keep an image from the clipboard as a file named after its contents, so that runs on it can be repeated; answered
    /// by [`ChoreEvent::Kept`].
    KeepImage {
        /// The image.
        image: Rgba8,
        /// Where such files are kept; made when it is missing.
        folder: PathBuf,
    },
    /// Write a mask that is white in a rectangle, named after its contents; answered by [`ChoreEvent::MaskDrawn`].
    DrawMask {
        /// The class that it is for.
        class: String,
        /// Width and height in pixels.
        size_px: (u32, u32),
        /// Left, top, right and bottom in shares of width and height.
        corners: [f32; 4],
        /// Where such files are kept; made when it is missing.
        folder: PathBuf,
    },
    /// Write the images of a run's steps into a folder, with a table of them (`steps.csv`) and the run's settings
    /// (`settings.json`); answered by [`ChoreEvent::Progress`] and [`ChoreEvent::Written`].
    WriteSteps {
        /// The folder; made when it is missing.
        folder: PathBuf,
        /// What to write.
        images: Vec<StepImage>,
        /// The run.
        request: Box<RenderRequest>,
    },
}

/// An image of a step with the name of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct StepImage {
    /// File name with its extension.
    pub name: String,
    /// The image.
    pub image: Rgba8,
    /// What people read in the PNG's `parameters` chunk.
    pub words: String,
    /// Number of its step, from 1; of the last one for the result.
    pub step: usize,
    /// What it shows: `x0_hat`, `x_t` or `result`.
    pub view: &'static str,
    /// Noise level that the step was evaluated at; 0 for the result.
    pub sigma: f32,
    /// Seconds that the step took, for all lanes of its batch together; `None` where that isn't known.
    pub step_secs: Option<f32>,
}

/// What a look at a model found.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// What was looked at.
    pub key: ModelSettings,
    /// What it is.
    pub report: ModelReport,
    /// Memory of the machine in bytes (total, available); `None` where the system doesn't tell.
    pub memory_bytes: Option<(u64, u64)>,
}

/// Answers of chores.
#[derive(Debug, Clone, PartialEq)]
pub enum ChoreEvent {
    /// A model was looked at, or the reason why it can't be: one line.
    Inspected {
        /// What was looked at.
        key: Box<ModelSettings>,
        /// What it is, or why it can't be told.
        outcome: Result<Box<Inspection>, String>,
    },
    /// The devices of this machine and build.
    Devices(Vec<DeviceReport>),
    /// What a file or folder is.
    Identified {
        /// The file or folder.
        path: PathBuf,
        /// What it is.
        kind: FileKind,
    },
    /// A model is that of an image, or another version of it.
    ModelCompared {
        /// The image.
        image: PathBuf,
        /// Whether it is the one that made the image; `None` where that can't be told at once, as of a checkpoint's gigabytes,
        /// or where the model can't be read, which loading it reports.
        is_same: Option<bool>,
    },
    /// An image from the clipboard is a file now.
    Kept {
        /// The file.
        path: PathBuf,
    },
    /// A mask was drawn.
    MaskDrawn {
        /// The class that it is for.
        class: String,
        /// The file.
        path: PathBuf,
    },
    /// Some files are written.
    Progress {
        /// Files written.
        done: usize,
        /// Files in all.
        total: usize,
    },
    /// All files are written, or those before the chore was cancelled.
    Written {
        /// The folder.
        folder: PathBuf,
        /// Files written.
        count: usize,
        /// Whether it was cancelled.
        cancelled: bool,
    },
    /// A chore failed: one line that says what, where and what to do.
    Failed {
        /// The message.
        message: String,
    },
}
