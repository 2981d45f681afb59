//! The MDSD3 transformer: SD3's MMDiT with head-wise masking and a clean-image path.
//!
//! | file | part of the method |
//! |---|---|
//! | `embed` | patch, position, timestep and pooled embeddings |
//! | `mask` | which heads a class owns; ratios to head masks |
//! | `clean_path` | the scene's own stream; its zero-projected q, k, v are computed once per scene and grid ([`CleanCache`]) |
//! | `grid` | where the grid of tokens lies, and how it moves between steps in models of this program that ask for it |
//! | `neighbours` | convolutions over the grid of tokens, in models of this program that have them |
//! | `block` | one joint block: AdaLN, masked joint attention, feed-forwards; SD3.5's second attention |
//! | `segments` | the same evaluation in pieces, so that training need not hold all of it at once |
//!
//! Weight names are diffusers' (`models/transformers/transformer_sd3.py`), plus those of the clean path.

mod block;
mod clean_path;
mod embed;
mod grid;
mod mask;
mod neighbours;
mod segments;

use candle_core::{Result, Tensor};

pub use clean_path::{CleanCache, CleanProjections};
pub use mask::{class_heads, head_mask};
pub use neighbours::is_neighbours;
pub use segments::{Streams, Unchanging};

use crate::config::MmditConfig;
use crate::io::builder::{Builder, Weight};
use block::JointBlock;
use clean_path::CleanPath;
use embed::{PatchEmbed, TimeTextEmbed};
use neighbours::Neighbours;

/// A weight, with an adapter's update where there is one, and a bias.
#[derive(Clone)]
struct Linear {
    weight: Weight,
    bias: Tensor,
}

impl Linear {
    fn new(inputs: usize, outputs: usize, vb: Builder) -> Result<Self> {
        Self::with_init(
            inputs,
            outputs,
            vb,
            candle_nn::Init::Randn {
                mean: 0.0,
                stdev: (1.0 / inputs as f64).sqrt(),
            },
        )
    }

    /// Starts at zero when trained from scratch: zero projections.
    fn zeroed(inputs: usize, outputs: usize, vb: Builder) -> Result<Self> {
        Self::with_init(inputs, outputs, vb, candle_nn::init::ZERO)
    }

    /// Starts near zero when trained from scratch: modulation and the output layer.
    fn small(inputs: usize, outputs: usize, vb: Builder) -> Result<Self> {
        Self::with_init(inputs, outputs, vb, candle_nn::Init::Randn { mean: 0.0, stdev: 0.02 })
    }

    fn with_init(inputs: usize, outputs: usize, vb: Builder, init: candle_nn::Init) -> Result<Self> {
        Ok(Self {
            weight: vb.matrix((outputs, inputs), init)?,
            bias: vb.get_with_hints(outputs, "bias", candle_nn::init::ZERO)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.weight.linear(x, Some(&self.bias))
    }
}

/// What one evaluation is conditioned on.
pub struct Conditioning<'a> {
    /// Timestep `1000 * sigma` per sample, or one for all, whose modulation is then computed once: `[batch or 1]`.
    pub timestep: &'a Tensor,
    /// Context tokens: `[batch, tokens, joint_attention_dim]`.
    pub context: &'a Tensor,
    /// Pooled text, per sample or one for all: `[batch or 1, pooled_projection_dim]`.
    pub pooled: &'a Tensor,
    /// Head mask: `[batch, heads]`; `None` is plain SD3 (all ones).
    pub mask: Option<&'a Tensor>,
    /// The scene's cached clean path, which also says where the grid of tokens lies; `None` switches it off.
    pub clean: Option<&'a CleanCache>,
    /// Row and column in the positional table of the first token; `None` centres the image, as SD3 does.
    pub origin: Option<(usize, usize)>,
}

/// The transformer.
pub struct Mmdit {
    config: MmditConfig,
    patches: PatchEmbed,
    time_text: TimeTextEmbed,
    context: Linear,
    blocks: Vec<JointBlock>,
    norm_out: Linear,
    proj_out: Linear,
    neighbours_out: Option<Neighbours>,
    clean_path: Option<CleanPath>,
}

impl Mmdit {
    /// Builds the transformer from a checkpoint's tensors (or fresh variables); the clean path is there when its
    /// patch embedding is.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    pub fn new(config: &MmditConfig, vb: Builder) -> Result<Self> {
        let with_clean = vb.contains_tensor("pos_embed_clean.proj.weight");
        Self::with_clean_path(config, vb, with_clean)
    }

