//! What a run tells of itself: tables, `TensorBoard`, pictures.
//!
//! | file | what |
//! |---|---|
//! | `bins` | losses by timestep, as the plain mean mostly shows which timesteps were drawn |
//! | `gradients` | norms per layer, and which tensors get none |
//! | `logs` | CSV tables and `TensorBoard` files of the same numbers |
//! | `tensorboard` | the record format of event files |
//! | `validation` | fixed noise levels and noise; the focal weight map |
//! | `strip` | samples of fixed seeds as one picture |
//! | `settings` | how often |

mod bins;
mod gradients;
mod logs;
mod settings;
mod strip;
mod tensorboard;
mod validation;

pub use bins::{BINS, Bins, bin_name};
pub use gradients::{GradientWatch, LayerNorm};
pub use logs::Logs;
pub use settings::Reporting;
pub use strip::strip;
pub use validation::{Measured, validate};

use std::path::PathBuf;

use image::Rgb32FImage;

use super::adapter::Skipped;

/// Something that a run has to tell, beside its progress.
#[derive(Debug, Clone)]
pub enum Report {
    /// The data is ready.
    Prepared {
        /// Samples to train on.
        training: usize,
        /// Samples of scenes that are not trained on.
        validation: usize,
        /// What was left out, with reasons.
        skipped: Vec<Skipped>,
    },
    /// The run goes on from a saved state.
    Resumed {
        /// Steps done before.
        step: usize,
    },
    /// Numbers of the last steps.
    Step(StepNumbers),
    /// A validation.
    Validation(ValidationNumbers),
    /// A sample strip was drawn: a row per scene, with scene, target and sample.
    Strip {
        /// Steps done.
        step: usize,
        /// The file.
        path: PathBuf,
        /// The picture.
        image: Rgb32FImage,
    },
    /// Something that the user should look at; the run goes on.
    Warning(String),
    /// The run can't go on until this is mended; it tries again by itself.
    Waiting(String),
    /// The state was saved.
    Saved {
        /// Steps done.
        step: usize,
    },
}

/// Means over the steps since the last report.
#[derive(Debug, Clone, PartialEq)]
pub struct StepNumbers {
    /// Steps done.
    pub step: usize,
    /// What is minimised.
    pub loss: f32,
    /// Squared error of the network's output: of the velocity, or of the scaled residual in whole small models.
    pub flow: f32,
    /// Focal frequency loss before its weights; `None` when it is off.
    pub focal: Option<f32>,
    /// Squared error by timestep, `BINS` equal parts of 0 to 1000; `None` where nothing was drawn.
    pub bins: Vec<Option<f32>>,
    /// Norm of the last step's gradient, before clipping.
    pub gradient_norm: f32,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Training samples per second.
    pub samples_per_sec: f32,
}

/// Losses at fixed noise levels with fixed noise.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidationNumbers {
    /// Steps done.
    pub step: usize,
    /// Noise level, squared error of the network's output, focal frequency loss.
    pub levels: Vec<(f32, f32, f32)>,
    /// Mean squared error of all levels.
    pub mean: f32,
    /// Whether it is the smallest mean so far.
    pub is_best: bool,
}
