//! Pointwise activations in one vectorised pass each.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::pass;
use super::real::{Real, by_format, contiguous, fused, host, like};
use super::vector::{exp, tanh, widest};

/// Values per task: large enough to hide the cost of a task, small enough to balance two cores.
const CHUNK: usize = 16 * 1024;

/// GELU in its tanh form (Hendrycks and Gimpel 2016), as SD3's feed-forward layers use it.
///
/// # Shapes
/// Any, kept.
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    pass("GELU", x, || {
        if fused(x) {
            x.contiguous()?.apply_op1(Pointwise::GeluTanh)
        } else {
            x.gelu()
        }
    })
}

/// `SiLU`, `x * sigmoid(x)`.
///
/// # Shapes
/// Any, kept.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    pass("SiLU", x, || {
        if fused(x) {
            x.contiguous()?.apply_op1(Pointwise::Silu)
        } else {
            x.silu()
        }
    })
}

#[derive(Clone, Copy)]
enum Pointwise {
    GeluTanh,
    Silu,
}

const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

#[inline(always)]
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x)))
}

#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    let t = tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x));
    0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * SQRT_2_OVER_PI * (1.0 + 3.0 * CUBIC * x * x)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `f` of every value, threaded and vectorised.
fn map<T: Real>(x: &[T], f: impl Fn(f32) -> f32 + Sync) -> Vec<T> {
    let mut out = vec![T::zero(); x.len()];
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| {
        widest(
            #[inline(always)]
            || {
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = T::narrow(f(x.wide()));
                }
            },
        );
    });
    out
}

/// `grad[i] *= slope(x[i])`, threaded and vectorised.
fn chain(x: &[f32], grad: &mut [f32], slope: impl Fn(f32) -> f32 + Sync) {
    grad.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .for_each(|(grad, x)| {
            widest(
                #[inline(always)]
                || {
                    for (grad, &x) in grad.iter_mut().zip(x) {
                        *grad *= slope(x);
                    }
                },
            );
        });
}

impl Pointwise {
    fn forward<T: Real>(self, storage: &CpuStorage, layout: &Layout) -> Result<CpuStorage> {
        let x = contiguous::<T>(storage, layout)?;
        let out = match self {
            Self::GeluTanh => map(x, gelu),
            Self::Silu => map(
                x,
                #[inline(always)]
                |x| x * sigmoid(x),
            ),
        };
        Ok(T::to_cpu_storage_owned(out))
    }
}

impl CustomOp1 for Pointwise {
    fn name(&self) -> &'static str {
        match self {
            Self::GeluTanh => "gelu-tanh",
            Self::Silu => "silu",
        }
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let out = by_format!(storage, T => self.forward::<T>(storage, layout)?);
        Ok((out, layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (x, mut out) = (host(arg)?, host(grad)?);
        match self {
            Self::GeluTanh => chain(&x, &mut out, gelu_slope),
            Self::Silu => chain(
                &x,
                &mut out,
                #[inline(always)]
                |x| {
                    let s = sigmoid(x);
                    s * (1.0 + x * (1.0 - s))
                },
            ),
        }
        Ok(Some(like(arg, out)?))
    }
}
