//! The recipe file.

use std::path::{Path, PathBuf};

use mdsd3_words::regular;
use serde::{Deserialize, Serialize};

use super::report::Reporting;
use crate::config::{MiniConfig, PredictionKind};
use crate::error::ModelError;
use crate::ranges::{MOST_STEPS, all_within, within};

/// Everything a run depends on beside the photos. Paths are relative to where the command is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Seed of everything random.
    pub seed: u64,
    /// Folder with the photos (what `get_photos.sh` fills).
    pub photos: PathBuf,
    /// Table of photos: tab-separated, with at least the columns `split` and `path`.
    pub manifest: PathBuf,
    /// Split to train on.
    pub split: String,
    /// Split that validation and sample strips use; the training photos where it has none.
    #[serde(default = "held_out")]
    pub validation_split: String,
    /// Folder for the model, the log and the resumable state.
    pub output: PathBuf,
    /// Folder of a trained model to go on from, in place of phase 1 and of random weights; its shapes must be the recipe's.
    #[serde(default)]
    pub start_from: Option<PathBuf>,
    /// Phase 1.
    pub autoencoder: AutoencoderPhase,
    /// What the pairs are made of.
    pub pairs: PairsSettings,
    /// Phase 2's settings that all stages share.
    pub transformer: TransformerPhase,
    /// The stages of phase 2, one after the other.
    #[serde(rename = "stage")]
    pub stages: Vec<Stage>,
    /// What is written on the way.
    #[serde(default)]
    pub report: Reporting,
    /// The model.
    pub model: MiniConfig,
}

fn held_out() -> String {
    "heldout".to_owned()
}

/// Phase 1: the autoencoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoencoderPhase {
    /// Optimiser steps.
    pub steps: usize,
    /// Crops per step.
    pub batch: usize,
    /// Side of a crop in pixels.
    pub side: u32,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Weight of the focal frequency loss on pixels.
    pub focal_weight: f64,
    /// Exponent of the partial whitening, 0 (none) to 1 (all channels alike).
    pub whitening: f64,
}

/// What the training pairs are made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairsSettings {
    /// Pairs prepared.
    pub count: usize,
    /// Side of a pair in pixels.
    pub side: u32,
    /// Share of pairs without any degradation; they train the zero mask.
    pub clean_share: f32,
    /// Share of pairs with two classes.
    pub mixed_share: f32,
    /// How often each class is drawn, in the model's class order.
    pub class_weights: Vec<f32>,
    /// Smallest severity drawn; the largest is 1.
    pub least_severity: f32,
    /// Share of haze's ranges of airlight and depth that is drawn from, 0 to 1.
    #[serde(default = "whole")]
    pub haze_variety: f32,
    /// Share of rain's range of leans that is drawn from, around vertical, 0 to 1.
    #[serde(default = "whole")]
    pub rain_variety: f32,
    /// Shapes of the images that pairs are cut from; square ones of the pair's size when there is none.
    #[serde(default, rename = "frame")]
    pub frames: Vec<Frame>,
}

fn whole() -> f32 {
    1.0
}

/// A shape of image that a corner is cut from as a pair, so that the network meets the positions that larger, wide and
/// tall images have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// Width over the side of a pair, at least 1.
    pub width: f32,
    /// Height over the side of a pair, at least 1.
    pub height: f32,
    /// How often it is drawn, relative to the others.
    pub share: f32,
}

impl Frame {
    /// A frame that is the pair itself.
    pub const SQUARE: Self = Self {
        width: 1.0,
        height: 1.0,
        share: 1.0,
    };

    /// Width and height in pixels for pairs of `side` pixels.
    pub fn pixels(self, side: u32) -> (u32, u32) {
        let scaled = |factor: f32| (factor * side as f32).round() as u32;
        (scaled(self.width), scaled(self.height))
    }
}

impl PairsSettings {
    /// What whole images may differ in, by class: the share of its ranges that is drawn from.
    pub fn variety(&self) -> [(&str, f32); 2] {
        [("haze", self.haze_variety), ("rain", self.rain_variety)]
    }

    /// The frames, of which there is always one.
    pub fn frames(&self) -> &[Frame] {
        if self.frames.is_empty() {
            &[Frame::SQUARE]
        } else {
            &self.frames
        }
    }
}

/// Settings that all stages share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerPhase {
    /// Mean of the logit-normal noise levels.
    pub sigma_mean: f64,
    /// Standard deviation of the logit-normal noise levels.
    pub sigma_deviation: f64,
    /// Share of samples drawn uniformly between sigma 0.6 and 1 instead.
    pub high_sigma_share: f32,
    /// Weight of the focal frequency loss, times (1 - t/1000).
    pub focal_weight: f64,
    /// `AdamW`'s weight decay.
    pub weight_decay: f32,
    /// Largest gradient norm.
    pub clip: f32,
    /// Largest decay of the exponential moving average.
    pub ema: f32,
}

/// A stage of phase 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Optimiser steps.
    pub steps: usize,
    /// Windows per step.
    pub batch: usize,
    /// Side of a window in pixels.
    pub side: u32,
    /// Learning rate after warm-up.
    pub learning_rate: f64,
    /// Learning rate at the end of the stage, reached along a cosine.
    pub final_learning_rate: f64,
    /// Steps of linear warm-up.
    pub warm_up: usize,
}

