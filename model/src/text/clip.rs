//! CLIP's text encoder under transformers' names (`CLIPTextModelWithProjection`), as SD3 uses it twice.

use candle_core::{DType, Device, Module, Result, Tensor};
use serde::Deserialize;

use super::attention::{Linear, attention};
use super::outline;
use crate::error::ModelError;
use crate::io::builder::Builder;
use crate::io::checkpoint::Weights;
use crate::kernels::gelu_erf;
use crate::ranges::{all_within, within};

/// The end token's id in configs that transformers wrote before it was corrected; see [`end_position`].
const LEGACY_END_ID: u32 = 2;
/// A tensor that older files hold and nobody needs: 0, 1, 2 and so on.
const POSITION_IDS: &str = "text_model.embeddings.position_ids";

/// Shape of a CLIP text encoder; field names and defaults are those of transformers' `CLIPTextConfig`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ClipConfig {
    /// Token width.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Width of the pooled vector.
    pub projection_dim: usize,
    /// Known tokens.
    pub vocab_size: usize,
    /// Tokens of a prompt, padding included.
    #[serde(default = "defaults::max_position_embeddings")]
    pub max_position_embeddings: usize,
    /// Activation of the feed-forward layers.
    #[serde(default)]
    pub hidden_act: ClipActivation,
    /// The end token, whose place gives the pooled vector.
    #[serde(default = "defaults::eos_token_id")]
    pub eos_token_id: u32,
    /// Added to the variance in every norm.
    #[serde(default = "defaults::layer_norm_eps")]
    pub layer_norm_eps: f64,
}

mod defaults {
    pub fn max_position_embeddings() -> usize {
        77
    }
    pub fn eos_token_id() -> u32 {
        49_407
    }
    pub fn layer_norm_eps() -> f64 {
        1e-5
    }
}

impl ClipConfig {
    fn check(&self) -> std::result::Result<(), String> {
        within("num_hidden_layers", self.num_hidden_layers, 1..=1000)?;
        within("num_attention_heads", self.num_attention_heads, 1..=1024)?;
        let widths = [
            ("hidden_size", self.hidden_size),
            ("projection_dim", self.projection_dim),
        ];
        all_within(&widths, 1..=65_536)?;
        within("intermediate_size", self.intermediate_size, 1..=1 << 20)?;
        within("vocab_size", self.vocab_size, 1..=1 << 24)?;
        within("max_position_embeddings", self.max_position_embeddings, 2..=65_536)?;
        within("layer_norm_eps", self.layer_norm_eps, 0.0..=1.0)?;
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(format!(
                "hidden_size {} doesn't divide into {} heads",
                self.hidden_size, self.num_attention_heads
            ));
        }
        Ok(())
    }
}

/// Activation of the feed-forward layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipActivation {
    /// `x * sigmoid(1.702 x)`: CLIP-L.
    #[default]
    QuickGelu,
    /// GELU by the error function: CLIP-G.
    Gelu,
}

impl ClipActivation {
    fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
            Self::Gelu => gelu_erf(x),
        }
    }
}

/// What SD3 takes from a CLIP text encoder.
#[derive(Debug, Clone)]
pub struct ClipOutput {
    /// Tokens before the last layer and without the final norm: `[batch, tokens, hidden_size]`.
    pub penultimate: Tensor,
    /// The end token after the last layer, normed and projected: `[batch, projection_dim]`.
    pub pooled: Tensor,
}

/// A CLIP text encoder; its layers are read as they are needed.
pub struct ClipEncoder {
    config: ClipConfig,
    vb: Builder,
}

struct Layer {
    norm_1: candle_nn::LayerNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    norm_2: candle_nn::LayerNorm,
    fc_1: Linear,
    fc_2: Linear,
}

impl Layer {
    fn new(config: &ClipConfig, vb: &Builder) -> Result<Self> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let norm = |name: &str| candle_nn::layer_norm(width, config.layer_norm_eps, vb.pp(name).into());
        let projection = |name: &str| Linear::with_bias(width, width, &vb.pp("self_attn").pp(name));
        Ok(Self {
            norm_1: norm("layer_norm1")?,
            q: projection("q_proj")?,
            k: projection("k_proj")?,
            v: projection("v_proj")?,
            out: projection("out_proj")?,
            norm_2: norm("layer_norm2")?,
            fc_1: Linear::with_bias(width, inner, &vb.pp("mlp").pp("fc1"))?,
            fc_2: Linear::with_bias(inner, width, &vb.pp("mlp").pp("fc2"))?,
        })
    }

    fn forward(&self, x: &Tensor, config: &ClipConfig, causal: &Tensor) -> Result<Tensor> {
        let heads = config.num_attention_heads;
        let scale = 1.0 / ((config.hidden_size / heads) as f64).sqrt();
        let y = self.norm_1.forward(x)?;
        let y = attention(
            &self.q.forward(&y)?,
            &self.k.forward(&y)?,
            &self.v.forward(&y)?,
            heads,
            scale,
            causal,
        )?;
        let x = (x + self.out.forward(&y)?)?;
        let y = self.fc_1.forward(&self.norm_2.forward(&x)?)?;
        x + self.fc_2.forward(&config.hidden_act.forward(&y)?)?
    }
}

