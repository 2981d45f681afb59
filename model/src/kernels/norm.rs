//! Layer norm with AdaLN modulation, RMS norm and the gated residual, one pass over memory each.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, D, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::library_norm;
use super::linear::sum_of_rows;
use super::pass;
use super::real::{Real, by_format, contiguous, fused, host, like};
use super::vector::{sum_by, widest};

/// SD3's epsilon in every norm.
pub(super) const EPSILON: f32 = 1e-6;
/// Values per task at least.
const TASK: usize = 16 * 1024;

/// Layer norm over the last dimension, without affine parameters.
///
/// # Shapes
/// `x: [.., width]`, kept.
pub fn layer_norm(x: &Tensor) -> Result<Tensor> {
    pass("layer norm", x, || {
        if fused(x) {
            x.contiguous()?.apply_op1(LayerNorm)
        } else if library_norm::serves(&[x]) {
            library_norm::layer_norm(x)
        } else {
            plain_layer_norm(x)
        }
    })
}

/// `layer_norm(x) * (1 + scale) + shift`, scale and shift one vector per sample, or one for all: AdaLN (Peebles and Xie
/// 2023).
///
/// # Shapes
/// `x: [batch, tokens, width]`, `scale`, `shift: [batch or 1, width]`, result like `x`.
pub fn modulated_layer_norm(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    pass("modulated layer norm", x, || {
        if fused(x) {
            x.contiguous()?
                .apply_op3(&scale.contiguous()?, &shift.contiguous()?, Modulated)
        } else if library_norm::serves(&[x, scale, shift]) {
            library_norm::modulated_layer_norm(x, scale, shift)
        } else {
            plain_layer_norm(x)?
                .broadcast_mul(&(scale.unsqueeze(1)? + 1.0)?)?
                .broadcast_add(&shift.unsqueeze(1)?)
        }
    })
}

/// `x + gate * y`, gate one vector per sample, or one for all.
///
/// # Shapes
/// `x`, `y: [batch, tokens, width]`, `gate: [batch or 1, width]`, result like `x`.
pub fn gated_residual(x: &Tensor, gate: &Tensor, y: &Tensor) -> Result<Tensor> {
    pass("gated residual", x, || {
        if fused(x) {
            x.contiguous()?
                .apply_op3(&gate.contiguous()?, &y.contiguous()?, GatedResidual)
        } else {
            x + y.broadcast_mul(&gate.unsqueeze(1)?)?
        }
    })
}

