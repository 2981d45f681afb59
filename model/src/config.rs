//! Configurations as checkpoints store them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::ranges::{all_within, within};

/// QK norm of the attention layers: none in SD3, RMS in SD3.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QkNorm {
    /// RMS norm per head.
    RmsNorm,
}

/// Widest token that is believed; T5-XXL's have 4096 numbers.
const MOST_WIDTH: usize = 65_536;

/// Shape of an MDSD3 transformer; field names are those of diffusers' `SD3Transformer2DModel` config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MmditConfig {
    /// Latent side the positional table is centred for, in latent pixels.
    pub sample_size: usize,
    /// Latent pixels per token side.
    pub patch_size: usize,
    /// Latent channels in.
    pub in_channels: usize,
    /// Latent channels out.
    pub out_channels: usize,
    /// Joint transformer blocks.
    pub num_layers: usize,
    /// Attention heads per block.
    pub num_attention_heads: usize,
    /// Width of one head.
    pub attention_head_dim: usize,
    /// Width of a context token as it comes in.
    pub joint_attention_dim: usize,
    /// Width of a context token inside; always heads * head dim.
    pub caption_projection_dim: usize,
    /// Width of the pooled text vector.
    pub pooled_projection_dim: usize,
    /// Side of the positional table, in tokens.
    pub pos_embed_max_size: usize,
    /// QK norm, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qk_norm: Option<QkNorm>,
    /// Blocks that have a second, image-only attention (SD3.5-medium).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dual_attention_layers: Vec<usize>,
    /// Whether tokens have neighbour projections (see `mmdit::neighbours`), so that what is longer than a patch goes on across
    /// its border. No published SD3 has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub neighbours: bool,
    /// Degradation classes, in the order in which they own heads.
    #[serde(default)]
    pub classes: Vec<String>,
}

impl MmditConfig {
    /// The layer whose output nobody reads: the last block's context query, as that block drops its context.
    pub fn unread_layer(&self) -> String {
        format!("transformer_blocks.{}.attn.add_q_proj", self.num_layers - 1)
    }

    /// Far above what there is, and far below what would end the program for want of memory.
    fn check_sizes(&self) -> Result<(), String> {
        within("num_layers", self.num_layers, 1..=1000)?;
        within("num_attention_heads", self.num_attention_heads, 1..=1024)?;
        within("patch_size", self.patch_size, 1..=64)?;
        let sizes = [
            ("sample_size", self.sample_size),
            ("pos_embed_max_size", self.pos_embed_max_size),
        ];
        all_within(&sizes, 1..=2048)?;
        let channels = [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("attention_head_dim", self.attention_head_dim),
        ];
        all_within(&channels, 1..=4096)?;
        let widths = [
            ("joint_attention_dim", self.joint_attention_dim),
            ("pooled_projection_dim", self.pooled_projection_dim),
            ("num_attention_heads * attention_head_dim", self.width()),
        ];
        all_within(&widths, 1..=MOST_WIDTH)?;
        match self
            .dual_attention_layers
            .iter()
            .find(|layer| **layer >= self.num_layers)
        {
            Some(layer) => within("dual_attention_layers", *layer, 0..=self.num_layers - 1),
            None => Ok(()),
        }
    }

    /// Stable Diffusion 3 medium's shape, without classes.
    pub fn sd3_medium() -> Self {
        Self {
            sample_size: 128,
            patch_size: 2,
            in_channels: 16,
            out_channels: 16,
            num_layers: 24,
            num_attention_heads: 24,
            attention_head_dim: 64,
            joint_attention_dim: 4096,
            caption_projection_dim: 1536,
            pooled_projection_dim: 2048,
            pos_embed_max_size: 192,
            qk_norm: None,
            dual_attention_layers: Vec::new(),
            neighbours: false,
            classes: Vec::new(),
        }
    }

