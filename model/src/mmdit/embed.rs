//! Embeddings: image patches with positions, timestep, pooled text.

use candle_core::{DType, Device, Result, Tensor};

use super::neighbours::Neighbours;
use super::{Linear, grid};
use crate::config::MmditConfig;
use crate::io::builder::{Builder, Weight};

/// Number of sines and cosines that a timestep becomes.
const TIMESTEP_CHANNELS: usize = 256;

/// Patch embedding with a table of 2-D sine positions (diffusers' `PatchEmbed`).
pub(super) struct PatchEmbed {
    weight: Weight,
    bias: Tensor,
    neighbours: Option<Neighbours>,
    /// `[1, max_side * max_side, width]`
    positions: Tensor,
    patch: usize,
    max_side: usize,
}

impl PatchEmbed {
    pub(super) fn new(config: &MmditConfig, vb: Builder) -> Result<Self> {
        let (patch, width, max_side) = (config.patch_size, config.width(), config.pos_embed_max_size);
        let values = config.in_channels * patch * patch;
        let init = candle_nn::Init::Randn {
            mean: 0.0,
            stdev: (1.0 / values as f64).sqrt(),
        };
        let weight = vb.get_with_hints((width, config.in_channels, patch, patch), "proj.weight", init)?;
        let positions = if vb.contains_tensor("pos_embed") {
            vb.get((1, max_side * max_side, width), "pos_embed")?
        } else {
            sine_positions(width, max_side, config.sample_size / patch, vb.device())?.to_dtype(vb.dtype())?
        };
        Ok(Self {
            weight: vb
                .pp("proj")
                .updated(Weight::Held(weight.reshape((width, values))?), (width, values))?,
            bias: vb.get_with_hints(width, "proj.bias", candle_nn::init::ZERO)?,
            neighbours: Neighbours::of(config, (values, width), &vb)?,
            positions,
            patch,
            max_side,
        })
    }

    /// # Shapes
    /// `latents: [batch, channels, height, width]`, result `[batch, rows * cols, model width]`, where the grid of rows and columns goes
    /// `margin` latent pixels beyond the latents on every side.
    pub(super) fn forward(&self, latents: &Tensor, origin: Option<(usize, usize)>, margin: usize) -> Result<Tensor> {
        let latents = grid::with_margin(latents, margin)?;
        let (batch, channels, height, width) = latents.dims4()?;
        let p = self.patch;
        if height % p != 0 || width % p != 0 {
            candle_core::bail!("latents of {height}x{width} do not divide into patches of {p}x{p}");
        }
        let (rows, cols) = (height / p, width / p);
        let patches = latents
            .reshape((batch, channels, rows, p, cols, p))?
            .permute((0, 2, 4, 1, 3, 5))?
            .reshape((batch, rows * cols, channels * p * p))?;
        let mut tokens = self.weight.linear(&patches, Some(&self.bias))?;
        if let Some(neighbours) = &self.neighbours {
            tokens = neighbours.add_to(&tokens, &patches, (rows, cols))?;
        }
        crate::kernels::add(&tokens, &self.crop((rows, cols), origin, margin)?)
    }

    /// The part of the positional table under a grid of tokens. Of a grid with a margin one row and one column may lie outside the
    /// table; they have the positions of those before. The table has no half tokens, so a moved grid's positions are half a token
    /// off: up and to the left where the image leaves an even number of tokens in the table, else down and to the right.
    fn crop(&self, (rows, cols): (usize, usize), origin: Option<(usize, usize)>, margin: usize) -> Result<Tensor> {
        let side = self.max_side;
        let outside = 2 * margin / self.patch;
        let centred = |length: usize| side.saturating_sub(length) / 2;
        let (top, left) = origin.unwrap_or((centred(rows), centred(cols)));
        if top + rows > side + outside || left + cols > side + outside {
            candle_core::bail!(
                "{rows}x{cols} tokens do not fit the positional table of {side}x{side}; use a smaller image"
            );
        }
        let width = self.positions.dim(2)?;
        let table = self.positions.reshape((side, side, width))?;
        clamped(&clamped(&table, 0, (top, rows))?, 1, (left, cols))?.reshape((1, rows * cols, width))
    }
}

