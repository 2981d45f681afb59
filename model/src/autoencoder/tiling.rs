//! Large images through an autoencoder in overlapping tiles, blended linearly, so that memory stays bounded.
//!
//! **What is approximate about it.** A tile doesn't see the rest of the image. Convolutions reach some dozens of pixels,
//! which the overlap covers, its outermost quarter being dropped; but group norms take their statistics, and the middle's attention its keys, from the
//! tile alone. So tiles differ a little in brightness and contrast from what the whole image would give. The overlap
//! turns each difference into a ramp: there is no edge, and the error is that of the statistics. Images of up to
//! [`Tiling::WHOLE_PIXELS`] never take this path and match diffusers exactly.

use candle_core::{DType, Result, Tensor};

/// Size and overlap of tiles, in latent pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// Side of a tile.
    pub tile: usize,
    /// What neighbouring tiles share at least; less than `tile`.
    pub overlap: usize,
}

impl Default for Tiling {
    /// 768 px tiles that share 256 px, for latents of factor 8.
    fn default() -> Self {
        Self { tile: 96, overlap: 32 }
    }
}

/// What a tile adds along one axis: where it starts and the weight of each of its latent pixels.
struct Span {
    start: usize,
    weights: Vec<f32>,
}

impl Tiling {
    /// Images of at most this many pixels go through whole: 1024x1024, which takes about 4 GB in SD3's decoder.
    pub const WHOLE_PIXELS: usize = 1024 * 1024;

    /// The default tiling when an image (`factor` 1) or the image of latents is too large to go through whole.
    pub(super) fn for_image(x: &Tensor, factor: usize) -> Result<Option<Self>> {
        let (_, _, height, width) = x.dims4()?;
        Ok((height * width * factor * factor > Self::WHOLE_PIXELS).then(Self::default))
    }

    /// Encodes tiles of pixels.
    ///
    /// # Shapes
    /// `rgb: [batch, 3, factor * h, factor * w]`, result `[batch, channels, h, w]`, as `encode` gives for a tile.
    ///
    /// # Errors
    /// Those of `encode`.
    pub fn encode(self, rgb: &Tensor, factor: usize, encode: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        self.blend(rgb, (factor, 1), encode)
    }

    /// Decodes tiles of latents.
    ///
    /// # Shapes
    /// `latents: [batch, channels, h, w]`, result `[batch, 3, factor * h, factor * w]`, as `decode` gives for a tile.
    ///
    /// # Errors
    /// Those of `decode`.
    pub fn decode(self, latents: &Tensor, factor: usize, decode: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        self.blend(latents, (1, factor), decode)
    }

    /// `units` are the pixels per latent pixel, before and after.
    fn blend(self, x: &Tensor, units: (usize, usize), f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let (batch, _, height, width) = x.dims4()?;
        let (before, after) = units;
        let rows = self.spans(height / before, after);
        let cols = self.spans(width / before, after);
        let (out_height, out_width) = (height / before * after, width / before * after);
        let mut out: Vec<f32> = Vec::new();
        let mut channels = 0;
        for row in &rows {
            for col in &cols {
                let tile = x
                    .narrow(2, row.start * before, row.weights.len() / after * before)?
                    .narrow(3, col.start * before, col.weights.len() / after * before)?;
                let tile = f(&tile.contiguous()?)?;
                channels = tile.dim(1)?;
                out.resize(batch * channels * out_height * out_width, 0.0);
                let values = tile.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
                for (line, values) in values.chunks_exact(col.weights.len()).enumerate() {
                    let (plane, y) = (line / row.weights.len(), line % row.weights.len());
                    let at = (plane * out_height + row.start * after + y) * out_width + col.start * after;
                    let weighted = values
                        .iter()
                        .zip(&col.weights)
                        .map(|(value, weight)| value * weight * row.weights[y]);
                    out[at..at + values.len()]
                        .iter_mut()
                        .zip(weighted)
                        .for_each(|(out, value)| *out += value);
                }
            }
        }
        Tensor::from_vec(out, (batch, channels, out_height, out_width), x.device())?.to_dtype(x.dtype())
    }

