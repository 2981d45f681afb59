//! SD3's KL autoencoder under diffusers' names (`AutoencoderKL`): Rombach et al. 2022 with 16 latent channels.
//!
//! Run it in f32: SD3's config says `force_upcast`, because its activations leave the range of f16.

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use serde::Deserialize;

use super::layers::{Conv3, GroupNorm, Pointwise, channels_first, channels_last, enlarge};
use super::tiling::Tiling;
use crate::error::ModelError;
use crate::kernels::attention;

/// Shape of a KL autoencoder; field names are those of diffusers' `AutoencoderKL` config.
#[derive(Debug, Clone, PartialEq, Deserialize)]
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
    /// Reads and checks a config.
    pub fn from_json(json: &serde_json::Value) -> std::result::Result<Self, ModelError> {
        let bad = |reason: String| ModelError::BadInput(format!("the autoencoder's config can't be used: {reason}"));
        let config: Self = serde_json::from_value(json.clone()).map_err(|e| bad(e.to_string()))?;
        let groups = config.norm_num_groups;
        if config.block_out_channels.is_empty() || config.layers_per_block == 0 || config.latent_channels == 0 {
            return Err(bad("it has no levels, layers or latent channels".into()));
        }
        if groups == 0
            || config
                .block_out_channels
                .iter()
                .any(|c| *c == 0 || !c.is_multiple_of(groups))
        {
            return Err(bad(format!(
                "channels {:?} don't divide into {groups} groups",
                config.block_out_channels
            )));
        }
        if config.scaling_factor == 0.0 {
            return Err(bad("scaling_factor is 0".into()));
        }
        if config.use_quant_conv || config.use_post_quant_conv {
            return Err(bad(
                "quantisation convolutions are SD1's and SDXL's; give SD3's autoencoder".into(),
            ));
        }
        Ok(config)
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

/// Norm, SiLU and convolution, twice, around a shortcut.
struct Residual {
    norm_1: GroupNorm,
    conv_1: Conv3,
    norm_2: GroupNorm,
    conv_2: Conv3,
    shortcut: Option<Pointwise>,
}

impl Residual {
    fn new(inputs: usize, outputs: usize, groups: usize, vb: &VarBuilder) -> Result<Self> {
        let shortcut = (inputs != outputs).then(|| Pointwise::conv(inputs, outputs, &vb.pp("conv_shortcut")));
        Ok(Self {
            norm_1: GroupNorm::new(groups, inputs, &vb.pp("norm1"))?,
            conv_1: Conv3::new(inputs, outputs, &vb.pp("conv1"))?,
            norm_2: GroupNorm::new(groups, outputs, &vb.pp("norm2"))?,
            conv_2: Conv3::new(outputs, outputs, &vb.pp("conv2"))?,
            shortcut: shortcut.transpose()?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.conv_1.forward(&self.norm_1.forward_silu(x)?)?;
        let y = self.conv_2.forward(&self.norm_2.forward_silu(&y)?)?;
        match &self.shortcut {
            Some(shortcut) => shortcut.forward(x)? + y,
            None => x + y,
        }
    }
}

/// Two residual blocks around attention of every pixel to every other, with one head.
struct Middle {
    residuals: [Residual; 2],
    norm: GroupNorm,
    q: Pointwise,
    k: Pointwise,
    v: Pointwise,
    out: Pointwise,
}

impl Middle {
    fn new(channels: usize, groups: usize, vb: &VarBuilder) -> Result<Self> {
        let residual = |i: usize| Residual::new(channels, channels, groups, &vb.pp("resnets").pp(i));
        let attention = vb.pp("attentions.0");
        let projection = |name: &str| Pointwise::linear(channels, channels, &attention.pp(name));
        Ok(Self {
            residuals: [residual(0)?, residual(1)?],
            norm: GroupNorm::new(groups, channels, &attention.pp("group_norm"))?,
            q: projection("to_q")?,
            k: projection("to_k")?,
            v: projection("to_v")?,
            out: projection("to_out.0")?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.residuals[0].forward(x)?;
        let (batch, height, width, channels) = x.dims4()?;
        let pixels = self.norm.forward(&x)?.reshape((batch, height * width, channels))?;
        let (q, k, v) = (
            self.q.forward(&pixels)?,
            self.k.forward(&pixels)?,
            self.v.forward(&pixels)?,
        );
        let seen = self.out.forward(&attention(&q, &k, &v, 1)?)?;
        self.residuals[1].forward(&(x + seen.reshape((batch, height, width, channels))?)?)
    }
}

/// One resolution: residual blocks, then a change of resolution but at the last level.
struct Level {
    residuals: Vec<Residual>,
    resize: Option<Conv3>,
}

impl Level {
    fn new(
        channels: (usize, usize),
        blocks: usize,
        groups: usize,
        resize: Option<&str>,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let (inputs, outputs) = channels;
        let residual = |i: usize| {
            let inputs = if i == 0 { inputs } else { outputs };
            Residual::new(inputs, outputs, groups, &vb.pp("resnets").pp(i))
        };
        let resize = resize.map(|name| Conv3::new(outputs, outputs, &vb.pp(name).pp("0.conv")));
        Ok(Self {
            residuals: (0..blocks).map(residual).collect::<Result<_>>()?,
            resize: resize.transpose()?,
        })
    }

    fn residuals(&self, x: &Tensor) -> Result<Tensor> {
        self.residuals
            .iter()
            .try_fold(x.clone(), |x, residual| residual.forward(&x))
    }
}

struct Encoder {
    input: Conv3,
    levels: Vec<Level>,
    middle: Middle,
    norm: GroupNorm,
    output: Conv3,
}

impl Encoder {
    fn new(config: &KlConfig, vb: &VarBuilder) -> Result<Self> {
        let (channels, groups) = (&config.block_out_channels, config.norm_num_groups);
        let last = channels.len() - 1;
        let level = |i: usize| {
            let resize = (i < last).then_some("downsamplers");
            let widths = (channels[i.saturating_sub(1)], channels[i]);
            Level::new(
                widths,
                config.layers_per_block,
                groups,
                resize,
                &vb.pp("down_blocks").pp(i),
            )
        };
        Ok(Self {
            input: Conv3::new(3, channels[0], &vb.pp("conv_in"))?,
            levels: (0..=last).map(level).collect::<Result<_>>()?,
            middle: Middle::new(channels[last], groups, &vb.pp("mid_block"))?,
            norm: GroupNorm::new(groups, channels[last], &vb.pp("conv_norm_out"))?,
            output: Conv3::new(channels[last], 2 * config.latent_channels, &vb.pp("conv_out"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = self.input.forward(x)?;
        for level in &self.levels {
            x = level.residuals(&x)?;
            if let Some(halve) = &level.resize {
                x = halve.halve(&x, 0)?;
            }
        }
        self.output.forward(&self.norm.forward_silu(&self.middle.forward(&x)?)?)
    }
}

struct Decoder {
    input: Conv3,
    middle: Middle,
    levels: Vec<Level>,
    norm: GroupNorm,
    output: Conv3,
}

impl Decoder {
    fn new(config: &KlConfig, vb: &VarBuilder) -> Result<Self> {
        let groups = config.norm_num_groups;
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let last = channels.len() - 1;
        let level = |i: usize| {
            let resize = (i < last).then_some("upsamplers");
            let widths = (channels[i.saturating_sub(1)], channels[i]);
            Level::new(
                widths,
                config.layers_per_block + 1,
                groups,
                resize,
                &vb.pp("up_blocks").pp(i),
            )
        };
        Ok(Self {
            input: Conv3::new(config.latent_channels, channels[0], &vb.pp("conv_in"))?,
            middle: Middle::new(channels[0], groups, &vb.pp("mid_block"))?,
            levels: (0..=last).map(level).collect::<Result<_>>()?,
            norm: GroupNorm::new(groups, channels[last], &vb.pp("conv_norm_out"))?,
            output: Conv3::new(channels[last], 3, &vb.pp("conv_out"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = self.middle.forward(&self.input.forward(x)?)?;
        for level in &self.levels {
            x = level.residuals(&x)?;
            if let Some(conv) = &level.resize {
                x = conv.forward(&enlarge(&x, 2)?)?;
            }
        }
        self.output.forward(&self.norm.forward_silu(&x)?)
    }
}

impl KlAutoencoder {
    /// Builds it from a checkpoint's tensors.
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
    pub fn encode(&self, rgb: &Tensor) -> Result<Tensor> {
        self.encode_tiled(rgb, Tiling::for_image(rgb, 1)?)
    }

    /// [`Self::encode`] with a tiling of the caller's choice.
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
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        self.decode_tiled(latents, Tiling::for_image(latents, self.config.factor())?)
    }

    /// [`Self::decode`] with a tiling of the caller's choice.
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
