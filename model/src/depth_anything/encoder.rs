//! The encoder: `DINOv2` (Oquab et al. 2024), a vision transformer whose layers' outputs are tapped at four depths.

use candle_core::{Result, Tensor};
use candle_nn::{LayerNorm, Module, layer_norm};

use super::config::EncoderConfig;
use super::resample::cubic;
use crate::io::builder::Builder;
use crate::kernels::{attention, gated_residual, gelu_erf, linear};
use crate::text::Linear;

/// Added to the variance in every norm.
const EPSILON: f64 = 1e-6;

pub(super) struct Encoder {
    /// Weights of the convolution that makes a token of a patch, `[width, patch * patch * 3]`, and its bias.
    patches: [Tensor; 2],
    class: Tensor,
    /// Of the class token, `[1, width]`, and of the patches of a square image, `[side, side, width]`.
    positions: [Tensor; 2],
    blocks: Vec<Block>,
    norm: LayerNorm,
    config: EncoderConfig,
}

impl Encoder {
    pub fn new(config: &EncoderConfig, vb: &Builder) -> Result<Self> {
        let (width, patch, side) = (config.hidden_size, config.patch_size, config.positions_per_side());
        let embeddings = vb.pp("embeddings");
        let projection = embeddings.pp("patch_embeddings.projection");
        let weight = projection.get((width, 3, patch, patch), "weight")?;
        let positions = embeddings
            .get((1, 1 + side * side, width), "position_embeddings")?
            .squeeze(0)?;
        let layers = vb.pp("encoder.layer");
        Ok(Self {
            patches: [
                weight.permute((0, 2, 3, 1))?.reshape((width, patch * patch * 3))?,
                projection.get(width, "bias")?,
            ],
            class: embeddings.get((1, 1, width), "cls_token")?.squeeze(0)?,
            positions: [
                positions.narrow(0, 0, 1)?,
                positions.narrow(0, 1, side * side)?.reshape((side, side, width))?,
            ],
            blocks: (0..config.num_hidden_layers)
                .map(|i| Block::new(config, &layers.pp(i)))
                .collect::<Result<_>>()?,
            norm: layer_norm(width, EPSILON, vb.pp("layernorm").into())?,
            config: config.clone(),
        })
    }

    /// The patches' tokens at the four taps, normed.
    ///
    /// # Shapes
    /// `pixels: [height, width, 3]`, both sides multiples of the patch; result `[1, height / patch, width / patch, channels]`
    /// each.
    pub fn forward(&self, pixels: &Tensor) -> Result<Vec<Tensor>> {
        let (height, width, channels) = pixels.dims3()?;
        let patch = self.config.patch_size;
        let (rows, cols) = (height / patch, width / patch);
        let [weight, bias] = &self.patches;
        let patches = pixels
            .reshape((rows, patch, cols, patch, channels))?
            .permute((0, 2, 1, 3, 4))?
            .reshape((rows * cols, patch * patch * channels))?;
        let [class_position, positions] = &self.positions;
        let positions = cubic(positions, rows, cols)?.reshape((rows * cols, self.config.hidden_size))?;
        let patches = (linear(&patches, weight, Some(bias))? + positions)?;
        let mut x = Tensor::cat(&[&(&self.class + class_position)?, &patches], 0)?.unsqueeze(0)?;
        let mut taps = Vec::new();
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, self.config.num_attention_heads)?;
            if self.config.out_indices.contains(&(i + 1)) {
                let tokens = x.narrow(1, 1, rows * cols)?;
                let normed = self.norm.forward(&tokens.contiguous()?)?;
                taps.push(normed.reshape((1, rows, cols, self.config.hidden_size))?);
            }
        }
        Ok(taps)
    }
}

struct Block {
    norm_1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    scale_1: Tensor,
    norm_2: LayerNorm,
    fc_1: Linear,
    fc_2: Linear,
    scale_2: Tensor,
}

impl Block {
    fn new(config: &EncoderConfig, vb: &Builder) -> Result<Self> {
        let (width, inner) = (config.hidden_size, config.hidden_size * config.mlp_ratio);
        let norm = |name: &str| layer_norm(width, EPSILON, vb.pp(name).into());
        let projection = |name: &str| Linear::with_bias(width, width, &vb.pp("attention").pp(name));
        let scale = |name: &str| vb.pp(name).get(width, "lambda1")?.unsqueeze(0);
        Ok(Self {
            norm_1: norm("norm1")?,
            query: projection("attention.query")?,
            key: projection("attention.key")?,
            value: projection("attention.value")?,
            out: projection("output.dense")?,
            scale_1: scale("layer_scale1")?,
            norm_2: norm("norm2")?,
            fc_1: Linear::with_bias(width, inner, &vb.pp("mlp.fc1"))?,
            fc_2: Linear::with_bias(inner, width, &vb.pp("mlp.fc2"))?,
            scale_2: scale("layer_scale2")?,
        })
    }

    fn forward(&self, x: &Tensor, heads: usize) -> Result<Tensor> {
        let y = self.norm_1.forward(x)?;
        let (q, k, v) = (self.query.forward(&y)?, self.key.forward(&y)?, self.value.forward(&y)?);
        let y = self.out.forward(&attention(&q, &k, &v, heads)?)?;
        let x = gated_residual(x, &self.scale_1, &y)?;
        let y = self.fc_1.forward(&self.norm_2.forward(&x)?)?;
        gated_residual(&x, &self.scale_2, &self.fc_2.forward(&gelu_erf(&y)?)?)
    }
}
