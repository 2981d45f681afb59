//! The clean-image path: a second stream that sees the scene alone.
//!
//! It has no `AdaLN` modulation, as that would tell it the class, and so it does not see the timestep either. What it adds
//! to the image stream is therefore constant for a scene: [`CleanCache`] holds it, zero projections applied.

use candle_core::{Result, Tensor};

use super::Linear;
use super::block::FeedForward;
use super::embed::PatchEmbed;
use crate::config::MmditConfig;
use crate::io::builder::Builder;
use crate::kernels::{add, attention, layer_norm};

/// What the clean path adds to the image stream's q, k and v in every block: `[scenes, tokens, width]` each.
#[derive(Clone)]
pub struct CleanCache {
    blocks: Vec<[Tensor; 3]>,
    /// How far, in latent pixels, the grid of its tokens goes beyond the scene.
    pub(super) margin: usize,
}

impl CleanCache {
    pub(super) fn block(&self, index: usize) -> Result<&[Tensor; 3]> {
        self.blocks
            .get(index)
            .ok_or_else(|| candle_core::Error::Msg(format!("the clean cache has no block {index}")))
    }

    /// Bytes that the cache holds.
    pub fn bytes(&self) -> usize {
        self.blocks
            .iter()
            .flatten()
            .map(|t| t.elem_count() * t.dtype().size_in_bytes())
            .sum()
    }
}

/// The clean path's raw q, k, v per block, `[batch, tokens, width]` each, before the zero projections.
pub struct CleanProjections<'a> {
    /// Query, key, value per block.
    pub blocks: Vec<[Tensor; 3]>,
    path: &'a CleanPath,
    margin: usize,
}

impl CleanProjections<'_> {
    /// Applies the zero projections.
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn into_cache(self) -> Result<CleanCache> {
        Ok(CleanCache {
            margin: self.margin,
            blocks: self
                .path
                .blocks
                .iter()
                .zip(&self.blocks)
                .map(|(block, qkv)| block.project(qkv))
                .collect::<Result<_>>()?,
        })
    }
}

pub(super) struct CleanPath {
    patches: PatchEmbed,
    blocks: Vec<CleanBlock>,
    heads: usize,
}

struct CleanBlock {
    qkv: [Linear; 3],
    zero: [Linear; 3],
    /// Absent in the last block, after which nobody reads the stream.
    rest: Option<CleanRest>,
}

struct CleanRest {
    to_out: Linear,
    ff: FeedForward,
    zero_block: Linear,
}

impl CleanPath {
    pub(super) fn new(config: &MmditConfig, vb: &Builder) -> Result<Self> {
        let block = |i: usize| CleanBlock::new(config, i + 1 == config.num_layers, vb.pp("transformer_blocks").pp(i));
        Ok(Self {
            patches: PatchEmbed::new(config, vb.pp("pos_embed_clean"))?,
            blocks: (0..config.num_layers).map(block).collect::<Result<_>>()?,
            heads: config.num_attention_heads,
        })
    }

    pub(super) fn project(
        &self,
        scene_latents: &Tensor,
        origin: Option<(usize, usize)>,
        margin: usize,
    ) -> Result<CleanProjections<'_>> {
        let mut stream = Some(self.patches.forward(scene_latents, origin, margin)?);
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for index in 0..self.blocks.len() {
            let Some(x) = &stream else {
                candle_core::bail!("a clean block after the last one")
            };
            let (qkv, next) = self.step(index, x)?;
            blocks.push(qkv);
            stream = next;
        }
        Ok(CleanProjections {
            blocks,
            path: self,
            margin,
        })
    }

    /// Tokens of the scene's latents.
    pub(super) fn embed(&self, scene_latents: &Tensor, origin: Option<(usize, usize)>) -> Result<Tensor> {
        self.patches.forward(scene_latents, origin, 0)
    }

    /// A block's raw q, k, v and the stream behind it, which the last block doesn't have.
    fn step(&self, index: usize, x: &Tensor) -> Result<([Tensor; 3], Option<Tensor>)> {
        let block = &self.blocks[index];
        let n = layer_norm(x)?;
        let [q, k, v] = &block.qkv;
        let (q, k, v) = (q.forward(&n)?, k.forward(&n)?, v.forward(&n)?);
        let next = block.rest.as_ref().map(|rest| {
            let x = add(x, &rest.to_out.forward(&attention(&q, &k, &v, self.heads)?)?)?;
            let x = add(&x, &rest.ff.forward(&layer_norm(&x)?)?)?;
            add(&x, &rest.zero_block.forward(&x)?)
        });
        Ok(([q, k, v], next.transpose()?))
    }

    /// As [`Self::step`], the zero projections applied.
    pub(super) fn projected_step(&self, index: usize, x: &Tensor) -> Result<([Tensor; 3], Option<Tensor>)> {
        let (qkv, next) = self.step(index, x)?;
        Ok((self.blocks[index].project(&qkv)?, next))
    }
}

impl CleanBlock {
    fn new(config: &MmditConfig, last: bool, vb: Builder) -> Result<Self> {
        let width = config.width();
        let attn = vb.pp("attn");
        let plain = |name: &str| Linear::new(width, width, attn.pp(name));
        let zero = |i: usize| Linear::zeroed(width, width, attn.pp("zero_blocks").pp(i));
        let rest = || -> Result<CleanRest> {
            Ok(CleanRest {
                to_out: Linear::new(width, width, attn.pp("to_out_clean").pp(0))?,
                ff: FeedForward::new(width, vb.pp("ff_clean"))?,
                zero_block: Linear::zeroed(width, width, vb.pp("zero_block"))?,
            })
        };
        Ok(Self {
            qkv: [plain("to_q_clean")?, plain("to_k_clean")?, plain("to_v_clean")?],
            zero: [zero(0)?, zero(1)?, zero(2)?],
            rest: (!last).then(rest).transpose()?,
        })
    }

    /// The zero projections of q, k and v.
    fn project(&self, qkv: &[Tensor; 3]) -> Result<[Tensor; 3]> {
        Ok([
            self.zero[0].forward(&qkv[0])?,
            self.zero[1].forward(&qkv[1])?,
            self.zero[2].forward(&qkv[2])?,
        ])
    }
}
