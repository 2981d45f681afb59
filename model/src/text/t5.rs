//! T5's encoder under transformers' names (`T5EncoderModel`): RMS norms, relative positions, gated GELU.

use candle_core::{DType, Device, Module, Result, Tensor};
use serde::Deserialize;

use super::attention::{Linear, attention};
use super::outline;
use crate::error::ModelError;
use crate::io::builder::Builder;
use crate::io::checkpoint::Weights;
use crate::kernels::gelu_tanh;
use crate::ranges::within;

/// Two names of the vocabulary; files hold one of them or both.
const VOCABULARY_KEYS: [&str; 2] = ["shared.weight", "encoder.embed_tokens.weight"];

/// Shape of a T5 encoder; field names and defaults are those of transformers' `T5Config`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct T5Config {
    /// Token width.
    pub d_model: usize,
    /// Width of one head.
    pub d_kv: usize,
    /// Width inside the feed-forward layers.
    pub d_ff: usize,
    /// Blocks.
    pub num_layers: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Known tokens.
    pub vocab_size: usize,
    /// Distances that are told apart, both directions together.
    #[serde(default = "defaults::buckets")]
    pub relative_attention_num_buckets: usize,
    /// Tokens from where on all distances count as one.
    #[serde(default = "defaults::max_distance")]
    pub relative_attention_max_distance: usize,
    /// Added to the mean square in every norm.
    #[serde(default = "defaults::epsilon")]
    pub layer_norm_epsilon: f64,
    /// Kind of the feed-forward layers.
    #[serde(default = "defaults::feed_forward_proj")]
    pub feed_forward_proj: String,
}

mod defaults {
    pub fn buckets() -> usize {
        32
    }
    pub fn max_distance() -> usize {
        128
    }
    pub fn epsilon() -> f64 {
        1e-6
    }
    pub fn feed_forward_proj() -> String {
        "gated-gelu".to_owned()
    }
}

impl T5Config {
    fn check(&self, name: &str) -> std::result::Result<(), ModelError> {
        self.check_ranges()
            .map_err(|what| ModelError::BadInput(format!("{name}: its config.json: {what}")))?;
        if self.feed_forward_proj != "gated-gelu" {
            return Err(ModelError::BadInput(format!(
                "{name}: a T5 with {} layers; SD3's T5 v1.1 has gated-gelu",
                self.feed_forward_proj
            )));
        }
        Ok(())
    }
}

impl T5Config {
    fn check_ranges(&self) -> std::result::Result<(), String> {
        within("num_layers", self.num_layers, 1..=1000)?;
        within("num_heads", self.num_heads, 1..=1024)?;
        within("d_kv", self.d_kv, 1..=4096)?;
        within("d_model", self.d_model, 1..=65_536)?;
        within("d_ff", self.d_ff, 1..=1 << 20)?;
        within("vocab_size", self.vocab_size, 1..=1 << 24)?;
        let (buckets, farthest) = (
            self.relative_attention_num_buckets,
            self.relative_attention_max_distance,
        );
        within("relative_attention_num_buckets", buckets, 4..=4096)?;
        within("relative_attention_max_distance", farthest, 2..=1 << 20)?;
        within("layer_norm_epsilon", self.layer_norm_epsilon, 0.0..=1.0)
    }
}

/// A T5 encoder; its blocks are read as they are needed.
pub struct T5Encoder {
    config: T5Config,
    vb: Builder,
}

struct Block {
    norm_1: candle_nn::RmsNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    norm_2: candle_nn::RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Block {
    fn new(config: &T5Config, vb: &Builder) -> Result<Self> {
        let (width, heads) = (config.d_model, config.num_heads * config.d_kv);
        let (one, two) = (vb.pp("layer.0"), vb.pp("layer.1"));
        let attention = one.pp("SelfAttention");
        let feed_forward = two.pp("DenseReluDense");
        let norm = |vb: &Builder| candle_nn::rms_norm(width, config.layer_norm_epsilon, vb.pp("layer_norm").into());
        Ok(Self {
            norm_1: norm(&one)?,
            q: Linear::new(width, heads, &attention.pp("q"))?,
            k: Linear::new(width, heads, &attention.pp("k"))?,
            v: Linear::new(width, heads, &attention.pp("v"))?,
            out: Linear::new(heads, width, &attention.pp("o"))?,
            norm_2: norm(&two)?,
            gate: Linear::new(width, config.d_ff, &feed_forward.pp("wi_0"))?,
            up: Linear::new(width, config.d_ff, &feed_forward.pp("wi_1"))?,
            down: Linear::new(config.d_ff, width, &feed_forward.pp("wo"))?,
        })
    }

    fn forward(&self, x: &Tensor, heads: usize, positions: &Tensor) -> Result<Tensor> {
        let y = self.norm_1.forward(x)?;
        // T5 folds the usual 1/sqrt(d) into its weights.
        let y = attention(
            &self.q.forward(&y)?,
            &self.k.forward(&y)?,
            &self.v.forward(&y)?,
            heads,
            1.0,
            positions,
        )?;
        let x = (x + self.out.forward(&y)?)?;
        let y = self.norm_2.forward(&x)?;
        x + self
            .down
            .forward(&(gelu_tanh(&self.gate.forward(&y)?)? * self.up.forward(&y)?)?)?
    }
}

impl T5Encoder {
    /// Checks names and shapes; nothing is read yet.
    ///
    /// # Errors
    /// Bad input when a tensor is missing or doesn't fit the config.
    pub fn open(config: &T5Config, weights: &Weights, device: &Device) -> std::result::Result<Self, ModelError> {
        config.check(weights.name())?;
        let encoder = Self {
            config: config.clone(),
            vb: weights.builder(DType::F32, device),
        };
        outline::check(weights, device, |vb| {
            let outlined = Self {
                config: config.clone(),
                vb,
            };
            outlined.vocabulary()?;
            outlined.distances()?;
            (0..config.num_layers).try_for_each(|i| outlined.block(i).map(drop))?;
            outlined.final_norm()
        })?;
        for key in VOCABULARY_KEYS {
            weights.mark(key);
        }
        Ok(encoder)
    }