    /// As [`Self::new`], with the clean path present or not as told.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_clean_path(config: &MmditConfig, vb: Builder, with_clean: bool) -> Result<Self> {
        let width = config.width();
        let blocks = (0..config.num_layers)
            .map(|i| JointBlock::new(config, i, vb.pp("transformer_blocks").pp(i)))
            .collect::<Result<_>>()?;
        Ok(Self {
            config: config.clone(),
            patches: PatchEmbed::new(config, vb.pp("pos_embed"))?,
            time_text: TimeTextEmbed::new(config, vb.pp("time_text_embed"))?,
            context: Linear::new(config.joint_attention_dim, width, vb.pp("context_embedder"))?,
            blocks,
            norm_out: Linear::small(width, 2 * width, vb.pp("norm_out").pp("linear"))?,
            proj_out: Linear::small(width, config.token_values(), vb.pp("proj_out"))?,
            neighbours_out: Neighbours::of(config, (width, config.token_values()), &vb.pp("proj_out"))?,
            clean_path: with_clean.then(|| CleanPath::new(config, &vb)).transpose()?,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &MmditConfig {
        &self.config
    }

    /// Whether the checkpoint has a clean path.
    pub fn has_clean_path(&self) -> bool {
        self.clean_path.is_some()
    }

    /// Runs the clean path once for a scene; the result serves every step, branch and lane whose grid isn't moved.
    ///
    /// # Shapes
    /// `scene_latents: [batch, in_channels, height, width]`
    ///
    /// # Errors
    /// As [`Self::clean_caches`].
    pub fn clean_cache(&self, scene_latents: &Tensor, origin: Option<(usize, usize)>) -> Result<CleanCache> {
        self.clean_projections(scene_latents, origin)?.into_cache()
    }

    /// The caches that steps take in turn, step `i` the one at `i` modulo their number: one, or with `alternating_grid` two whose grids
    /// of tokens lie half a token apart (see `grid`). `origin` is that of [`Conditioning`].
    ///
    /// # Shapes
    /// `scene_latents: [batch, in_channels, height, width]`
    ///
    /// # Errors
    /// When the checkpoint has no clean path, or the scene doesn't fit the positional table.
    pub fn clean_caches(
        &self,
        scene_latents: &Tensor,
        origin: Option<(usize, usize)>,
        alternating_grid: bool,
    ) -> Result<Vec<CleanCache>> {
        if !alternating_grid {
            return Ok(vec![self.clean_cache(scene_latents, origin)?]);
        }
        grid::alternating_margins(&self.config)
            .into_iter()
            .map(|margin| self.clean_path()?.project(scene_latents, origin, margin)?.into_cache())
            .collect()
    }

    /// The clean path's q, k, v per block, before the zero projections.
    ///
    /// # Shapes
    /// `scene_latents: [batch, in_channels, height, width]`, each of the results `[batch, tokens, width]`.
    ///
    /// # Errors
    /// As [`Self::clean_caches`].
    pub fn clean_projections(
        &self,
        scene_latents: &Tensor,
        origin: Option<(usize, usize)>,
    ) -> Result<CleanProjections<'_>> {
        self.clean_path()?.project(scene_latents, origin, 0)
    }

    fn clean_path(&self) -> Result<&CleanPath> {
        self.clean_path
            .as_ref()
            .ok_or_else(|| candle_core::Error::Msg("this checkpoint has no clean path".into()))
    }

    /// One evaluation.
    ///
    /// # Shapes
    /// `latents: [batch, in_channels, height, width]`, result `[batch, out_channels, height, width]`.
    ///
    /// # Errors
    /// Latents that don't fit the positional table, or conditions of other shapes.
    pub fn forward(&self, latents: &Tensor, on: &Conditioning) -> Result<Tensor> {
        let unchanging = self.unchanging(on, latents)?;
        let mut x = self.patches.forward(latents, on.origin, unchanging.margin)?;
        let mut context = Some(self.context.forward(on.context)?);
        for (i, block) in self.blocks.iter().enumerate() {
            let Some(tokens) = context.as_ref() else {
                candle_core::bail!("a block after the last one")
            };
            let clean = on.clean.map(|cache| cache.block(i)).transpose()?;
            (x, context) = block.forward(&x, tokens, &unchanging, clean)?;
        }
        self.output(&x, &unchanging)
    }
}