impl ClipEncoder {
    /// Checks names and shapes; nothing is read yet.
    ///
    /// # Errors
    /// Bad input when a tensor is missing or doesn't fit the config.
    pub fn open(config: &ClipConfig, weights: &Weights, device: &Device) -> std::result::Result<Self, ModelError> {
        config
            .check()
            .map_err(|what| ModelError::BadInput(format!("{}: its config.json: {what}", weights.name())))?;
        let encoder = Self {
            config: config.clone(),
            vb: weights.builder(DType::F32, device),
        };
        outline::check(weights, device, |vb| {
            let outlined = Self {
                config: config.clone(),
                vb,
            };
            outlined.embeddings()?;
            (0..config.num_hidden_layers).try_for_each(|i| outlined.layer(i).map(drop))?;
            outlined.final_norm()?;
            outlined.projection()
        })?;
        weights.mark(POSITION_IDS);
        Ok(encoder)
    }

    /// Reads weights from another builder of the same tensors, such as one with an adapter over them.
    pub fn read_through(&mut self, vb: Builder) {
        self.vb = vb;
    }

    /// Token width.
    pub fn width(&self) -> usize {
        self.config.hidden_size
    }

    /// Width of the pooled vector.
    pub fn projection_width(&self) -> usize {
        self.config.projection_dim
    }

    /// Encodes token ids.
    ///
    /// # Shapes
    /// `ids: [batch, tokens]` of u32, at most `max_position_embeddings` tokens.
    ///
    /// # Errors
    /// Tokens that it doesn't know; what the device reports.
    pub fn encode(&self, ids: &Tensor) -> std::result::Result<ClipOutput, ModelError> {
        Ok(self.forward(ids)?)
    }

    fn forward(&self, ids: &Tensor) -> Result<ClipOutput> {
        let (batch, tokens) = ids.dims2()?;
        let mut x = self.embed(ids)?;
        let causal = causal_bias(tokens, ids.device())?;
        let mut penultimate = x.clone();
        for i in 0..self.config.num_hidden_layers {
            penultimate = x.clone();
            x = self.layer(i)?.forward(&x, &self.config, &causal)?;
        }
        let ends: Vec<u32> = ids
            .to_vec2()?
            .iter()
            .map(|row| end_position(row, self.config.eos_token_id))
            .collect();
        let rows: Vec<u32> = ends
            .iter()
            .zip(0..batch)
            .map(|(end, i)| (i * tokens) as u32 + end)
            .collect();
        let ends = x
            .reshape((batch * tokens, ()))?
            .index_select(&Tensor::new(rows, ids.device())?, 0)?;
        let pooled = self.final_norm()?.forward(&ends)?;
        let pooled = match self.projection()? {
            Some(projection) => projection.forward(&pooled)?,
            None => pooled,
        };
        Ok(ClipOutput { penultimate, pooled })
    }

    /// Token and position embeddings.
    fn embed(&self, ids: &Tensor) -> Result<Tensor> {
        let (batch, tokens) = ids.dims2()?;
        let (vocabulary, positions) = self.embeddings()?;
        let x = vocabulary
            .index_select(&ids.flatten_all()?, 0)?
            .reshape((batch, tokens, ()))?;
        x.broadcast_add(&positions.narrow(0, 0, tokens)?)
    }

    fn embeddings(&self) -> Result<(Tensor, Tensor)> {
        let (c, vb) = (&self.config, self.vb.pp("text_model.embeddings"));
        let vocabulary = vb.get((c.vocab_size, c.hidden_size), "token_embedding.weight")?;
        Ok((
            vocabulary,
            vb.get((c.max_position_embeddings, c.hidden_size), "position_embedding.weight")?,
        ))
    }

    fn layer(&self, index: usize) -> Result<Layer> {
        Layer::new(&self.config, &self.vb.pp("text_model.encoder.layers").pp(index))
    }

    fn final_norm(&self) -> Result<candle_nn::LayerNorm> {
        let c = &self.config;
        candle_nn::layer_norm(
            c.hidden_size,
            c.layer_norm_eps,
            self.vb.pp("text_model.final_layer_norm").into(),
        )
    }

    /// The projection of the pooled vector; files that were made for SD1 lack it, which stands for the identity.
    fn projection(&self) -> Result<Option<Linear>> {
        let (width, projected) = (self.config.hidden_size, self.config.projection_dim);
        if width == projected && !self.vb.contains_tensor("text_projection.weight") {
            return Ok(None);
        }
        Linear::new(width, projected, &self.vb.pp("text_projection")).map(Some)
    }
}

/// Zero where a token may look (itself and before), minus infinity elsewhere: `[tokens, tokens]`.
fn causal_bias(tokens: usize, device: &Device) -> Result<Tensor> {
    let value = |at: usize| {
        if at % tokens > at / tokens {
            f32::NEG_INFINITY
        } else {
            0.0
        }
    };
    Tensor::from_iter((0..tokens * tokens).map(value), device)?.reshape((tokens, tokens))
}

/// Where the prompt ends, by transformers' rules: the first end token; in configs that give 2 for its id, which it
/// never is, the first of the highest id; 0 when there is none.
fn end_position(ids: &[u32], end_id: u32) -> u32 {
    let end_id = if end_id == LEGACY_END_ID {
        ids.iter().copied().max().unwrap_or_default()
    } else {
        end_id
    };
    ids.iter().position(|&id| id == end_id).unwrap_or_default() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_ends_at_its_first_end_token() {
        assert_eq!(end_position(&[5, 7, 9, 9], 9), 2);
        assert_eq!(end_position(&[5, 9, 7, 0], LEGACY_END_ID), 1);
        assert_eq!(
            end_position(&[5, 2, 7, 9, 0], LEGACY_END_ID),
            3,
            "2 is no end token, 9 is"
        );
        assert_eq!(end_position(&[5, 6], 9), 0);
    }
}