    /// Reads weights from another builder of the same tensors, such as one with an adapter over them.
    pub fn read_through(&mut self, vb: Builder) {
        self.vb = vb;
    }

    /// Encodes token ids; padding takes part, as in SD3.
    ///
    /// # Shapes
    /// `ids: [batch, tokens]` of u32, result `[batch, tokens, d_model]` in f32.
    ///
    /// # Errors
    /// Tokens that it doesn't know; what the device reports.
    pub fn encode(&self, ids: &Tensor) -> std::result::Result<Tensor, ModelError> {
        Ok(self.forward(ids)?)
    }

    fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let (batch, tokens) = ids.dims2()?;
        let mut x = self
            .vocabulary()?
            .index_select(&ids.flatten_all()?, 0)?
            .reshape((batch, tokens, ()))?;
        let positions = self.position_bias(tokens, ids.device())?;
        for i in 0..self.config.num_layers {
            x = self.block(i)?.forward(&x, self.config.num_heads, &positions)?;
        }
        self.final_norm()?.forward(&x)
    }

    fn vocabulary(&self) -> Result<Tensor> {
        let key = if self.vb.contains_tensor(VOCABULARY_KEYS[0]) {
            VOCABULARY_KEYS[0]
        } else {
            VOCABULARY_KEYS[1]
        };
        self.vb.get((self.config.vocab_size, self.config.d_model), key)
    }

    fn block(&self, index: usize) -> Result<Block> {
        Block::new(&self.config, &self.vb.pp("encoder.block").pp(index))
    }

    fn final_norm(&self) -> Result<candle_nn::RmsNorm> {
        let c = &self.config;
        candle_nn::rms_norm(
            c.d_model,
            c.layer_norm_epsilon,
            self.vb.pp("encoder.final_layer_norm").into(),
        )
    }

    /// What each distance adds to each head's scores; all blocks share the first one's.
    fn distances(&self) -> Result<Tensor> {
        let shape = (self.config.relative_attention_num_buckets, self.config.num_heads);
        self.vb.get(
            shape,
            "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        )
    }

    /// `[1, heads, tokens, tokens]`
    fn position_bias(&self, tokens: usize, device: &Device) -> Result<Tensor> {
        let (buckets, farthest) = (
            self.config.relative_attention_num_buckets,
            self.config.relative_attention_max_distance,
        );
        let bucket = |at: usize| distance_bucket(at / tokens, at % tokens, buckets, farthest);
        let indices = Tensor::from_iter((0..tokens * tokens).map(bucket), device)?;
        let bias = self.distances()?.index_select(&indices, 0)?;
        bias.reshape((tokens, tokens, ()))?
            .permute((2, 0, 1))?
            .unsqueeze(0)?
            .contiguous()
    }
}

/// The bucket of the distance from a query to a key (Raffel et al. 2020, section 2.1): half of them for keys behind the
/// query; of each half, one per distance at first, then wider ones on a logarithmic scale up to `farthest`.
fn distance_bucket(query: usize, key: usize, buckets: usize, farthest: usize) -> u32 {
    let half = buckets / 2;
    let exact = half / 2;
    let distance = query.abs_diff(key);
    let bucket = if distance < exact {
        distance
    } else {
        // In f32 as transformers computes it, since a rounding may fall on either side of a bucket's edge.
        let ratio = (distance as f32 / exact as f32).ln() / (farthest as f64 / exact as f64).ln() as f32;
        (exact + (ratio * (half - exact) as f32) as usize).min(half - 1)
    };
    (bucket + if key > query { half } else { 0 }) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_fall_into_growing_buckets() {
        let bucket = |query, key| distance_bucket(query, key, 32, 128);
        assert_eq!([0, 1, 7].map(|d| bucket(d, 0)), [0, 1, 7]);
        assert_eq!(
            [8, 16, 32, 64, 127, 128, 255].map(|d| bucket(d, 0)),
            [8, 10, 12, 14, 15, 15, 15]
        );
        assert_eq!([1, 8, 255].map(|d| bucket(0, d)), [17, 24, 31]);
    }
}