/// RMS norm over the last dimension with a gain (Zhang and Sennrich 2019), the QK norm of SD3.5.
///
/// # Shapes
/// `x: [.., width]`, `gain: [width]`, result like `x`.
pub fn rms_norm(x: &Tensor, gain: &Tensor) -> Result<Tensor> {
    pass("RMS norm", x, || {
        if fused(x) {
            x.contiguous()?.apply_op2(&gain.contiguous()?, RmsNorm)
        } else if library_norm::serves(&[x, gain]) {
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
fn statistics<T: Real>(row: &[T]) -> (f32, f32) {
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
fn row_backward(x: &[f32], out: &mut [f32]) {
    let (mean, inverse_deviation) = statistics(x);
    let inverse = 1.0 / x.len() as f32;
    let g_mean = sum_by(x.len(), |i| out[i]) * inverse;
    let g_dot = sum_by(x.len(), |i| out[i] * (x[i] - mean)) * inverse * inverse_deviation;
    for (g, &x) in out.iter_mut().zip(x) {
        *g = inverse_deviation * (*g - g_mean - (x - mean) * inverse_deviation * g_dot);
    }
}

/// `f(row index, x's row, out's row)` for all rows of `width` values, threaded and vectorised.
fn by_row<X: Sync, O: Send>(x: &[X], out: &mut [O], width: usize, f: impl Fn(usize, &[X], &mut [O]) + Sync) {
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

/// The part of a vector per sample, or of the one vector for all, that belongs to a row.
fn of_sample<T>(vectors: &[T], row: usize, tokens: usize, width: usize) -> &[T] {
    let sample = row / tokens % (vectors.len() / width);
    &vectors[sample * width..][..width]
}

struct LayerNorm;

impl LayerNorm {
    fn forward<T: Real>(storage: &CpuStorage, layout: &Layout) -> Result<CpuStorage> {
        let (x, width) = (contiguous::<T>(storage, layout)?, layout.shape().dim(D::Minus1)?);
        let mut out = vec![T::zero(); x.len()];
        by_row(
            x,
            &mut out,
            width,
            #[inline(always)]
            |_, x, out| {
                let (mean, inverse_deviation) = statistics(x);
                for (out, x) in out.iter_mut().zip(x) {
                    *out = T::narrow((x.wide() - mean) * inverse_deviation);
                }
            },
        );
        Ok(T::to_cpu_storage_owned(out))
    }
}

impl CustomOp1 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let out = by_format!(storage, T => Self::forward::<T>(storage, layout)?);
        Ok((out, layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (x, mut out) = (host(arg)?, host(grad)?);
        by_row(
            &x,
            &mut out,
            arg.dim(D::Minus1)?,
            #[inline(always)]
            |_, x, out| row_backward(x, out),
        );
        Ok(Some(like(arg, out)?))
    }
}

struct RmsNorm;

impl RmsNorm {
    fn forward<T: Real>((s1, l1): (&CpuStorage, &Layout), (s2, l2): (&CpuStorage, &Layout)) -> Result<CpuStorage> {
        let (x, gain) = (contiguous::<T>(s1, l1)?, contiguous::<T>(s2, l2)?);
        let mut out = vec![T::zero(); x.len()];
        by_row(
            x,
            &mut out,
            gain.len(),
            #[inline(always)]
            |_, x, out| {
                let inverse = inverse_rms(x);
                for ((out, x), gain) in out.iter_mut().zip(x).zip(gain) {
                    *out = T::narrow(x.wide() * inverse * gain.wide());
                }
            },
        );
        Ok(T::to_cpu_storage_owned(out))
    }
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let out = by_format!(s1, T => Self::forward::<T>((s1, l1), (s2, l2))?);
        Ok((out, l1.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, gain: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
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
        Ok((Some(like(x, d_x)?), Some(like(gain, sum_of_rows(&d_gain, width))?)))
    }
}

struct Modulated;

impl Modulated {
    fn forward<T: Real>(
        x: (&CpuStorage, &Layout),
        scale: (&CpuStorage, &Layout),
        shift: (&CpuStorage, &Layout),
    ) -> Result<CpuStorage> {
        let (_, tokens, width) = x.1.shape().dims3()?;
        let (x, scale, shift) = (
            contiguous::<T>(x.0, x.1)?,
            contiguous::<T>(scale.0, scale.1)?,
            contiguous::<T>(shift.0, shift.1)?,
        );
        let mut out = vec![T::zero(); x.len()];
        by_row(
            x,
            &mut out,
            width,
            #[inline(always)]
            |row, x, out| {
                let (scale, shift) = (
                    of_sample(scale, row, tokens, width),
                    of_sample(shift, row, tokens, width),
                );
                let (mean, inverse_deviation) = statistics(x);
                for (((out, x), scale), shift) in out.iter_mut().zip(x).zip(scale).zip(shift) {
                    let normal = (x.wide() - mean) * inverse_deviation;
                    *out = T::narrow(normal * (1.0 + scale.wide()) + shift.wide());
                }
            },
        );
        Ok(T::to_cpu_storage_owned(out))
    }
}

impl CustomOp3 for Modulated {
    fn name(&self) -> &'static str {
        "modulated-layer-norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let out = by_format!(s1, T => Self::forward::<T>((s1, l1), (s2, l2), (s3, l3))?);
        Ok((out, l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (batch, tokens, width) = x.dims3()?;
        let (xs, scales, mut out) = (host(x)?, host(scale)?, host(grad)?);
        let (mut d_scale, mut d_shift) = (vec![0f32; batch * width], vec![0f32; batch * width]);
        let sample = tokens * width;
        (out.par_chunks_mut(sample), xs.par_chunks(sample))
            .into_par_iter()
            .enumerate()
            .zip((d_scale.par_chunks_mut(width), d_shift.par_chunks_mut(width)))
            .for_each(|((i, (out, x)), (d_scale, d_shift))| {
                let scale = of_sample(&scales, i, 1, width);
                widest(
                    #[inline(always)]
                    || {
                        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                            let (mean, inverse_deviation) = statistics(x);
                            for i in 0..width {
                                d_scale[i] += out[i] * (x[i] - mean) * inverse_deviation;
                                d_shift[i] += out[i];
                                out[i] *= 1.0 + scale[i];
                            }
                            row_backward(x, out);
                        }
                    },
                );
            });
        Ok((
            Some(like(x, out)?),
            Some(like(scale, for_vectors(d_scale, scale)?)?),
            Some(like(shift, for_vectors(d_shift, shift)?)?),
        ))
    }
}

/// Gradients per sample, summed up where one vector served all samples.
fn for_vectors(per_sample: Vec<f32>, vectors: &Tensor) -> Result<Vec<f32>> {
    let (count, width) = vectors.dims2()?;
    Ok(if count * width == per_sample.len() {
        per_sample
    } else {
        sum_of_rows(&per_sample, width)
    })
}

struct GatedResidual;

impl GatedResidual {
    fn forward<T: Real>(
        x: (&CpuStorage, &Layout),
        gate: (&CpuStorage, &Layout),
        y: (&CpuStorage, &Layout),
    ) -> Result<CpuStorage> {
        let (_, tokens, width) = x.1.shape().dims3()?;
        let (x, gate, y) = (
            contiguous::<T>(x.0, x.1)?,
            contiguous::<T>(gate.0, gate.1)?,
            contiguous::<T>(y.0, y.1)?,
        );
        let mut out = y.to_vec();
        by_row(
            x,
            &mut out,
            width,
            #[inline(always)]
            |row, x, out| {
                let gate = of_sample(gate, row, tokens, width);
                for ((out, x), gate) in out.iter_mut().zip(x).zip(gate) {
                    *out = T::narrow(x.wide() + gate.wide() * out.wide());
                }
            },
        );
        Ok(T::to_cpu_storage_owned(out))
    }
}

impl CustomOp3 for GatedResidual {
    fn name(&self) -> &'static str {
        "gated-residual"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let out = by_format!(s1, T => Self::forward::<T>((s1, l1), (s2, l2), (s3, l3))?);
        Ok((out, l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gate: &Tensor,
        y: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (batch, tokens, width) = x.dims3()?;
        let (gates, ys, mut d_y) = (host(gate)?, host(y)?, host(grad)?);
        let mut d_gate = vec![0f32; batch * width];
        let sample = tokens * width;
        (
            d_y.par_chunks_mut(sample),
            ys.par_chunks(sample),
            d_gate.par_chunks_mut(width),
        )
            .into_par_iter()
            .enumerate()
            .for_each(|(i, (d_y, y, d_gate))| {
                let gate = of_sample(&gates, i, 1, width);
                for (d_y, y) in d_y.chunks_exact_mut(width).zip(y.chunks_exact(width)) {
                    for i in 0..width {
                        d_gate[i] += d_y[i] * y[i];
                        d_y[i] *= gate[i];
                    }
                }
            });
        Ok((
            Some(grad.clone()),
            Some(like(gate, for_vectors(d_gate, gate)?)?),
            Some(like(y, d_y)?),
        ))
    }
}
