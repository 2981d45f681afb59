//! 3x3 convolution of channels-last images: neighbourhoods are gathered while the product packs them, never in memory.

use candle_core::{DType, Result, Shape, Tensor};
use rayon::prelude::*;

use super::linear::sum_of_rows;
use super::operation::{Operand, Operation, apply3};
use super::real::{Format, Real, fused, host, like};
use super::tiles::{self, Rows, words_into};
use super::{linear, timed};

/// The plain form gathers neighbourhoods, nine times the memory of their image, in strips of at most this many values.
const STRIP_VALUES: usize = 16 << 20;

/// Where a convolution looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// At every pixel, with one zero around the image.
    Same,
    /// At every second pixel of an image of even sides, with so many zeros above and to the left, and as many as needed below
    /// and to the right.
    Halve {
        /// 0 in the KL autoencoder, 1 in the tiny one.
        before: usize,
    },
    /// At every pixel of the image enlarged twice by its nearest neighbours.
    Double,
}

impl Sampling {
    /// Side of the result.
    fn side(self, side: usize) -> usize {
        match self {
            Self::Same => side,
            Self::Halve { .. } => side / 2,
            Self::Double => 2 * side,
        }
    }

    /// Row or column of the image under tap 0, 1 or 2 of a result's; `None` outside.
    #[inline]
    fn source(self, at: usize, tap: usize, side: usize) -> Option<usize> {
        let position = match self {
            Self::Same => (at + tap).checked_sub(1),
            Self::Halve { before } => (2 * at + tap).checked_sub(before),
            // Beyond the enlarged image's last pixel is outside, as it is beyond the image's.
            Self::Double => (at + tap).checked_sub(1).map(|position| position / 2),
        };
        position.filter(|&position| position < side)
    }
}

/// 3x3 convolution.
///
/// # Shapes
/// `x: [batch, height, width, inputs]`, `weight: [outputs, 9 * inputs]` (tap-major: row, column, input),
/// `bias: [outputs]`, result `[batch, height, width, outputs]` with the sides that `sampling` makes of them.
///
/// # Errors
/// Tensors of other shapes.
pub fn conv3x3(x: &Tensor, weight: &Tensor, bias: &Tensor, sampling: Sampling) -> Result<Tensor> {
    let (batch, height, width, inputs) = x.dims4()?;
    let outputs = weight.dim(0)?;
    let flop = || 18 * inputs * outputs * batch * sampling.side(height) * sampling.side(width);
    timed("convolution", x.device(), flop, || {
        // Half precision is packed in pairs.
        if fused(x) && (x.dtype() == DType::F32 || inputs.is_multiple_of(2)) {
            apply3(Convolution { sampling }, [x, weight, bias])
        } else {
            plain_conv3x3(x, weight, bias, sampling)
        }
    })
}

/// The same out of candle's differentiable operations: one product per strip of rows, with a row of neighbours on either side.
pub(super) fn plain_conv3x3(x: &Tensor, weight: &Tensor, bias: &Tensor, sampling: Sampling) -> Result<Tensor> {
    let (batch, height, width, inputs) = x.dims4()?;
    let (x, stride, before) = match sampling {
        Sampling::Same => (x.clone(), 1, 1),
        Sampling::Halve { before } => (x.clone(), 2, before),
        Sampling::Double => {
            let doubled = (batch, height, 2, width, 2, inputs);
            let x = x.reshape((batch, height, 1, width, 1, inputs))?.broadcast_as(doubled)?;
            (x.reshape((batch, 2 * height, 2 * width, inputs))?, 1, 1)
        }
    };
    let padded = x
        .pad_with_zeros(1, before, 2 - before)?
        .pad_with_zeros(2, before, 2 - before)?;
    let (rows, cols) = (sampling.side(height), sampling.side(width));
    let step = (STRIP_VALUES / (9 * batch * cols * inputs).max(1)).max(8);
    let strip = |top: usize| {
        let rows = step.min(rows - top);
        let tap = |tap: usize| {
            let from = padded
                .narrow(1, stride * top + tap / 3, stride * rows)?
                .narrow(2, tap % 3, stride * cols)?;
            let groups = from.reshape((batch, rows, stride, cols, stride, inputs))?;
            groups
                .narrow(2, 0, 1)?
                .narrow(4, 0, 1)?
                .reshape((batch, rows, cols, inputs))
        };
        let columns = Tensor::cat(&(0..9).map(tap).collect::<Result<Vec<_>>>()?, 3)?;
        linear(&columns, weight, Some(bias))
    };
    Tensor::cat(&(0..rows).step_by(step).map(strip).collect::<Result<Vec<_>>>()?, 1)
}

struct Convolution {
    sampling: Sampling,
}

/// A batch of images as the neighbourhoods of the result's pixels.
struct Neighbourhoods<'a, T> {
    images: &'a [T],
    /// Height, width and channels of an image.
    size: (usize, usize, usize),
    sampling: Sampling,
}