    /// Token width: heads * head dim.
    pub fn width(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Numbers in one image token: patch² * channels.
    pub fn token_values(&self) -> usize {
        self.patch_size * self.patch_size * self.out_channels
    }

    /// Refuses shapes that no checkpoint can have, naming the field.
    ///
    /// # Errors
    /// Bad input that names the field.
    pub fn check(&self) -> Result<(), ModelError> {
        self.check_sizes()
            .map_err(|what| ModelError::BadInput(format!("transformer config: {what}")))?;
        if !self.width().is_multiple_of(4) {
            return Err(ModelError::BadInput(format!(
                "transformer config: width {} is not a multiple of 4",
                self.width()
            )));
        }
        if self.caption_projection_dim != self.width() {
            return Err(ModelError::BadInput(format!(
                "transformer config: caption_projection_dim {} differs from heads * head dim {}",
                self.caption_projection_dim,
                self.width()
            )));
        }
        if self.classes.len() > self.num_attention_heads {
            return Err(ModelError::BadInput(format!(
                "transformer config: {} classes cannot share {} heads",
                self.classes.len(),
                self.num_attention_heads
            )));
        }
        Ok(())
    }
}

/// Shape of the bundled convolutional autoencoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MiniAutoencoderConfig {
    /// Pixels per latent pixel side.
    pub factor: usize,
    /// Latent channels.
    pub latent_channels: usize,
    /// Channels of the residual blocks.
    pub hidden_channels: usize,
    /// Residual blocks in the encoder and in the decoder.
    pub blocks: usize,
    /// Whether patches overlap (see `autoencoder::lapped`), so that an error of a latent pixel is no square in the image.
    #[serde(default)]
    pub lapped: bool,
}

impl MiniAutoencoderConfig {
    /// How many of the latent channels hold luma, as `train::transform` starts them; they come first, chroma's behind them.
    pub fn luma_channels(&self) -> usize {
        self.factor * self.factor
    }
}

impl MiniAutoencoderConfig {
    fn check(&self) -> Result<(), String> {
        within("factor", self.factor, 1..=64)?;
        if self.lapped && !self.factor.is_multiple_of(2) {
            return Err(format!("factor is {}, and lapped needs an even one", self.factor));
        }
        let channels = [
            ("latent_channels", self.latent_channels),
            ("hidden_channels", self.hidden_channels),
        ];
        all_within(&channels, 1..=4096)?;
        within("blocks", self.blocks, 0..=256)
    }
}

/// What the transformer's output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionKind {
    /// The flow-matching velocity `noise - x0`, as in SD3.
    Velocity,
    /// A correction to the posterior mean of the residual to the scene: see [`crate::sampler::prediction`].
    SceneResidual,
}

impl std::fmt::Display for PredictionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::Velocity => "of the velocity",
            Self::SceneResidual => "of what is added to the scene",
        })
    }
}

/// Sigma shifts that leave a schedule of steps; SD3's is 3.
pub const SHIFT_RANGE: RangeInclusive<f64> = 0.01..=100.0;

/// Samples are distorted long before this.
const MOST_PRIOR_GUIDANCE: f64 = 4.0;

/// `config.json` of a bundled-style model folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MiniConfig {
    /// Human-readable name.
    pub name: String,
    /// What the transformer predicts.
    pub prediction: PredictionKind,
    /// Sigma shift of the schedule, 3 in SD3.
    pub shift: f64,
    /// Guidance of luma away from the prior alone when sampling (see `sampler::prediction`), by class; 1 is none, and so is leaving a
    /// class out. Scene residuals only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prior_guidance: BTreeMap<String, f64>,
    /// Whether the grid of tokens moves by half a token every second step when sampling (see `mmdit::grid`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alternating_grid: bool,
    /// Learned context tokens in place of encoded text.
    pub context_tokens: usize,
    /// The transformer.
    pub transformer: MmditConfig,
    /// The autoencoder.
    pub autoencoder: MiniAutoencoderConfig,
}

#[allow(clippy::float_cmp)] // 1 is a setting, not a result
fn is_no_guidance(guidance: f64) -> bool {
    guidance == 1.0
}

impl MiniConfig {
    /// Parses and checks a `config.json`.
    ///
    /// # Errors
    /// Bad input for what is no config, and as [`Self::check`].
    pub fn parse(json: &str) -> Result<Self, ModelError> {
        let config: Self = serde_json::from_str(json)
            .map_err(|e| ModelError::BadInput(format!("config.json is not a model config of this program: {e}")))?;
        config.check()?;
        Ok(config)
    }

