//! What an adapter's training minimises.

use serde::{Deserialize, Serialize};

use crate::loss::FocalFrequency;

/// What is minimised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objective {
    /// How noise levels are drawn.
    pub timesteps: Timesteps,
    /// Shift of the drawn levels; the checkpoint's own without it.
    pub shift: Option<f64>,
    /// The focal frequency loss.
    pub focal: Focal,
    /// What a class's heads are multiplied by.
    pub mask: MaskValues,
    /// Share of samples whose target is the scene itself, with the zero mask and the prompt "clean".
    pub clean_share: f32,
    /// Share of samples that are told nothing: the empty prompt, their mask kept.
    pub prompt_dropout: f32,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            timesteps: Timesteps::default(),
            shift: None,
            focal: Focal::default(),
            mask: MaskValues::Severity,
            clean_share: 0.1,
            prompt_dropout: 0.1,
        }
    }
}

/// How noise levels are drawn (Esser et al. 2024, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Timesteps {
    /// `sigmoid(mean + deviation * n)`.
    LogitNormal {
        /// Of the logits.
        #[serde(default)]
        mean: f64,
        /// Of the logits.
        #[serde(default = "unit")]
        deviation: f64,
    },
    /// `1 - u - scale (cos²(pi u / 2) - 1 + u)`.
    Mode {
        /// -1 to 2 / (pi - 2): below 0 the ends are preferred, above the middle.
        scale: f64,
    },
    /// Evenly over 0 to 1.
    Uniform,
}

fn unit() -> f64 {
    1.0
}

impl Default for Timesteps {
    fn default() -> Self {
        Self::LogitNormal {
            mean: 0.0,
            deviation: 1.0,
        }
    }
}

/// The focal frequency loss on the clean-data prediction; its weight falls with the noise level as `1 - t / 1000`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Focal {
    /// Weight at noise level 0; 0 switches it off.
    pub weight: f64,
    /// Exponent of the spectrum weight.
    pub alpha: f64,
    /// Patches per side.
    pub patch_factor: usize,
    /// Logarithm of the spectrum weight.
    pub log_matrix: bool,
    /// One maximum for the batch.
    pub batch_matrix: bool,
}

impl Default for Focal {
    fn default() -> Self {
        let paper = FocalFrequency::default();
        Self {
            weight: 0.1,
            alpha: paper.alpha,
            patch_factor: paper.patch_factor,
            log_matrix: paper.log_matrix,
            batch_matrix: paper.batch_matrix,
        }
    }
}

impl Focal {
    /// The loss's own options.
    pub fn options(self) -> FocalFrequency {
        FocalFrequency {
            alpha: self.alpha,
            patch_factor: self.patch_factor,
            log_matrix: self.log_matrix,
            batch_matrix: self.batch_matrix,
        }
    }
}

/// What a class's heads are multiplied by in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaskValues {
    /// 1 for a class that is there at all, as the notes train; ratios between come in at generation only.
    Binary,
    /// The severity, as the bundled model is trained: a ratio is calibrated.
    Severity,
}
