//! Attention and linear layers of the text encoders. The transformer's own attention takes no bias, which both need here.

use candle_core::{Result, Tensor};

use crate::io::builder::{Builder, Weight};

/// A weight, and a bias in CLIP.
pub(crate) struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

impl Linear {
    pub fn with_bias(inputs: usize, outputs: usize, vb: &Builder) -> Result<Self> {
        Ok(Self {
            bias: Some(vb.get(outputs, "bias")?),
            ..Self::new(inputs, outputs, vb)?
        })
    }

    pub fn new(inputs: usize, outputs: usize, vb: &Builder) -> Result<Self> {
        Ok(Self {
            weight: vb.matrix((outputs, inputs), candle_nn::init::ZERO)?,
            bias: None,
        })
    }

    /// # Shapes
    /// `x: [.., inputs]`, result `[.., outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.weight.linear(x, self.bias.as_ref())
    }
}

/// `softmax(scale * q kᵀ + bias) v` per head.
///
/// # Shapes
/// `q`, `k`, `v: [batch, tokens, heads * d]`, `bias` broadcasts to `[batch, heads, tokens, tokens]`, result like `q`.
pub(super) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize, scale: f64, bias: &Tensor) -> Result<Tensor> {
    let (batch, tokens, width) = q.dims3()?;
    let split = |x: &Tensor| {
        x.reshape((batch, tokens, heads, width / heads))?
            .transpose(1, 2)?
            .contiguous()
    };
    let scores = (split(q)?.matmul(&split(k)?.t()?)? * scale)?.broadcast_add(bias)?;
    // Without a gradient, and faster for it: text encoders aren't trained.
    let weights = candle_nn::ops::softmax_last_dim(&scores)?;
    weights
        .matmul(&split(v)?)?
        .transpose(1, 2)?
        .reshape((batch, tokens, width))
}
