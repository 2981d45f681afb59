//! The recipe of an adapter.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::io::layout::ModelParts;
use crate::loss::FocalFrequency;
use crate::mix::Mix;

/// Everything that a run depends on beside checkpoint and images. Paths are relative to where the command is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterRecipe {
    /// Always `adapter`; a recipe without it trains a whole small model.
    pub mode: Mode,
    /// Seed of everything random.
    #[serde(default)]
    pub seed: u64,
    /// Folder for the adapter, the logs and the resumable states.
    pub output: PathBuf,
    /// Degradation classes, in the order in which they own heads.
    pub classes: Vec<String>,
    /// The checkpoint.
    pub base: Base,
    /// The images.
    pub data: Data,
    /// What is trained.
    #[serde(default)]
    pub adapter: Trained,
    /// What is minimised.
    #[serde(default)]
    pub objective: Objective,
    /// How.
    pub training: Training,
    /// What is written on the way.
    #[serde(default)]
    pub report: Reporting,
}

/// The kind of a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// An adapter over a checkpoint that stays as it is.
    Adapter,
}

/// The checkpoint that the adapter is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Diffusers folder or single file.
    pub model: PathBuf,
    /// Autoencoder, in place of the model's own.
    #[serde(default)]
    pub vae: Option<PathBuf>,
    /// Text encoders, in place of the model's own.
    #[serde(default)]
    pub text_encoder: Option<PathBuf>,
    /// Folder of the tokenizers.
    #[serde(default)]
    pub tokenizer: Option<PathBuf>,
    /// Attention heads, where neither config nor shapes tell.
    #[serde(default)]
    pub heads: Option<usize>,
    /// `cpu`, `cuda`, `cuda:N` or `metal`.
    #[serde(default = "cpu")]
    pub device: String,
    /// `f32`, `bf16` or `f16`: what is computed in. Trained values are kept in f32 whatever this is.
    #[serde(default = "f32_name")]
    pub dtype: String,
}

fn cpu() -> String {
    "cpu".to_owned()
}

fn f32_name() -> String {
    "f32".to_owned()
}

impl Base {
    /// The parts with paths of their own.
    pub fn parts(&self) -> ModelParts {
        ModelParts {
            vae: self.vae.clone(),
            text_encoder: self.text_encoder.clone(),
            tokenizer: self.tokenizer.clone(),
            heads: self.heads,
            ..ModelParts::default()
        }
    }
}

/// How a folder's pairs are found; names as in dataset plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataLayout {
    /// Told from the folder's contents.
    #[default]
    Auto,
    /// `gt/`, `lq/`.
    Basicsr,
    /// `TASK/{input,target}`.
    Restormer,
    /// `clear/`, `haze/`, `haze_rain/`.
    Cdd11,
    /// `Dehaze/{original,synthetic}`, `Derain/{gt,rainy}`.
    Promptir,
    /// `clear/`, `hazy/`.
    Reside,
    /// `metadata.jsonl` or `metadata.csv`.
    Imagefolder,
    /// Tar shards.
    Webdataset,
    /// Clean photos; pairs are made by physical degradations.
    Photos,
}

/// The training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Folder.
    pub path: PathBuf,
    /// How its pairs are found.
    #[serde(default)]
    pub layout: DataLayout,
    /// Side of a training image in pixels.
    pub side: u32,
    /// Squares cut out of every image: the largest centred one, then others at random places.
    #[serde(default = "one")]
    pub views: usize,
    /// Photos alone: degradations drawn for every view.
    #[serde(default = "four")]
    pub variants: usize,
    /// Severities of pairs that don't say theirs.
    #[serde(default)]
    pub mix: Option<Mix>,
    /// Which mixes are trained on.
    #[serde(default)]
    pub mixes: Mixes,
    /// Photos alone: share of variants with two classes.
    #[serde(default = "quarter")]
    pub mixed_share: f32,
    /// Photos alone: smallest severity drawn; the largest is 1.
    #[serde(default = "tenth")]
    pub least_severity: f32,
    /// Share of scenes kept for validation.
    #[serde(default = "tenth")]
    pub validation_share: f32,
    /// Folder of latents and encoded prompts; in the output folder without it.
    #[serde(default)]
    pub cache: Option<PathBuf>,
}