    /// Refuses a config that no model can be made of, naming the key.
    ///
    /// # Errors
    /// Bad input that names the field.
    pub fn check(&self) -> Result<(), ModelError> {
        self.transformer.check()?;
        let bad = ModelError::BadInput;
        self.autoencoder
            .check()
            .map_err(|what| bad(format!("autoencoder: {what}")))?;
        within("shift", self.shift, SHIFT_RANGE).map_err(bad)?;
        within("context_tokens", self.context_tokens, 1..=4096).map_err(bad)?;
        if self.alternating_grid && !self.transformer.patch_size.is_multiple_of(2) {
            return Err(ModelError::BadInput(format!(
                "alternating_grid moves tokens by half a patch, and patch_size is {}; leave it out",
                self.transformer.patch_size
            )));
        }
        self.check_guidance()
    }

    /// Guidance away from the prior per class and latent channel: chroma stays as trained, as what errs in it shows as coloured
    /// fringes.
    pub fn guidance_of_channels(&self) -> Vec<Vec<f32>> {
        let (luma, channels) = (self.autoencoder.luma_channels(), self.autoencoder.latent_channels);
        let of_class = |class: &String| {
            let guidance = self.prior_guidance.get(class).map_or(1.0, |&w| w as f32);
            (0..channels)
                .map(|channel| if channel < luma { guidance } else { 1.0 })
                .collect()
        };
        self.transformer.classes.iter().map(of_class).collect()
    }

    /// What is predicted, and how it is sampled, for people.
    pub fn predicted(&self) -> String {
        let mut parts = vec![self.prediction.to_string()];
        let guided = self.prior_guidance.iter().filter(|(_, w)| !is_no_guidance(**w));
        let each: Vec<String> = guided.map(|(class, w)| format!("{class} by {w}")).collect();
        if !each.is_empty() {
            parts.push(format!("luma guided away from its prior ({})", each.join(", ")));
        }
        if self.alternating_grid {
            parts.push("the grid of tokens moved by half a token every second step".into());
        }
        parts.join(", ")
    }

    fn check_guidance(&self) -> Result<(), ModelError> {
        if self.prediction == PredictionKind::Velocity && !self.prior_guidance.is_empty() {
            return Err(ModelError::BadInput(
                "prior_guidance is given, but a model of the velocity has no prior; leave it out".into(),
            ));
        }
        for (class, guidance) in &self.prior_guidance {
            if !self.transformer.classes.contains(class) {
                return Err(ModelError::BadInput(format!(
                    "prior_guidance names {class:?}, which is none of the model's classes ({})",
                    self.transformer.classes.join(", ")
                )));
            }
            if !(0.0..=MOST_PRIOR_GUIDANCE).contains(guidance) {
                return Err(ModelError::BadInput(format!(
                    "prior_guidance of {class} is {guidance}; it must be from 0, luma from the prior alone, to {MOST_PRIOR_GUIDANCE}, and 1 is none"
                )));
            }
        }
        Ok(())
    }
}