/// `count` entries of a dimension from the first on; those beyond its end are its last.
fn clamped(table: &Tensor, dim: usize, (first, count): (usize, usize)) -> Result<Tensor> {
    let length = table.dim(dim)?;
    if first + count <= length {
        return table.narrow(dim, first, count);
    }
    let indices: Vec<u32> = (first..first + count).map(|i| i.min(length - 1) as u32).collect();
    table
        .contiguous()?
        .index_select(&Tensor::new(indices, table.device())?, dim)
}

/// Inverse of the patch layout of the output layer: channel last inside a token.
///
/// # Shapes
/// `tokens: [batch, rows * cols, patch * patch * channels]`, `grid` is (rows, cols), result
/// `[batch, channels, rows * patch, cols * patch]`.
pub(super) fn unpatchify(tokens: &Tensor, patch: usize, (rows, cols): (usize, usize)) -> Result<Tensor> {
    let (batch, _, values) = tokens.dims3()?;
    let channels = values / (patch * patch);
    tokens
        .reshape((batch, rows, cols, patch, patch, channels))?
        .permute((0, 5, 1, 3, 2, 4))?
        .reshape((batch, channels, rows * patch, cols * patch))
}

/// diffusers' `get_2d_sincos_pos_embed`: half of the width encodes the column, half the row, on a grid scaled so that
/// `base` tokens span the range the model was made for.
fn sine_positions(width: usize, side: usize, base: usize, device: &Device) -> Result<Tensor> {
    let quarter = width / 4;
    let scale = base as f64 / side as f64;
    let mut table = Vec::with_capacity(side * side * width);
    for row in 0..side {
        for col in 0..side {
            for position in [col as f64 * scale, row as f64 * scale] {
                let angle = |i: usize| position / 10_000f64.powf(i as f64 / quarter as f64);
                table.extend((0..quarter).map(|i| angle(i).sin() as f32));
                table.extend((0..quarter).map(|i| angle(i).cos() as f32));
            }
        }
    }
    Tensor::from_vec(table, (1, side * side, width), device)
}

/// Timestep and pooled text, summed into the vector that modulates every block.
pub(super) struct TimeTextEmbed {
    time: [Linear; 2],
    text: [Linear; 2],
}

impl TimeTextEmbed {
    pub(super) fn new(config: &MmditConfig, vb: Builder) -> Result<Self> {
        let width = config.width();
        let pair = |inputs, vb: Builder| -> Result<[Linear; 2]> {
            Ok([
                Linear::new(inputs, width, vb.pp("linear_1"))?,
                Linear::new(width, width, vb.pp("linear_2"))?,
            ])
        };
        Ok(Self {
            time: pair(TIMESTEP_CHANNELS, vb.pp("timestep_embedder"))?,
            text: pair(config.pooled_projection_dim, vb.pp("text_embedder"))?,
        })
    }

    /// # Shapes
    /// `timestep: [batch or 1]`, `pooled: [batch or 1, pooled_projection_dim]`, result `[batch or 1, width]`: as many rows as
    /// differ.
    pub(super) fn forward(&self, timestep: &Tensor, pooled: &Tensor) -> Result<Tensor> {
        let mlp = |layers: &[Linear; 2], x: &Tensor| layers[1].forward(&layers[0].forward(x)?.silu()?);
        let waves = timestep_waves(timestep)?.to_dtype(pooled.dtype())?;
        mlp(&self.time, &waves)?.broadcast_add(&mlp(&self.text, pooled)?)
    }
}

/// Cosines, then sines, of the timestep at geometrically spaced frequencies.
fn timestep_waves(timestep: &Tensor) -> Result<Tensor> {
    let half = TIMESTEP_CHANNELS / 2;
    let frequencies: Vec<f32> = (0..half)
        .map(|i| (-(10_000f64.ln()) * i as f64 / half as f64).exp() as f32)
        .collect();
    let frequencies = Tensor::from_vec(frequencies, (1, half), timestep.device())?;
    let angles = timestep
        .to_dtype(DType::F32)?
        .unsqueeze(1)?
        .broadcast_mul(&frequencies)?;
    Tensor::cat(&[angles.cos()?, angles.sin()?], 1)
}