impl<T> Neighbourhoods<'_, T> {
    /// Calls `f(tap, pixel)` for every tap of a row of the product that lies in its image, with the first value of that pixel.
    fn for_taps(&self, row: usize, mut f: impl FnMut(usize, usize)) {
        let (height, width, channels) = self.size;
        let (rows, cols) = (self.sampling.side(height), self.sampling.side(width));
        let (image, y, x) = (row / (rows * cols), row / cols % rows, row % cols);
        for (tap_y, tap_x) in (0..9).map(|tap| (tap / 3, tap % 3)) {
            let at = (
                self.sampling.source(y, tap_y, height),
                self.sampling.source(x, tap_x, width),
            );
            if let (Some(y), Some(x)) = at {
                f(3 * tap_y + tap_x, ((image * height + y) * width + x) * channels);
            }
        }
    }
}

impl<T: Real> Rows<T> for Neighbourhoods<'_, T> {
    fn copy(&self, row: usize, from: usize, into: &mut [u32]) {
        into.fill(0);
        let tap_words = self.size.2 / T::PER_WORD;
        let to = from + into.len();
        self.for_taps(row, |tap, pixel| {
            let (first, last) = (from.max(tap * tap_words), to.min((tap + 1) * tap_words));
            if first < last {
                let start = pixel + (first - tap * tap_words) * T::PER_WORD;
                let values = &self.images[start..start + (last - first) * T::PER_WORD];
                words_into(values, &mut into[first - from..last - from]);
            }
        });
    }
}

impl Operation<3> for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn shape(&self, [x, weight, _]: [&Shape; 3]) -> Result<Shape> {
        let (batch, height, width, _) = x.dims4()?;
        let (rows, cols) = (self.sampling.side(height), self.sampling.side(width));
        Ok((batch, rows, cols, weight.dims2()?.0).into())
    }

    fn forward<T: Format>(&self, [x, weight, bias]: [Operand<T>; 3]) -> Result<Vec<T>> {
        let (_, height, width, channels) = x.shape.dims4()?;
        let left = Neighbourhoods {
            images: x.values,
            size: (height, width, channels),
            sampling: self.sampling,
        };
        let mut out = vec![T::zero(); self.shape([x.shape, weight.shape, bias.shape])?.elem_count()];
        tiles::product(&left, weight.values, 9 * channels, Some(bias.values), &mut out);
        Ok(out)
    }

    fn backward(&self, [x, weight, bias]: [&Tensor; 3], grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
        let (_, height, width, channels) = x.dims4()?;
        let images = host(x)?;
        let left = Neighbourhoods {
            images: &images,
            size: (height, width, channels),
            sampling: self.sampling,
        };
        let outputs = bias.dim(0)?;
        let grad = grad.contiguous()?.to_dtype(DType::F32)?.reshape(((), outputs))?;
        let inner = 9 * channels;
        let columns = Tensor::from_vec(left.columns(grad.dim(0)?), (grad.dim(0)?, inner), x.device())?;
        let d_weight = grad.t()?.matmul(&columns)?;
        let d_columns = host(&grad.matmul(&weight.to_dtype(DType::F32)?)?)?;
        let d_bias = sum_of_rows(&host(&grad)?, outputs);
        Ok([
            Some(like(x, left.scatter(&d_columns))?),
            Some(d_weight.to_dtype(weight.dtype())?),
            Some(like(bias, d_bias)?),
        ])
    }
}

impl Neighbourhoods<'_, f32> {
    /// All neighbourhoods in memory: `[rows, 9 * channels]`.
    fn columns(&self, rows: usize) -> Vec<f32> {
        let channels = self.size.2;
        let mut out = vec![0f32; rows * 9 * channels];
        out.par_chunks_mut((9 * channels).max(1))
            .enumerate()
            .for_each(|(row, out)| {
                self.for_taps(row, |tap, pixel| {
                    out[tap * channels..(tap + 1) * channels].copy_from_slice(&self.images[pixel..pixel + channels]);
                });
            });
        out
    }

    /// The inverse as far as there is one: what all neighbourhoods hold of a pixel, summed up. Images in parallel, as
    /// neighbourhoods overlap.
    fn scatter(&self, columns: &[f32]) -> Vec<f32> {
        let (height, width, channels) = self.size;
        let rows = self.sampling.side(height) * self.sampling.side(width);
        let mut out = vec![0f32; self.images.len()];
        out.par_chunks_mut((height * width * channels).max(1))
            .zip(columns.par_chunks((rows * 9 * channels).max(1)))
            .for_each(|(out, columns)| {
                for (row, columns) in columns.chunks_exact(9 * channels).enumerate() {
                    self.for_taps(row, |tap, pixel| {
                        let out = &mut out[pixel..pixel + channels];
                        for (out, &g) in out.iter_mut().zip(&columns[tap * channels..(tap + 1) * channels]) {
                            *out += g;
                        }
                    });
                }
            });
        out
    }
}
