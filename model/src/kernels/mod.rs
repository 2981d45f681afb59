//! Fused operations that candle's CPU backend runs slowly or without a gradient.
//!
//! Every function here works on any device and dtype: f32 on the CPU takes a fused, vectorised, threaded
//! [`candle_core::CustomOp1`]-style operation *with* a backward pass; everything else takes the plain
//! formulation out of differentiable candle operations, which is also what the tests compare against.
//!
//! | file | operation |
//! |---|---|
//! | `attention` | softmax(q kᵀ / √d) v over heads, tile by tile, never holding the whole score matrix |
//! | `norm` | layer norm with optional per-sample modulation; gated residual |
//! | `activation` | tanh-GELU, SiLU |
//! | `add` | sums, off candle's spinning pool |
//! | `linear` | matrix product and bias in one pass |
//! | `im2col` | 3x3 neighbourhoods of channels-last images, so that a convolution is one matrix product |
//! | `gemm` | the one safe door to the matrix-product crate that candle itself uses |
//! | `vector` | exp and friends that the compiler can vectorise |
//! | `profile` | where the time goes, by operation |

#![allow(clippy::inline_always)] // helpers must be compiled into their caller for its instruction set

mod activation;
mod add;
mod attention;
mod gemm;
mod im2col;
mod linear;
mod norm;
mod profile;
mod vector;

pub use activation::{gelu_tanh, silu};
pub use add::add;
pub use attention::attention;
pub use im2col::conv3x3;
pub use linear::linear;
pub use norm::{gated_residual, layer_norm, modulated_layer_norm, rms_norm};
pub(crate) use profile::timed;
pub use profile::{OperationTime, record};

use candle_core::{CpuStorage, DType, Layout, Result, Tensor};

/// Whether the fused CPU form applies to this tensor.
fn fused(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}

/// Runs an operation that is a pass over `x`, on the profile's record if there is one.
fn pass(name: &'static str, x: &Tensor, f: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
    timed(name, x.device(), || 0, f)
}

/// The values of a contiguous f32 CPU tensor, as a custom operation sees them.
fn contiguous_f32<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("a fused operation was given a strided tensor; call contiguous() first")
    };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// The values of a tensor in row-major order.
fn host(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

#[cfg(test)]
mod tests;
