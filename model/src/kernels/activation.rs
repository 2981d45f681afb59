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

/// GELU by the error function (Hendrycks and Gimpel 2016), as CLIP-G and `DINOv2` use it, to an absolute error below 1e-6.
///
/// # Shapes
/// Any, kept.
///
/// # Errors
/// What the device reports.
pub fn gelu_erf(x: &Tensor) -> Result<Tensor> {
    pass1(Pointwise::GeluErf, x, || x.gelu_erf())
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
    GeluErf,
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

/// Share of a standard normal distribution below `x`, by Abramowitz and Stegun 1964, equation 7.1.26: absolute error below
/// 1e-6.
#[inline(always)]
fn normal_below(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = 1.061_405_4 * t - 1.453_152;
    let p = p * t + 1.421_413_8;
    let p = p * t - 0.284_496_74;
    let p = p * t + 0.254_829_6;
    let tail = 0.5 * p * t * exp(-z * z);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// Density of a standard normal distribution.
#[inline(always)]
fn normal_density(x: f32) -> f32 {
    const AT_0: f32 = 0.398_942_3;
    AT_0 * exp(-0.5 * x * x)
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
            Self::GeluTanh | Self::GeluErf => "GELU",
            Self::Silu => "SiLU",
        }
    }

    fn forward<T: Format>(&self, [x]: [Operand<T>; 1]) -> Result<Vec<T>> {
        Ok(match self {
            Self::GeluTanh => map(x.values, gelu),
            Self::GeluErf => map(
                x.values,
                #[inline(always)]
                |x| x * normal_below(x),
            ),
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
            Self::GeluErf => chain(
                &x,
                &mut out,
                #[inline(always)]
                |x| normal_below(x) + x * normal_density(x),
            ),
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
