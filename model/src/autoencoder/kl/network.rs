//! The two halves of the KL autoencoder and what they are made of; images are channels-last.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::KlConfig;
use crate::autoencoder::layers::{Conv3, GroupNorm, Pointwise};
use crate::kernels::{add, attention};

/// Norm, `SiLU` and convolution, twice, around a shortcut.
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
            Some(shortcut) => add(&shortcut.forward(x)?, &y),
            None => add(x, &y),
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
        self.residuals[1].forward(&add(&x, &seen.reshape((batch, height, width, channels))?)?)
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

/// Pixels to the mean and the logarithm of the variance of latents.
pub(super) struct Encoder {
    input: Conv3,
    levels: Vec<Level>,
    middle: Middle,
    norm: GroupNorm,
    output: Conv3,
}

impl Encoder {
    pub fn new(config: &KlConfig, vb: &VarBuilder) -> Result<Self> {
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

    /// # Shapes
    /// `x: [batch, height, width, 3]`, result `[batch, height/factor, width/factor, 2 * latent channels]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
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

/// Unscaled latents to pixels.
pub(super) struct Decoder {
    input: Conv3,
    middle: Middle,
    levels: Vec<Level>,
    norm: GroupNorm,
    output: Conv3,
}

impl Decoder {
    pub fn new(config: &KlConfig, vb: &VarBuilder) -> Result<Self> {
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

    /// # Shapes
    /// `x: [batch, height/factor, width/factor, latent channels]`, result `[batch, height, width, 3]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = self.middle.forward(&self.input.forward(x)?)?;
        for level in &self.levels {
            x = level.residuals(&x)?;
            if let Some(conv) = &level.resize {
                x = conv.double(&x)?;
            }
        }
        self.output.forward(&self.norm.forward_silu(&x)?)
    }
}
