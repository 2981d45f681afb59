//! 3x3 convolution of channels-last images as one matrix product over gathered neighbourhoods.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{contiguous_f32, fused, host, linear, timed};

/// 3x3 convolution, stride 1, zero padding 1.
///
/// # Shapes
/// `x: [batch, height, width, inputs]`, `weight: [outputs, 9 * inputs]` (tap-major: row, column, input),
/// `bias: [outputs]`, result `[batch, height, width, outputs]`.
pub fn conv3x3(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let flop = || 18 * x.elem_count() * weight.dims()[0];
    timed("convolution", x.device(), flop, || {
        let columns = if fused(x) {
            x.contiguous()?.apply_op1(Neighbourhoods)?
        } else {
            plain_neighbourhoods(x)?
        };
        linear(&columns, weight, Some(bias))
    })
}

/// The same gather out of candle's differentiable operations.
pub(super) fn plain_neighbourhoods(x: &Tensor) -> Result<Tensor> {
    let (_, height, width, _) = x.dims4()?;
    let padded = x.pad_with_zeros(1, 1, 1)?.pad_with_zeros(2, 1, 1)?;
    let taps = (0..9)
        .map(|tap| padded.narrow(1, tap / 3, height)?.narrow(2, tap % 3, width))
        .collect::<Result<Vec<_>>>()?;
    Tensor::cat(&taps, 3)
}

/// `[b, h, w, c]` to `[b, h, w, 9 c]`.
struct Neighbourhoods;

/// Calls `f(tap, neighbour x)` for every tap of pixel `(y, x)` whose neighbour lies in the image, with its offset.
fn for_taps(y: usize, x: usize, height: usize, width: usize, mut f: impl FnMut(usize, usize)) {
    for tap in 0..9 {
        let (ny, nx) = (y + tap / 3, x + tap % 3);
        if (1..=height).contains(&ny) && (1..=width).contains(&nx) {
            f(tap, (ny - 1) * width + nx - 1);
        }
    }
}

impl CustomOp1 for Neighbourhoods {
    fn name(&self) -> &'static str {
        "neighbourhoods"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, height, width, channels) = layout.shape().dims4()?;
        let x = contiguous_f32(storage, layout)?;
        let row = width * 9 * channels;
        let mut out = vec![0f32; batch * height * row];
        out.par_chunks_mut(row).enumerate().for_each(|(line, out)| {
            let (image, y) = (&x[line / height * height * width * channels..], line % height);
            for (x, out) in out.chunks_exact_mut(9 * channels).enumerate() {
                for_taps(y, x, height, width, |tap, pixel| {
                    out[tap * channels..(tap + 1) * channels]
                        .copy_from_slice(&image[pixel * channels..(pixel + 1) * channels]);
                });
            }
        });
        Ok((CpuStorage::F32(out), (batch, height, width, 9 * channels).into()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, height, width, channels) = arg.dims4()?;
        let grad = host(grad)?;
        let mut out = vec![0f32; arg.elem_count()];
        let image = height * width * channels;
        out.par_chunks_mut(image)
            .zip(grad.par_chunks(9 * image))
            .for_each(|(out, grad)| {
                for (pixel, grad) in grad.chunks_exact(9 * channels).enumerate() {
                    for_taps(pixel / width, pixel % width, height, width, |tap, neighbour| {
                        let out = &mut out[neighbour * channels..(neighbour + 1) * channels];
                        for (out, &g) in out.iter_mut().zip(&grad[tap * channels..(tap + 1) * channels]) {
                            *out += g;
                        }
                    });
                }
            });
        Ok(Some(Tensor::from_vec(out, arg.shape(), arg.device())?))
    }
}
