//! Fused operations that candle's CPU backend runs slowly or without a gradient.
//!
//! Every function here works on any device and dtype: f32 and bf16 on the CPU take a fused, vectorised, threaded
//! [`candle_core::CustomOp1`]-style operation *with* a backward pass; everything else takes the plain
//! formulation out of differentiable candle operations, which is also what the tests compare against, or what candle
//! and `attention.cu` have for GPUs.
//!
//! | file | operation |
//! |---|---|
//! | `attention` | softmax(q kᵀ / √d) v over heads, tile by tile, never holding the whole score matrix |
//! | `norm` | layer norm with optional per-sample modulation, RMS norm, gated residual |
//! | `library_norm` | candle's own norms, for GPUs |
//! | `group_norm` | group norm of channels-last images, with `SiLU` in the same pass |
//! | `real` | f32 and bf16 behind one trait |
//! | `activation` | tanh-GELU, SiLU |
//! | `add` | sums, off candle's spinning pool |
//! | `linear` | matrix product and bias in one pass |
//! | `stored` | linear layers whose weights stay in their file |
//! | `convolution` | 3x3 convolution of channels-last images |
//! | `tiles` | matrix products whose operands are gathered while they are packed |
//! | `gemm` | the one safe door to the matrix-product crate that candle itself uses |
//! | `vector` | exp and friends that the compiler can vectorise |
//! | `profile` | where the time goes, by operation |

#![allow(clippy::inline_always)] // helpers must be compiled into their caller for its instruction set

mod activation;
mod add;
mod attention;
mod convolution;
mod gemm;
mod group_norm;
mod library_norm;
mod linear;
mod norm;
mod profile;
mod real;
mod stored;
mod tiles;
mod vector;

pub use activation::{gelu_tanh, silu};
pub use add::add;
pub use attention::{attention, attention_hindrance};
pub use convolution::{Sampling, conv3x3};
pub use group_norm::group_norm;
pub use linear::linear;
pub use norm::{gated_residual, layer_norm, modulated_layer_norm, rms_norm};
pub(crate) use profile::timed;
pub use profile::{OperationTime, record};
pub(crate) use real::Real;
pub(crate) use stored::{Values, stored_product};

use candle_core::{Result, Tensor};

/// Runs an operation that is a pass over `x`, on the profile's record if there is one.
fn pass(name: &'static str, x: &Tensor, f: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
    timed(name, x.device(), || 0, f)
}

#[cfg(test)]
mod tests;
