//! The recipe of an adapter.

mod data;
mod objective;

use std::path::{Path, PathBuf};

use mdsd3_words::ModelParts;
use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::train::report::Reporting;

pub use data::{Data, DataLayout, Mixes};
pub use objective::{MaskValues, Objective, Timesteps};

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
            text_encoder: self.text_encoder.iter().cloned().collect(),
            tokenizer: self.tokenizer.clone(),
            heads: self.heads,
            ..ModelParts::default()
        }
    }
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

fn one() -> usize {
    1
}

fn unit_f32() -> f32 {
    1.0
}

fn yes() -> bool {
    true
}

impl AdapterRecipe {
    /// Reads a recipe's text and checks it; `path` is for messages.
    ///
    /// # Errors
    /// Bad input that names the key.
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
