//! What AdaLN does to a stream: layer norm with a gain and an offset per sample, and the gated residual.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::library_norm;
use super::linear::sum_of_rows;
use super::norm::{by_row, plain_layer_norm, row_backward, statistics};
use super::operation::{Operand, Operation, pass3};
use super::real::{Format, host, like};
use super::vector::widest;

/// `layer_norm(x) * (1 + scale) + shift`, scale and shift one vector per sample, or one for all: AdaLN (Peebles and Xie
/// 2023).
///
/// # Shapes
/// `x: [batch, tokens, width]`, `scale`, `shift: [batch or 1, width]`, result like `x`.
///
/// # Errors
/// Tensors of other shapes.
pub fn modulated_layer_norm(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    pass3(Modulated, [x, scale, shift], || {
        if library_norm::serves(&[x, scale, shift]) {
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
///
/// # Errors
/// Tensors of other shapes.
pub fn gated_residual(x: &Tensor, gate: &Tensor, y: &Tensor) -> Result<Tensor> {
    pass3(GatedResidual, [x, gate, y], || {
        x + y.broadcast_mul(&gate.unsqueeze(1)?)?
    })
}

/// The part of a vector per sample, or of the one vector for all, that belongs to a row.
fn of_sample<T>(vectors: &[T], row: usize, tokens: usize, width: usize) -> &[T] {
    let sample = row / tokens % (vectors.len() / width);
    &vectors[sample * width..][..width]
}

struct Modulated;

impl Operation<3> for Modulated {
    fn name(&self) -> &'static str {
        "modulated layer norm"
    }

    fn forward<T: Format>(&self, [x, scale, shift]: [Operand<T>; 3]) -> Result<Vec<T>> {
        let (_, tokens, width) = x.shape.dims3()?;
        let mut out = vec![T::zero(); x.values.len()];
        by_row(
            x.values,
            &mut out,
            width,
            #[inline(always)]
            |row, x, out| {
                let (scale, shift) = (
                    of_sample(scale.values, row, tokens, width),
                    of_sample(shift.values, row, tokens, width),
                );
                let (mean, inverse_deviation) = statistics(x);
                for (((out, x), scale), shift) in out.iter_mut().zip(x).zip(scale).zip(shift) {
                    let normal = (x.wide() - mean) * inverse_deviation;
                    *out = T::narrow(normal * (1.0 + scale.wide()) + shift.wide());
                }
            },
        );
        Ok(out)
    }

    fn backward(&self, [x, scale, shift]: [&Tensor; 3], grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
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
        Ok([
            Some(like(x, out)?),
            Some(like(scale, for_vectors(d_scale, scale)?)?),
            Some(like(shift, for_vectors(d_shift, shift)?)?),
        ])
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

impl Operation<3> for GatedResidual {
    fn name(&self) -> &'static str {
        "gated residual"
    }

    fn forward<T: Format>(&self, [x, gate, y]: [Operand<T>; 3]) -> Result<Vec<T>> {
        let (_, tokens, width) = x.shape.dims3()?;
        let mut out = y.values.to_vec();
        by_row(
            x.values,
            &mut out,
            width,
            #[inline(always)]
            |row, x, out| {
                let gate = of_sample(gate.values, row, tokens, width);
                for ((out, x), gate) in out.iter_mut().zip(x).zip(gate) {
                    *out = T::narrow(x.wide() + gate.wide() * out.wide());
                }
            },
        );
        Ok(out)
    }

    fn backward(&self, [x, gate, y]: [&Tensor; 3], grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
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
        Ok([
            Some(grad.clone()),
            Some(like(gate, for_vectors(d_gate, gate)?)?),
            Some(like(y, d_y)?),
        ])
    }
}