fn one() -> usize {
    1
}

fn four() -> usize {
    4
}

fn quarter() -> f32 {
    0.25
}

fn tenth() -> f32 {
    0.1
}

/// Which mixes are trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mixes {
    /// All there are.
    #[default]
    All,
    /// Those of one class, so that it can be seen whether mixing emerges.
    Single,
}

/// What is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trained {
    /// Rank of the low-rank updates.
    pub rank: usize,
    /// Their scale's numerator: an update counts `alpha / rank`.
    pub alpha: f64,
    /// Layers of a block that get an update, by the end of their names.
    pub targets: Vec<String>,
    /// The clean path beside its zero blocks.
    pub clean_path: CleanPathMode,
}

/// The layers of the method: the clean stream's attention and the context's.
const TARGETS: [&str; 8] = [
    "to_q_clean",
    "to_k_clean",
    "to_v_clean",
    "to_out_clean.0",
    "add_q_proj",
    "add_k_proj",
    "add_v_proj",
    "to_add_out",
];

impl Default for Trained {
    fn default() -> Self {
        Self {
            rank: 4,
            alpha: 4.0,
            targets: TARGETS.map(str::to_owned).into(),
            clean_path: CleanPathMode::LowRank,
        }
    }
}

/// How the clean path learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CleanPathMode {
    /// By low-rank updates of the image stream's weights.
    #[default]
    LowRank,
    /// All of it, starting as the image stream's weights.
    Trained,
}

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

/// How it is minimised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Optimiser steps.
    pub steps: usize,
    /// Samples computed at once.
    #[serde(default = "one")]
    pub batch: usize,
    /// Batches per optimiser step.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Learning rate after warm-up.
    pub learning_rate: f64,
    /// Learning rate at the end, reached along a cosine; constant without it.
    #[serde(default)]
    pub final_learning_rate: Option<f64>,
    /// Steps of linear warm-up.
    #[serde(default)]
    pub warm_up: usize,
    /// `AdamW`'s weight decay.
    #[serde(default)]
    pub weight_decay: f32,
    /// Largest gradient norm.
    #[serde(default = "unit_f32")]
    pub clip: f32,
    /// Largest decay of the moving average that is exported; 0 exports the values themselves.
    #[serde(default)]
    pub ema: f32,
    /// Compute each block's activations again on the way back instead of keeping them all.
    #[serde(default = "yes")]
    pub checkpointing: bool,
}

fn unit_f32() -> f32 {
    1.0
}

fn yes() -> bool {
    true
}

/// What is written on the way; a step count of 0 switches the item off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reporting {
    /// Steps between rows of the logs.
    pub every: usize,
    /// Steps between validations.
    pub validate_every: usize,
    /// Validation samples.
    pub validation_samples: usize,
    /// Noise levels of the validation.
    pub sigmas: Vec<f32>,
    /// Steps between sample strips.
    pub sample_every: usize,
    /// Scenes in a strip.
    pub samples: usize,
    /// Sampling steps of a strip.
    pub sample_steps: usize,
    /// Steps between saved states.
    pub save_every: usize,
    /// Saved states that are kept, beside the best adapter.
    pub keep: usize,
}

impl Default for Reporting {
    fn default() -> Self {
        Self {
            every: 10,
            validate_every: 100,
            validation_samples: 8,
            sigmas: vec![0.1, 0.3, 0.5, 0.7, 0.9],
            sample_every: 500,
            samples: 3,
            sample_steps: 20,
            save_every: 100,
            keep: 3,
        }
    }
}

impl AdapterRecipe {
    /// Reads a recipe's text and checks it; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ModelError> {
        let bad = |message: String| ModelError::BadInput(format!("{}: {message}", path.display()));
        let recipe: Self = toml::from_str(text).map_err(|e| bad(e.to_string().trim().replace('\n', " ")))?;
        super::check::check(&recipe).map_err(bad)?;
        Ok(recipe)
    }

    /// Folder of cached latents and prompts.
    pub fn cache(&self) -> PathBuf {
        self.data.cache.clone().unwrap_or_else(|| self.output.join("cache"))
    }
}
