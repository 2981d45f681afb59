//! Layer norm and RMS norm, one pass over memory each.

use candle_core::{D, DType, Result, Tensor};
use rayon::prelude::*;

use super::library_norm::{self, EPSILON};
use super::linear::sum_of_rows;
use super::operation::{Operand, Operation, pass1, pass2};
use super::real::{Format, Real, host, like};
use super::vector::{sum_by, widest};

/// Values per task at least.
const TASK: usize = 16 * 1024;

/// Layer norm over the last dimension, without affine parameters.
///
/// # Shapes
/// `x: [.., width]`, kept.
///
/// # Errors
/// What the device reports.
pub fn layer_norm(x: &Tensor) -> Result<Tensor> {
    pass1(LayerNorm, x, || {
        if library_norm::serves(&[x]) {
            library_norm::layer_norm(x)
        } else {
            plain_layer_norm(x)
        }
    })
}

/// RMS norm over the last dimension with a gain (Zhang and Sennrich 2019), the QK norm of SD3.5.
///
/// # Shapes
/// `x: [.., width]`, `gain: [width]`, result like `x`.
///
/// # Errors
/// Tensors of other shapes.
pub fn rms_norm(x: &Tensor, gain: &Tensor) -> Result<Tensor> {
    pass2(RmsNorm, [x, gain], || {
        if library_norm::serves(&[x, gain]) {
            library_norm::rms_norm(x, gain)
        } else {
            plain_rms_norm(x, gain)
        }
    })
}

/// Statistics in f32, as half precision would lose them.
pub(super) fn plain_layer_norm(x: &Tensor) -> Result<Tensor> {
    let wide = x.to_dtype(DType::F32)?;
    let centred = wide.broadcast_sub(&wide.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred
        .broadcast_div(&(variance + f64::from(EPSILON))?.sqrt()?)?
        .to_dtype(x.dtype())
}

pub(super) fn plain_rms_norm(x: &Tensor, gain: &Tensor) -> Result<Tensor> {
    let wide = x.to_dtype(DType::F32)?;
    let mean_square = wide.sqr()?.mean_keepdim(D::Minus1)?;
    wide.broadcast_div(&(mean_square + f64::from(EPSILON))?.sqrt()?)?
        .to_dtype(x.dtype())?
        .broadcast_mul(gain)
}

/// Mean and 1 / standard deviation of a row.
#[inline(always)]
pub(super) fn statistics<T: Real>(row: &[T]) -> (f32, f32) {
    let inverse = 1.0 / row.len() as f32;
    let mean = sum_by(row.len(), |i| row[i].wide()) * inverse;
    let variance = sum_by(row.len(), |i| (row[i].wide() - mean) * (row[i].wide() - mean)) * inverse;
    (mean, 1.0 / (variance + EPSILON).sqrt())
}

/// 1 / root mean square of a row.
#[inline(always)]
fn inverse_rms<T: Real>(row: &[T]) -> f32 {
    let mean_square = sum_by(row.len(), |i| row[i].wide() * row[i].wide()) / row.len() as f32;
    1.0 / (mean_square + EPSILON).sqrt()
}

/// `out = gradient of the row` for the gradient `g` of its normalised values (in `out` on entry).
#[inline(always)]
pub(super) fn row_backward(x: &[f32], out: &mut [f32]) {
    let (mean, inverse_deviation) = statistics(x);
    let inverse = 1.0 / x.len() as f32;
    let g_mean = sum_by(x.len(), |i| out[i]) * inverse;
    let g_dot = sum_by(x.len(), |i| out[i] * (x[i] - mean)) * inverse * inverse_deviation;
    for (g, &x) in out.iter_mut().zip(x) {
        *g = inverse_deviation * (*g - g_mean - (x - mean) * inverse_deviation * g_dot);
    }
}

/// `f(row index, x's row, out's row)` for all rows of `width` values, threaded and vectorised.
pub(super) fn by_row<X: Sync, O: Send>(x: &[X], out: &mut [O], width: usize, f: impl Fn(usize, &[X], &mut [O]) + Sync) {
    out.par_chunks_mut(width)
        .zip(x.par_chunks(width))
        .enumerate()
        .with_min_len((TASK / width.max(1)).max(1))
        .for_each(|(row, (out, x))| {
            widest(
                #[inline(always)]
                || f(row, x, out),
            );
        });
}

struct LayerNorm;

impl Operation<1> for LayerNorm {
    fn name(&self) -> &'static str {
        "layer norm"
    }

    fn forward<T: Format>(&self, [x]: [Operand<T>; 1]) -> Result<Vec<T>> {
        let mut out = vec![T::zero(); x.values.len()];
        by_row(
            x.values,
            &mut out,
            x.shape.dim(D::Minus1)?,
            #[inline(always)]
            |_, x, out| {
                let (mean, inverse_deviation) = statistics(x);
                for (out, x) in out.iter_mut().zip(x) {
                    *out = T::narrow((x.wide() - mean) * inverse_deviation);
                }
            },
        );
        Ok(out)
    }

    fn backward(&self, [arg]: [&Tensor; 1], grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let (x, mut out) = (host(arg)?, host(grad)?);
        by_row(
            &x,
            &mut out,
            arg.dim(D::Minus1)?,
            #[inline(always)]
            |_, x, out| row_backward(x, out),
        );
        Ok([Some(like(arg, out)?)])
    }
}

struct RmsNorm;

impl Operation<2> for RmsNorm {
    fn name(&self) -> &'static str {
        "RMS norm"
    }

    fn forward<T: Format>(&self, [x, gain]: [Operand<T>; 2]) -> Result<Vec<T>> {
        let mut out = vec![T::zero(); x.values.len()];
        by_row(
            x.values,
            &mut out,
            gain.values.len(),
            #[inline(always)]
            |_, x, out| {
                let inverse = inverse_rms(x);
                for ((out, x), gain) in out.iter_mut().zip(x).zip(gain.values) {
                    *out = T::narrow(x.wide() * inverse * gain.wide());
                }
            },
        );
        Ok(out)
    }

    fn backward(&self, [x, gain]: [&Tensor; 2], grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let (xs, gains, mut d_x) = (host(x)?, host(gain)?, host(grad)?);
        let mut d_gain = d_x.clone();
        let width = gains.len();
        by_row(
            &xs,
            &mut d_gain,
            width,
            #[inline(always)]
            |_, x, out| {
                let inverse = inverse_rms(x);
                out.iter_mut().zip(x).for_each(|(g, x)| *g *= x * inverse);
            },
        );
        by_row(
            &xs,
            &mut d_x,
            width,
            #[inline(always)]
            |_, x, out| {
                let inverse = inverse_rms(x);
                let dot = sum_by(width, |i| out[i] * gains[i] * x[i]) / width as f32 * inverse * inverse;
                for ((g, x), gain) in out.iter_mut().zip(x).zip(&gains) {
                    *g = inverse * (*g * gain - x * dot);
                }
            },
        );
        Ok([Some(like(x, d_x)?), Some(like(gain, sum_of_rows(&d_gain, width))?)])
    }
}