/// The class list of a safetensors file's metadata: a JSON list of names, or names separated by commas.
///
/// # Errors
/// Bad input for names that a mix can't hold.
pub fn classes_from_metadata(text: &str) -> Result<Vec<String>, ModelError> {
    let names = serde_json::from_str::<Vec<String>>(text)
        .unwrap_or_else(|_| text.split(',').map(|name| name.trim().to_owned()).collect());
    // A class must be usable in a mix, which holds names to what can be printed and parsed back.
    let mut mix = mdsd3_words::Mix::new();
    for name in &names {
        mix.set(name, 1.0)?;
    }
    if mix.iter().count() != names.len() {
        return Err(ModelError::BadInput(format!(
            "the class list {text:?} names a class twice"
        )));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(prediction: &str, prior_guidance: &str) -> Result<MiniConfig, ModelError> {
        let bundled = include_str!("../../assets/models/mini/config.json");
        let mut json: serde_json::Value = serde_json::from_str(bundled).unwrap();
        json["prediction"] = prediction.into();
        json["prior_guidance"] = serde_json::from_str(prior_guidance).unwrap();
        MiniConfig::parse(&json.to_string())
    }

    #[test]
    fn prior_guidance_is_told_and_held_to_what_can_be_sampled() {
        let guided = config("scene_residual", r#"{"snow": 1.5}"#).unwrap();
        assert!(guided.predicted().contains("(snow by 1.5)"), "{}", guided.predicted());
        let ones = config("scene_residual", r#"{"snow": 1}"#).unwrap();
        assert!(!ones.predicted().contains("guided"), "{}", ones.predicted());
        assert!(!config("velocity", "{}").unwrap().predicted().contains("guided"));
        let luma_alone = [[1.5; 16].as_slice(), &[1.0; 8]].concat();
        let expected = [vec![1.0; 24], vec![1.0; 24], vec![1.0; 24], luma_alone];
        assert_eq!(guided.guidance_of_channels(), expected);
        for (prediction, guidance, what) in [
            ("scene_residual", r#"{"rain": -0.1}"#, "prior_guidance of rain is -0.1"),
            ("scene_residual", r#"{"rain": 4.1}"#, "prior_guidance of rain is 4.1"),
            (
                "scene_residual",
                r#"{"hail": 1}"#,
                "\"hail\", which is none of the model's classes (rain",
            ),
            ("scene_residual", "1.35", "expected a map"),
            ("velocity", r#"{"rain": 1.5}"#, "has no prior"),
        ] {
            let error = config(prediction, guidance).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn every_number_has_a_range() {
        let bundled = include_str!("../../assets/models/mini/config.json");
        let good: serde_json::Value = serde_json::from_str(bundled).unwrap();
        for (path, value, what) in [
            ("/shift", 0.0.into(), "shift is 0: give 0.01 to 100"),
            ("/shift", 1e30.into(), "shift is 1000000000000000000000000000000: give"),
            ("/context_tokens", 0.into(), "context_tokens is 0: give 1 to 4096"),
            (
                "/autoencoder/factor",
                0.into(),
                "autoencoder: factor is 0: give 1 to 64",
            ),
            ("/autoencoder/factor", 1000.into(), "factor is 1000"),
            ("/autoencoder/factor", (1_u64 << 31).into(), "factor is 2147483648"),
            ("/autoencoder/factor", 3.into(), "lapped needs an even one"),
            (
                "/autoencoder/latent_channels",
                (1_u64 << 31).into(),
                "latent_channels is 2147483648",
            ),
            ("/autoencoder/hidden_channels", 0.into(), "hidden_channels is 0"),
            ("/autoencoder/blocks", (1_u64 << 20).into(), "blocks is 1048576"),
            (
                "/transformer/num_layers",
                0.into(),
                "transformer config: num_layers is 0",
            ),
            ("/transformer/sample_size", (1_u64 << 40).into(), "sample_size is"),
            (
                "/transformer/joint_attention_dim",
                0.into(),
                "joint_attention_dim is 0: give 1 to 65536",
            ),
            (
                "/transformer/pooled_projection_dim",
                (1_u64 << 31).into(),
                "pooled_projection_dim is",
            ),
        ] {
            let mut json = good.clone();
            *json.pointer_mut(path).expect(path) = value;
            let error = MiniConfig::parse(&json.to_string()).expect_err(path);
            assert!(
                error.is_bad_input() && error.to_string().contains(what),
                "{path}: {error}"
            );
        }
        let mut json = good;
        json["transformer"]["dual_attention_layers"] = serde_json::json!([99]);
        let error = MiniConfig::parse(&json.to_string()).expect_err("no such layer");
        assert!(error.to_string().contains("dual_attention_layers is 99"), "{error}");
    }

    #[test]
    fn a_moving_grid_is_told_and_needs_patches_that_can_be_halved() {
        let mut bundled = config("scene_residual", "{}").unwrap();
        assert!(
            bundled.predicted().contains("moved by half a token"),
            "{}",
            bundled.predicted()
        );
        bundled.transformer.patch_size = 3;
        let error = bundled.check().unwrap_err().to_string();
        assert!(
            error.contains("alternating_grid") && error.contains("patch_size is 3"),
            "{error}"
        );
    }
}
