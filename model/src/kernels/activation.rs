//! Pointwise activations in one vectorised pass each.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::vector::{exp, tanh, widest};
use super::{contiguous_f32, fused, host, pass};

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

/// `out[i] = f(x[i], out[i])`, threaded and vectorised.
fn map(x: &[f32], out: &mut [f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| {
        widest(
            #[inline(always)]
            || {
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = f(x, *out);
                }
            },
        );
    });
}

impl CustomOp1 for Pointwise {
    fn name(&self) -> &'static str {
        match self {
            Self::GeluTanh => "gelu-tanh",
            Self::Silu => "silu",
        }
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = contiguous_f32(storage, layout)?;
        let mut out = vec![0f32; x.len()];
        match self {
            Self::GeluTanh => map(
                x,
                &mut out,
                #[inline(always)]
                |x, _| gelu(x),
            ),
            Self::Silu => map(
                x,
                &mut out,
                #[inline(always)]
                |x, _| x * sigmoid(x),
            ),
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (x, mut out) = (host(arg)?, host(grad)?);
        match self {
            Self::GeluTanh => map(
                &x,
                &mut out,
                #[inline(always)]
                |x, g| g * gelu_slope(x),
            ),
            Self::Silu => map(
                &x,
                &mut out,
                #[inline(always)]
                |x, g| {
                    let s = sigmoid(x);
                    g * s * (1.0 + x * (1.0 - s))
                },
            ),
        }
        Ok(Some(Tensor::from_vec(out, arg.shape(), arg.device())?))
    }
}
