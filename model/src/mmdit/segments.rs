//! The transformer in pieces: embeddings, one segment per block, output. A segment is a joint block with the clean path's
//! block of the same index, so that what lies between two segments is all that a training step must keep to compute any of
//! them again (activation checkpointing, Chen et al. 2016, arXiv:1604.06174).

use candle_core::{Result, Tensor};

use super::{Conditioning, Mmdit, embed, grid, mask};
use crate::kernels::modulated_layer_norm;

/// The streams between two segments.
#[derive(Clone)]
pub struct Streams {
    /// `[batch, tokens, width]`
    pub image: Tensor,
    /// `[batch, context tokens, width]`; absent behind the last block.
    pub context: Option<Tensor>,
    /// `[scenes, tokens, width]`; absent without a clean path, and behind its last block.
    pub clean: Option<Tensor>,
}

/// What every segment of an evaluation sees alike.
pub struct Unchanging {
    /// `[batch, width]`
    pub time: Tensor,
    /// `[batch, 1, width]`
    pub mask: Option<Tensor>,
    /// Rows and columns of the image tokens.
    pub grid: (usize, usize),
    /// How far, in latent pixels, they go beyond the image.
    pub(super) margin: usize,
}

impl Mmdit {
    /// Timestep, pooled text and head mask as the blocks want them, and the grid of the latents' tokens.
    ///
    /// # Shapes
    /// `latents: [batch, in_channels, height, width]`.
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn unchanging(&self, on: &Conditioning, latents: &Tensor) -> Result<Unchanging> {
        let (_, _, height, width) = latents.dims4()?;
        let patch = self.config.patch_size;
        let margin = on.clean.map_or(0, |cache| cache.margin);
        Ok(Unchanging {
            margin,
            time: self.time_text.forward(on.timestep, on.pooled)?.silu()?,
            mask: on
                .mask
                .map(|m| mask::per_channel(m, self.config.attention_head_dim))
                .transpose()?,
            grid: ((height + 2 * margin) / patch, (width + 2 * margin) / patch),
        })
    }

    /// The streams before the first segment, of a grid that isn't moved; `on.clean` must be `None`, as the scene's own stream takes
    /// its place.
    ///
    /// # Shapes
    /// `latents: [batch, in_channels, height, width]`, `scene: [1 or batch, in_channels, height, width]`.
    ///
    /// # Errors
    /// A clean cache; latents that don't fit the positional table.
    pub fn embed(&self, latents: &Tensor, scene: Option<&Tensor>, on: &Conditioning) -> Result<Streams> {
        if on.clean.is_some() {
            candle_core::bail!("in pieces, the scene's own stream takes the place of a clean cache")
        }
        let clean = match (&self.clean_path, scene) {
            (Some(path), Some(scene)) => Some(path.embed(scene, on.origin)?),
            _ => None,
        };
        Ok(Streams {
            image: self.patches.forward(latents, on.origin, 0)?,
            context: Some(self.context.forward(on.context)?),
            clean,
        })
    }

    /// The streams behind segment `index`.
    ///
    /// # Errors
    /// An index behind the last block.
    pub fn segment(&self, index: usize, streams: &Streams, on: &Unchanging) -> Result<Streams> {
        let (clean_qkv, clean) = match (&self.clean_path, &streams.clean) {
            (Some(path), Some(clean)) => {
                let (qkv, next) = path.projected_step(index, clean)?;
                (Some(qkv), next)
            }
            _ => (None, None),
        };
        let (Some(block), Some(context)) = (self.blocks.get(index), &streams.context) else {
            candle_core::bail!("there is no block {index}")
        };
        let (image, context) = block.forward(&streams.image, context, on, clean_qkv.as_ref())?;
        Ok(Streams { image, context, clean })
    }

    /// The transformer's output from the image stream behind the last segment.
    ///
    /// # Shapes
    /// `image: [batch, tokens, width]`, result `[batch, out_channels, height, width]`.
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn output(&self, image: &Tensor, on: &Unchanging) -> Result<Tensor> {
        let modulation = self.norm_out.forward(&on.time)?.chunk(2, 1)?;
        let tokens = modulated_layer_norm(image, &modulation[0], &modulation[1])?;
        let mut x = self.proj_out.forward(&tokens)?;
        if let Some(neighbours) = &self.neighbours_out {
            x = neighbours.add_to(&x, &tokens, on.grid)?;
        }
        grid::without_margin(&embed::unpatchify(&x, self.config.patch_size, on.grid)?, on.margin)
    }
}
