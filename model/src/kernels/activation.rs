//! Pointwise activations in one vectorised pass each.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::operation::{Operand, Operation, pass1};
use super::real::{Format, Real, host, like};
use super::vector::{exp, tanh, widest};

/// Values per task: large enough to hide the cost of a task, small enough to balance two cores.
const CHUNK: usize = 16 * 1024;

/// GELU in its tanh form (Hendrycks and Gimpel 2016), as SD3's feed-forward layers use it.
///
/// # Shapes
/// Any, kept.
///
/// # Errors
/// What the device reports.
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    pass1(Pointwise::GeluTanh, x, || x.gelu())
}

/// `SiLU`, `x * sigmoid(x)`.
///
/// # Shapes
/// Any, kept.
///
/// # Errors
/// What the device reports.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    pass1(Pointwise::Silu, x, || x.silu())
}

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

impl Operation<1> for Pointwise {
    fn name(&self) -> &'static str {
        match self {
            Self::GeluTanh => "GELU",
            Self::Silu => "SiLU",
        }
    }

    fn forward<T: Format>(&self, [x]: [Operand<T>; 1]) -> Result<Vec<T>> {
        Ok(match self {
            Self::GeluTanh => map(x.values, gelu),
            Self::Silu => map(
                x.values,
                #[inline(always)]
                |x| x * sigmoid(x),
            ),
        })
    }

    fn backward(&self, [arg]: [&Tensor; 1], grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
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
        Ok([Some(like(arg, out)?)])
    }
}
