//! The bundled model's autoencoder: a linear 4x4 patch transform, lapped if the config says so, with a convolutional
//! correction on either side.
//!
//! The linear part starts as a partially whitened cosine transform of training patches (see `train::transform`), which keeps
//! what this project is about: streaks and noise survive it. The correction starts
//! at zero and learns what a linear map cannot do. Inside, images are channels-last, so that a convolution is one matrix
//! product.

use candle_core::{Result, Tensor};

use super::lapped::Lap;
use crate::config::MiniAutoencoderConfig;
use crate::io::builder::Builder;
use crate::kernels::{Sampling, add, conv3x3, linear, silu};

/// Encoder and decoder.
pub struct MiniAutoencoder {
    config: MiniAutoencoderConfig,
    lap: Option<Lap>,
    encoder: Half,
    decoder: Half,
}

/// One direction: a linear map of each latent pixel plus a convolutional correction.
struct Half {
    weight: Tensor,
    bias: Tensor,
    correction: Correction,
}

struct Correction {
    input: Conv,
    blocks: Vec<[Conv; 2]>,
    output: Conv,
}

struct Conv {
    weight: Tensor,
    bias: Tensor,
}

impl Conv {
    fn new(inputs: usize, outputs: usize, gain: f64, vb: Builder) -> Result<Self> {
        let stdev = gain / (9.0 * inputs as f64).sqrt();
        Ok(Self {
            weight: vb.get_with_hints(
                (outputs, 9 * inputs),
                "weight",
                candle_nn::Init::Randn { mean: 0.0, stdev },
            )?,
            bias: vb.get_with_hints(outputs, "bias", candle_nn::init::ZERO)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        conv3x3(x, &self.weight, &self.bias, Sampling::Same)
    }
}

impl Correction {
    fn new(inputs: usize, outputs: usize, config: &MiniAutoencoderConfig, vb: Builder) -> Result<Self> {
        let hidden = config.hidden_channels;
        let block = |i: usize| -> Result<[Conv; 2]> {
            let vb = vb.pp("blocks").pp(i);
            Ok([
                Conv::new(hidden, hidden, 1.4, vb.pp(0))?,
                Conv::new(hidden, hidden, 0.5, vb.pp(1))?,
            ])
        };
        Ok(Self {
            input: Conv::new(inputs, hidden, 1.0, vb.pp("input"))?,
            blocks: (0..config.blocks).map(block).collect::<Result<_>>()?,
            output: Conv::new(hidden, outputs, 0.0, vb.pp("output"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = self.input.forward(x)?;
        for [first, second] in &self.blocks {
            x = add(&x, &second.forward(&silu(&first.forward(&silu(&x)?)?)?)?)?;
        }
        self.output.forward(&silu(&x)?)
    }
}

impl Half {
    fn new(inputs: usize, outputs: usize, config: &MiniAutoencoderConfig, vb: Builder) -> Result<Self> {
        let init = candle_nn::Init::Randn {
            mean: 0.0,
            stdev: (1.0 / inputs as f64).sqrt(),
        };
        Ok(Self {
            weight: vb.pp("linear").get_with_hints((outputs, inputs), "weight", init)?,
            bias: vb.pp("linear").get_with_hints(outputs, "bias", candle_nn::init::ZERO)?,
            correction: Correction::new(inputs, outputs, config, vb.pp("correction"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        add(
            &linear(x, &self.weight, Some(&self.bias))?,
            &self.correction.forward(x)?,
        )
    }
}

impl MiniAutoencoder {
    /// Builds it from a checkpoint's tensors or fresh variables.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    pub fn new(config: &MiniAutoencoderConfig, vb: Builder) -> Result<Self> {
        let (pixels, channels) = (3 * config.factor * config.factor, config.latent_channels);
        Ok(Self {
            config: config.clone(),
            lap: config
                .lapped
                .then(|| Lap::new(config.factor, vb.device()))
                .transpose()?,
            encoder: Half::new(pixels, channels, config, vb.pp("encoder"))?,
            decoder: Half::new(channels, pixels, config, vb.pp("decoder"))?,
        })
    }

    /// Pixels per latent pixel side.
    pub fn factor(&self) -> usize {
        self.config.factor
    }

    /// What the linear encoder sees: patches, overlapping where the config says so, channels last.
    ///
    /// # Shapes
    /// `rgb: [batch, 3, height, width]`, result `[batch, height/factor, width/factor, 3 factor²]`.
    pub(crate) fn patches(&self, rgb: &Tensor) -> Result<Tensor> {
        match &self.lap {
            Some(lap) => patches_from_rgb(&lap.before_analysis(rgb)?, self.config.factor),
            None => patches_from_rgb(rgb, self.config.factor),
        }
    }

    /// # Shapes
    /// `rgb: [batch, 3, height, width]` in -1..=1, result `[batch, latent_channels, height/factor, width/factor]`.
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn encode(&self, rgb: &Tensor) -> Result<Tensor> {
        let patches = self.patches(rgb)?;
        self.encoder.forward(&patches)?.permute((0, 3, 1, 2))?.contiguous()
    }

    /// # Shapes
    /// Inverse of [`Self::encode`]; values may leave -1..=1 a little.
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let patches = self.decoder.forward(&latents.permute((0, 2, 3, 1))?.contiguous()?)?;
        let rgb = rgb_from_patches(&patches, self.config.factor)?;
        match &self.lap {
            Some(lap) => lap.after_synthesis(&rgb),
            None => Ok(rgb),
        }
    }
}

/// Pixel unshuffle to channels-last patches: `[b, 3, h, w]` to `[b, h/f, w/f, 3 f²]`.
fn patches_from_rgb(rgb: &Tensor, factor: usize) -> Result<Tensor> {
    let (batch, _, height, width) = rgb.dims4()?;
    let (rows, cols) = (height / factor, width / factor);
    rgb.reshape((batch, 3, rows, factor, cols, factor))?
        .permute((0, 2, 4, 1, 3, 5))?
        .reshape((batch, rows, cols, 3 * factor * factor))
}

/// Inverse of [`patches_from_rgb`].
fn rgb_from_patches(patches: &Tensor, factor: usize) -> Result<Tensor> {
    let (batch, rows, cols, _) = patches.dims4()?;
    patches
        .reshape((batch, rows, cols, 3, factor, factor))?
        .permute((0, 3, 1, 4, 2, 5))?
        .reshape((batch, 3, rows * factor, cols * factor))
}