    /// Tiles along an axis of `length` latent pixels, evenly spaced, with a weight for each of the `unit` pixels that a
    /// latent pixel comes to. At inner edges the outermost quarter of the overlap weighs nothing, as convolutions see zeros
    /// there in place of the image; then weights rise linearly. They add up to 1 everywhere.
    fn spans(self, length: usize, unit: usize) -> Vec<Span> {
        let tile = self.tile.clamp(1, length.max(1));
        let overlap = self.overlap.min(tile - 1);
        let steps = (length - tile.min(length)).div_ceil(tile - overlap);
        let margin = overlap / 4 * unit;
        let ramp = (overlap * unit - 2 * margin + 1) as f32;
        let start = |i: usize| (i * (length - tile)).checked_div(steps).unwrap_or(0);
        let mut spans: Vec<Span> = (0..=steps)
            .map(|i| {
                let rise = |pixel: usize, inner: bool| {
                    let beyond = (pixel + 1).saturating_sub(margin) as f32;
                    if inner { (beyond / ramp).min(1.0) } else { 1.0 }
                };
                let pixels = tile * unit;
                let weights = (0..pixels)
                    .map(|p| rise(p, i > 0) * rise(pixels - 1 - p, i < steps))
                    .collect();
                Span {
                    start: start(i),
                    weights,
                }
            })
            .collect();
        let mut totals = vec![0f32; length * unit];
        for span in &spans {
            span.weights
                .iter()
                .enumerate()
                .for_each(|(p, weight)| totals[span.start * unit + p] += weight);
        }
        for span in &mut spans {
            let start = span.start * unit;
            span.weights
                .iter_mut()
                .enumerate()
                .for_each(|(p, weight)| *weight /= totals[start + p]);
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn worst(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn tiles_cover_an_axis_evenly_and_weigh_one() {
        for (length, tile, overlap, unit) in [
            (200, 96, 32, 8),
            (97, 96, 32, 1),
            (96, 96, 32, 2),
            (5, 96, 32, 3),
            (50, 7, 6, 1),
        ] {
            let spans = Tiling { tile, overlap }.spans(length, unit);
            let mut totals = vec![0f32; length * unit];
            for span in &spans {
                span.weights
                    .iter()
                    .enumerate()
                    .for_each(|(p, w)| totals[span.start * unit + p] += w);
            }
            assert!(totals.iter().all(|total| (total - 1.0).abs() < 1e-6), "{length} {tile}");
            for pair in spans.windows(2) {
                assert!(
                    pair[0].start + tile >= pair[1].start + overlap,
                    "{length} {tile}: less than the overlap shared"
                );
            }
        }
    }

    #[test]
    fn what_reaches_less_than_the_overlap_is_exact_away_from_tile_edges() {
        // Enlarging is local; encoding by averages too: tiled and whole agree to rounding.
        let latents = crate::autoencoder::random(7, 1.0, (2, 4, 23, 31));
        let enlarge = |x: &Tensor| x.upsample_nearest2d(4 * x.dim(2)?, 4 * x.dim(3)?);
        let tiling = Tiling { tile: 9, overlap: 3 };
        let whole = enlarge(&latents).unwrap();
        let tiled = tiling.decode(&latents, 4, enlarge).unwrap();
        assert!(worst(&tiled, &whole) < 1e-5);
        let back = tiling.encode(&whole, 4, |x| x.avg_pool2d(4)).unwrap();
        assert!(worst(&back, &latents) < 1e-5);
    }

    #[test]
    fn differences_between_tiles_become_ramps() {
        // Every tile is shifted by its own mean: the worst that statistics of a tile can do.
        let ramp: Vec<f32> = (0..64).map(|x| x as f32).collect();
        let x = Tensor::from_vec(ramp, (1, 1, 1, 64), &Device::Cpu)
            .unwrap()
            .broadcast_as((1, 1, 16, 64))
            .unwrap();
        let centred = |x: &Tensor| x.broadcast_sub(&x.mean_all()?);
        let tiled = Tiling { tile: 16, overlap: 8 }.decode(&x, 1, centred).unwrap();
        let row: Vec<f32> = tiled.get(0).unwrap().get(0).unwrap().get(3).unwrap().to_vec1().unwrap();
        let steepest = row.windows(2).map(|p| (p[1] - p[0]).abs()).fold(0.0, f32::max);
        assert!(steepest <= 1.2, "a step of {steepest} where the image rises by 1");
    }
}