impl Stage {
    fn check(&self) -> Result<(), String> {
        let steps = [("stage.steps", self.steps), ("stage.warm_up", self.warm_up)];
        all_within(&steps, 0..=MOST_STEPS)?;
        within("stage.batch", self.batch, 1..=MOST_BATCH)?;
        let rates = [
            ("stage.learning_rate", self.learning_rate),
            ("stage.final_learning_rate", self.final_learning_rate),
        ];
        all_within(&rates, 0.0..=1e6)
    }
}

/// Most images of a step.
const MOST_BATCH: usize = 65_536;

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// Bad input that names the file, and the key where one is wrong.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let text = regular::read_text(path)
            .map_err(|e| ModelError::BadInput(format!("{}: cannot read the recipe ({e})", path.display())))?;
        let recipe: Self = toml::from_str(&text)
            .map_err(|e| ModelError::BadInput(format!("{}: {}", path.display(), e.to_string().replace('\n', " "))))?;
        recipe
            .check()
            .map_err(|message| ModelError::BadInput(format!("{}: {message}", path.display())))?;
        Ok(recipe)
    }

    /// Steps of phase 2.
    pub fn steps(&self) -> usize {
        self.stages.iter().map(|stage| stage.steps).sum()
    }

    fn check_frames(&self, multiple: u32) -> Result<(), String> {
        let table = self.model.transformer.pos_embed_max_size as u32 * multiple;
        for frame in self.pairs.frames() {
            let (width, height) = frame.pixels(self.pairs.side);
            let fits =
                |length: u32| length >= self.pairs.side && length <= table && length.is_multiple_of(2 * multiple);
            if !(fits(width) && fits(height) && frame.share > 0.0) {
                return Err(format!(
                    "pairs.frame of {width} x {height} px: both sides must be multiples of {} px from {} to {table} px, and its share above 0",
                    2 * multiple,
                    self.pairs.side
                ));
            }
        }
        Ok(())
    }

    /// Every number by itself; what they must be to each other is looked at behind this.
    fn check_numbers(&self) -> Result<(), String> {
        let (autoencoder, pairs, transformer) = (&self.autoencoder, &self.pairs, &self.transformer);
        within("autoencoder.steps", autoencoder.steps, 0..=MOST_STEPS)?;
        within("autoencoder.batch", autoencoder.batch, 1..=MOST_BATCH)?;
        within("pairs.count", pairs.count, 1..=10_000_000)?;
        let shares = [
            ("pairs.clean_share", pairs.clean_share),
            ("pairs.mixed_share", pairs.mixed_share),
            ("pairs.least_severity", pairs.least_severity),
            ("transformer.high_sigma_share", transformer.high_sigma_share),
            ("transformer.ema", transformer.ema),
        ];
        all_within(&shares, 0.0..=1.0)?;
        for (class, share) in pairs.variety() {
            within(&format!("pairs.{class}_variety"), share, 0.0..=1.0)?;
        }
        let mut weights = pairs.class_weights.iter();
        weights.try_for_each(|weight| within("pairs.class_weights", *weight, 0.0..=1e6))?;
        if pairs.class_weights.iter().sum::<f32>() <= 0.0 {
            return Err("pairs.class_weights are all 0: no class would be drawn".into());
        }
        within("autoencoder.whitening", autoencoder.whitening, 0.0..=1.0)?;
        within("transformer.sigma_mean", transformer.sigma_mean, -100.0..=100.0)?;
        within("transformer.sigma_deviation", transformer.sigma_deviation, 0.0..=100.0)?;
        within("transformer.weight_decay", transformer.weight_decay, 0.0..=1e3)?;
        within("transformer.clip", transformer.clip, 1e-6..=1e6)?;
        let from_zero = [
            ("autoencoder.learning_rate", autoencoder.learning_rate),
            ("autoencoder.focal_weight", autoencoder.focal_weight),
            ("transformer.focal_weight", transformer.focal_weight),
        ];
        all_within(&from_zero, 0.0..=1e6)?;
        self.stages.iter().try_for_each(Stage::check)
    }

    fn check(&self) -> Result<(), String> {
        if self.model.prediction != PredictionKind::SceneResidual {
            return Err(
                "model.prediction must be \"scene_residual\": it is what whole small models are trained to predict"
                    .into(),
            );
        }
        self.model.check().map_err(|e| format!("[model]: {e}"))?;
        self.check_numbers()?;
        let multiple = (self.model.autoencoder.factor * self.model.transformer.patch_size) as u32;
        let sides = self
            .stages
            .iter()
            .map(|s| s.side)
            .chain([self.pairs.side, self.autoencoder.side]);
        for side in sides {
            within("side", side, 1..=16_384)?;
            if !side.is_multiple_of(multiple) {
                return Err(format!("side {side} is not a multiple of {multiple} px"));
            }
        }
        if let Some(stage) = self.stages.iter().find(|stage| stage.side > self.pairs.side) {
            return Err(format!(
                "stage of {} px: windows must fit into pairs of {} px",
                stage.side, self.pairs.side
            ));
        }
        self.check_frames(multiple)?;
        let (classes, weights) = (self.model.transformer.classes.len(), self.pairs.class_weights.len());
        if classes != weights {
            return Err(format!(
                "pairs.class_weights has {weights} numbers for {classes} classes"
            ));
        }
        self.report.check()?;
        Ok(())
    }
}
