//! Layer norm with AdaLN modulation, RMS norm and the gated residual, one pass over memory each.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::vector::{sum_by, widest};
use super::{contiguous_f32, fused, host, pass};

/// SD3's epsilon in every norm.
const EPSILON: f32 = 1e-6;

/// Layer norm over the last dimension, without affine parameters.
///
/// # Shapes
/// `x: [.., width]`, kept.
pub fn layer_norm(x: &Tensor) -> Result<Tensor> {
    pass("layer norm", x, || {
        if fused(x) {
            x.contiguous()?.apply_op1(LayerNorm)
        } else {
            plain_layer_norm(x)
        }
    })
}

/// `layer_norm(x) * (1 + scale) + shift`, scale and shift one vector per sample: AdaLN (Peebles and Xie 2023).
///
/// # Shapes
/// `x: [batch, tokens, width]`, `scale`, `shift: [batch, width]`, result like `x`.
pub fn modulated_layer_norm(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    pass("modulated layer norm", x, || {
        if fused(x) {
            x.contiguous()?
                .apply_op3(&scale.contiguous()?, &shift.contiguous()?, Modulated)
        } else {
            plain_layer_norm(x)?
                .broadcast_mul(&(scale.unsqueeze(1)? + 1.0)?)?
                .broadcast_add(&shift.unsqueeze(1)?)
        }
    })
}

/// `x + gate * y`, gate one vector per sample.
///
/// # Shapes
/// `x`, `y: [batch, tokens, width]`, `gate: [batch, width]`, result like `x`.
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
    let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
    x.broadcast_div(&(mean_square + f64::from(EPSILON))?.sqrt()?)?
        .broadcast_mul(gain)
}

pub(super) fn plain_layer_norm(x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + f64::from(EPSILON))?.sqrt()?)
}

/// Mean and 1 / standard deviation of a row.
#[inline(always)]
fn statistics(row: &[f32]) -> (f32, f32) {
    let inverse = 1.0 / row.len() as f32;
    let mean = sum_by(row.len(), |i| row[i]) * inverse;
    let variance = sum_by(row.len(), |i| (row[i] - mean) * (row[i] - mean)) * inverse;
    (mean, 1.0 / (variance + EPSILON).sqrt())
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

struct LayerNorm;

impl CustomOp1 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, width) = (contiguous_f32(storage, layout)?, layout.shape().dim(D::Minus1)?);
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(width)
            .zip(x.par_chunks(width))
            .with_min_len(16)
            .for_each(|(out, x)| {
                widest(
                    #[inline(always)]
                    || {
                        let (mean, inverse_deviation) = statistics(x);
                        for (out, &x) in out.iter_mut().zip(x) {
                            *out = (x - mean) * inverse_deviation;
                        }
                    },
                );
            });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (x, mut out, width) = (host(arg)?, host(grad)?, arg.dim(D::Minus1)?);
        out.par_chunks_mut(width)
            .zip(x.par_chunks(width))
            .with_min_len(16)
            .for_each(|(out, x)| {
                widest(
                    #[inline(always)]
                    || row_backward(x, out),
                );
            });
        Ok(Some(Tensor::from_vec(out, arg.shape(), arg.device())?))
    }
}

struct Modulated;

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
        let (_, tokens, width) = l1.shape().dims3()?;
        let (x, scale, shift) = (
            contiguous_f32(s1, l1)?,
            contiguous_f32(s2, l2)?,
            contiguous_f32(s3, l3)?,
        );
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(width)
            .zip(x.par_chunks(width))
            .enumerate()
            .with_min_len(16)
            .for_each(|(row, (out, x))| {
                let sample = row / tokens * width;
                let (scale, shift) = (&scale[sample..sample + width], &shift[sample..sample + width]);
                widest(
                    #[inline(always)]
                    || {
                        let (mean, inverse_deviation) = statistics(x);
                        for (((out, &x), &scale), &shift) in out.iter_mut().zip(x).zip(scale).zip(shift) {
                            *out = (x - mean) * inverse_deviation * (1.0 + scale) + shift;
                        }
                    },
                );
            });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (_, tokens, width) = x.dims3()?;
        let (xs, scales, mut out) = (host(x)?, host(scale)?, host(grad)?);
        let (mut d_scale, mut d_shift) = (vec![0f32; scales.len()], vec![0f32; scales.len()]);
        let sample = tokens * width;
        (
            out.par_chunks_mut(sample),
            xs.par_chunks(sample),
            scales.par_chunks(width),
        )
            .into_par_iter()
            .zip((d_scale.par_chunks_mut(width), d_shift.par_chunks_mut(width)))
            .for_each(|((out, x, scale), (d_scale, d_shift))| {
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
            Some(Tensor::from_vec(out, x.shape(), x.device())?),
            Some(Tensor::from_vec(d_scale, scale.shape(), x.device())?),
            Some(Tensor::from_vec(d_shift, shift.shape(), x.device())?),
        ))
    }
}

struct GatedResidual;

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
        let (_, tokens, width) = l1.shape().dims3()?;
        let (x, gate, y) = (
            contiguous_f32(s1, l1)?,
            contiguous_f32(s2, l2)?,
            contiguous_f32(s3, l3)?,
        );
        let mut out = vec![0f32; x.len()];
        (out.par_chunks_mut(width), x.par_chunks(width), y.par_chunks(width))
            .into_par_iter()
            .enumerate()
            .with_min_len(16)
            .for_each(|(row, (out, x, y))| {
                let gate = &gate[row / tokens * width..][..width];
                for (((out, &x), &y), &gate) in out.iter_mut().zip(x).zip(y).zip(gate) {
                    *out = x + gate * y;
                }
            });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gate: &Tensor,
        y: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (_, tokens, width) = x.dims3()?;
        let (gates, ys, mut d_y) = (host(gate)?, host(y)?, host(grad)?);
        let mut d_gate = vec![0f32; gates.len()];
        let sample = tokens * width;
        (
            d_y.par_chunks_mut(sample),
            ys.par_chunks(sample),
            gates.par_chunks(width),
            d_gate.par_chunks_mut(width),
        )
            .into_par_iter()
            .for_each(|(d_y, y, gate, d_gate)| {
                for (d_y, y) in d_y.chunks_exact_mut(width).zip(y.chunks_exact(width)) {
                    for i in 0..width {
                        d_gate[i] += d_y[i] * y[i];
                        d_y[i] *= gate[i];
                    }
                }
            });
        Ok((
            Some(grad.clone()),
            Some(Tensor::from_vec(d_gate, gate.shape(), x.device())?),
            Some(Tensor::from_vec(d_y, y.shape(), x.device())?),
        ))
    }
}
