//! SD3's KL autoencoder under diffusers' names (`AutoencoderKL`): Rombach et al. 2022 with 16 latent channels.
//!
//! Run it in f32: SD3's config says `force_upcast`, because its activations leave the range of f16.

mod network;

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use network::{Decoder, Encoder};
use serde::{Deserialize, Serialize};

use super::layers::{channels_first, channels_last};
use super::tiling::Tiling;
use crate::error::ModelError;
use crate::ranges::within;

/// Shape of a KL autoencoder; field names are those of diffusers' `AutoencoderKL` config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KlConfig {
    /// Channels per level, from full resolution down; each level but the last halves the sides.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per level of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Latent channels.
    pub latent_channels: usize,
    /// Groups of every norm.
    pub norm_num_groups: usize,
    /// What latents are multiplied by, so that their variance is near 1.
    pub scaling_factor: f64,
    /// What is taken off latents before that.
    #[serde(default)]
    pub shift_factor: Option<f64>,
    /// A 1x1 convolution after the encoder, as SD1 had; not in SD3.
    #[serde(default)]
    pub use_quant_conv: bool,
    /// A 1x1 convolution before the decoder, as SD1 had; not in SD3.
    #[serde(default)]
    pub use_post_quant_conv: bool,
}

impl KlConfig {
    /// The shape of SD3's and SD3.5's autoencoder.
    pub fn sd3() -> Self {
        Self {
            block_out_channels: vec![128, 256, 512, 512],
            layers_per_block: 2,
            latent_channels: 16,
            norm_num_groups: 32,
            scaling_factor: 1.5305,
            shift_factor: Some(0.0609),
            use_quant_conv: false,
            use_post_quant_conv: false,
        }
    }

    /// Reads and checks a config.
    ///
    /// # Errors
    /// Bad input for a config that lacks a key, or asks for what this autoencoder can't be.
    pub fn from_json(json: &serde_json::Value) -> std::result::Result<Self, ModelError> {
        let bad = |reason: String| ModelError::BadInput(format!("the autoencoder's config can't be used: {reason}"));
        let config: Self = serde_json::from_value(json.clone()).map_err(|e| bad(e.to_string()))?;
        config.check_ranges().map_err(bad)?;
        let groups = config.norm_num_groups;
        if config.block_out_channels.iter().any(|c| !c.is_multiple_of(groups)) {
            return Err(bad(format!(
                "channels {:?} don't divide into {groups} groups",
                config.block_out_channels
            )));
        }
        if config.use_quant_conv || config.use_post_quant_conv {
            return Err(bad(
                "quantisation convolutions are SD1's and SDXL's; give SD3's autoencoder".into(),
            ));
        }
        Ok(config)
    }

    /// Far above what there is, and far below what would end the program.
    fn check_ranges(&self) -> std::result::Result<(), String> {
        within("the number of block_out_channels", self.block_out_channels.len(), 1..=8)?;
        let mut channels = self.block_out_channels.iter();
        channels.try_for_each(|channels| within("block_out_channels", *channels, 1..=8192))?;
        within("layers_per_block", self.layers_per_block, 1..=64)?;
        within("latent_channels", self.latent_channels, 1..=4096)?;
        within("norm_num_groups", self.norm_num_groups, 1..=8192)?;
        within("scaling_factor", self.scaling_factor, 1e-3..=1e3)?;
        within("shift_factor", self.shift_factor.unwrap_or_default(), -1e3..=1e3)
    }

    /// Pixels per latent pixel side: 8 in SD3.
    pub fn factor(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }
}

/// Encoder and decoder.
pub struct KlAutoencoder {
    config: KlConfig,
    encoder: Encoder,
    decoder: Decoder,
    dtype: DType,
}

impl KlAutoencoder {
    /// Builds it from a checkpoint's tensors.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    pub fn new(config: &KlConfig, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            encoder: Encoder::new(config, &vb.pp("encoder"))?,
            decoder: Decoder::new(config, &vb.pp("decoder"))?,
            dtype: vb.dtype(),
        })
    }

    /// Its configuration.
    pub fn config(&self) -> &KlConfig {
        &self.config
    }

    /// The latent distribution, mean and logarithm of the variance, unscaled.
    ///
    /// # Shapes
    /// `rgb: [batch, 3, height, width]` in -1..=1, sides multiples of [`KlConfig::factor`]; results
    /// `[batch, latent_channels, height / factor, width / factor]`.
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn moments(&self, rgb: &Tensor) -> Result<(Tensor, Tensor)> {
        let moments = channels_first(&self.encoder.forward(&channels_last(rgb, self.dtype)?)?)?;
        let latents = self.config.latent_channels;
        // The bounds that diffusers sets.
        Ok((
            moments.narrow(1, 0, latents)?,
            moments.narrow(1, latents, latents)?.clamp(-30f32, 20f32)?,
        ))
    }

    /// Latents as the transformer takes them: the distribution's mean, shifted and scaled. In tiles when the image is
    /// larger than [`Tiling::WHOLE_PIXELS`].
    ///
    /// # Shapes
    /// As in [`Self::moments`].
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn encode(&self, rgb: &Tensor) -> Result<Tensor> {
        self.encode_tiled(rgb, Tiling::for_image(rgb, 1)?)
    }

    /// [`Self::encode`] with a tiling of the caller's choice.
    ///
    /// # Shapes
    /// As [`Self::encode`].
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn encode_tiled(&self, rgb: &Tensor, tiling: Option<Tiling>) -> Result<Tensor> {
        let mean = match tiling {
            Some(tiling) => tiling.encode(rgb, self.config.factor(), |tile| Ok(self.moments(tile)?.0))?,
            None => self.moments(rgb)?.0,
        };
        (mean - self.shift())? * self.config.scaling_factor
    }

    /// Pixels of latents as the transformer gives them; values may leave -1..=1 a little. In tiles when the image is
    /// larger than [`Tiling::WHOLE_PIXELS`].
    ///
    /// # Shapes
    /// `latents: [batch, latent_channels, height, width]`, result `[batch, 3, factor * height, factor * width]`.
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        self.decode_tiled(latents, Tiling::for_image(latents, self.config.factor())?)
    }

    /// [`Self::decode`] with a tiling of the caller's choice.
    ///
    /// # Shapes
    /// As [`Self::decode`].
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn decode_tiled(&self, latents: &Tensor, tiling: Option<Tiling>) -> Result<Tensor> {
        let latents = ((latents.to_dtype(self.dtype)? / self.config.scaling_factor)? + self.shift())?;
        // One by one: at full resolution a single image takes gigabytes already.
        let images = (0..latents.dim(0)?).map(|i| {
            let latents = latents.narrow(0, i, 1)?;
            match &tiling {
                Some(tiling) => tiling.decode(&latents, self.config.factor(), |tile| self.pixels(tile)),
                None => self.pixels(&latents),
            }
        });
        Tensor::cat(&images.collect::<Result<Vec<_>>>()?, 0)
    }

    fn pixels(&self, unscaled: &Tensor) -> Result<Tensor> {
        channels_first(&self.decoder.forward(&channels_last(unscaled, self.dtype)?)?)
    }

    fn shift(&self) -> f64 {
        self.config.shift_factor.unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests;
