//! TAESD3, the tiny autoencoder for previews, under diffusers' names (`AutoencoderTiny`); of its authors' own files the
//! decoder is enough.
//!
//! Its latents are the transformer's own: no shift, no scaling. Its shape is told from its tensors: what follows a gap in
//! the numbering is after an activation or an enlargement, which have no weights.

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;

use super::layers::{Conv3, Pointwise, channels_first, channels_last};
use super::tiling::Tiling;
use crate::error::ModelError;
use crate::io::checkpoint::Weights;

/// Largest value that latents keep; the decoder bends them towards it, as in training.
const LATENT_MAGNITUDE: f64 = 3.0;

/// Encoder and decoder.
pub struct TinyAutoencoder {
    /// Missing in TAESD3's own decoder file.
    encoder: Option<Vec<Layer>>,
    decoder: Vec<Layer>,
    latent_channels: usize,
    dtype: DType,
}

/// Three convolutions around a shortcut.
struct Block {
    convs: [Conv3; 3],
    skip: Option<Pointwise>,
}

enum Layer {
    Conv(Conv3),
    /// Convolution that halves the sides.
    Halve(Conv3),
    /// Enlargement by two, then a convolution.
    Double(Conv3),
    Relu,
    Block(Block),
}

impl Block {
    fn new(weights: &Weights, name: &str, vb: &VarBuilder) -> Result<Self> {
        let (outputs, inputs) = widths(weights, &format!("{name}.conv.0.weight"))?;
        let conv = |i: usize, inputs: usize| Conv3::new(inputs, outputs, &vb.pp("conv").pp(i));
        let skip = (inputs != outputs).then(|| Pointwise::conv_without_bias(inputs, outputs, &vb.pp("skip")));
        Ok(Self {
            convs: [conv(0, inputs)?, conv(2, outputs)?, conv(4, outputs)?],
            skip: skip.transpose()?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [first, second, third] = &self.convs;
        let y = third.forward(&second.forward(&first.forward(x)?.relu()?)?.relu()?)?;
        let shortcut = match &self.skip {
            Some(skip) => skip.forward(x)?,
            None => x.clone(),
        };
        (y + shortcut)?.relu()
    }
}

impl Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Halve(conv) => conv.halve(x, 1),
            Self::Double(conv) => conv.double(x),
            Self::Relu => x.relu(),
            Self::Block(block) => block.forward(x),
        }
    }
}

/// Outputs and inputs of a convolution.
fn widths(weights: &Weights, name: &str) -> Result<(usize, usize)> {
    match weights.shape(name).as_deref() {
        Some([outputs, inputs, ..]) => Ok((*outputs, *inputs)),
        _ => candle_core::bail!("tensor {name} is missing or no convolution: is this TAESD3?"),
    }
}

/// The layers of one half, in their order. Convolutions without a bias are those that change the resolution.
fn layers(weights: &Weights, half: &str, vb: &VarBuilder) -> Result<Vec<Layer>> {
    let prefix = format!("{half}.layers.");
    let index = |key: &str| key.strip_prefix(&prefix)?.split('.').next()?.parse::<usize>().ok();
    let Some(last) = weights.keys().filter_map(index).max() else {
        candle_core::bail!("no tensors {prefix}*: is this TAESD3, or its decoder?")
    };
    let mut layers = Vec::new();
    for i in 0..=last {
        let (name, vb) = (format!("{prefix}{i}"), vb.pp(half).pp("layers").pp(i));
        if weights.contains(&format!("{name}.conv.0.weight")) {
            layers.push(Layer::Block(Block::new(weights, &name, &vb)?));
        } else if weights.contains(&format!("{name}.weight")) {
            let (outputs, inputs) = widths(weights, &format!("{name}.weight"))?;
            layers.push(if weights.contains(&format!("{name}.bias")) {
                Layer::Conv(Conv3::new(inputs, outputs, &vb)?)
            } else {
                let conv = Conv3::without_bias(inputs, outputs, &vb)?;
                if half == "encoder" {
                    Layer::Halve(conv)
                } else {
                    Layer::Double(conv)
                }
            });
        } else if i == 1 {
            layers.push(Layer::Relu);
        }
    }
    Ok(layers)
}

impl TinyAutoencoder {
    /// Builds it from a checkpoint's tensors.
    ///
    /// # Errors
    /// Bad input when tensors are missing, or left over.
    pub fn open(
        weights: &Weights,
        dtype: DType,
        device: &candle_core::Device,
    ) -> std::result::Result<Self, ModelError> {
        let vb = weights.builder(dtype, device);
        let bad = |e: candle_core::Error| ModelError::in_tensors(weights.name(), &e);
        let has_encoder = weights.keys().any(|key| key.starts_with("encoder."));
        let encoder = has_encoder
            .then(|| layers(weights, "encoder", &vb))
            .transpose()
            .map_err(bad)?;
        let decoder = layers(weights, "decoder", &vb).map_err(bad)?;
        weights.check_all_used()?;
        let (_, latent_channels) = widths(weights, "decoder.layers.0.weight").map_err(bad)?;
        Ok(Self {
            encoder,
            decoder,
            latent_channels,
            dtype,
        })
    }

    /// Latent channels: 16 for SD3.
    pub fn latent_channels(&self) -> usize {
        self.latent_channels
    }

    /// Pixels per latent pixel side: 8 in TAESD3.
    pub fn factor(&self) -> usize {
        let doublings = self
            .decoder
            .iter()
            .filter(|layer| matches!(layer, Layer::Double(_)))
            .count();
        1 << doublings
    }

    /// # Shapes
    /// `rgb: [batch, 3, height, width]` in -1..=1, sides multiples of [`Self::factor`]; result
    /// `[batch, latent_channels, height / factor, width / factor]`.
    ///
    /// # Errors
    /// A decoder alone, which has no encoder; tensors of other shapes.
    pub fn encode(&self, rgb: &Tensor) -> Result<Tensor> {
        let Some(encoder) = &self.encoder else {
            candle_core::bail!("this tiny autoencoder is a decoder alone: it serves as --preview-vae, not as --vae")
        };
        let encode = |rgb: &Tensor| {
            let unit = ((channels_last(rgb, self.dtype)? + 1.0)? * 0.5)?;
            channels_first(&run(encoder, &unit)?)
        };
        match Tiling::for_image(rgb, 1)? {
            Some(tiling) => tiling.encode(rgb, self.factor(), encode),
            None => encode(rgb),
        }
    }

    /// # Shapes
    /// Inverse of [`Self::encode`]; values may leave -1..=1 a little.
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let decode = |latents: &Tensor| {
            let bent = ((channels_last(latents, self.dtype)? / LATENT_MAGNITUDE)?.tanh()? * LATENT_MAGNITUDE)?;
            channels_first(&((run(&self.decoder, &bent)? * 2.0)? - 1.0)?)
        };
        match Tiling::for_image(latents, self.factor())? {
            Some(tiling) => tiling.decode(latents, self.factor(), decode),
            None => decode(latents),
        }
    }
}

fn run(layers: &[Layer], x: &Tensor) -> Result<Tensor> {
    layers.iter().try_fold(x.clone(), |x, layer| layer.forward(&x))
}
