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
//! | `norm` | layer norm, RMS norm |
//! | `modulation` | layer norm with a gain and an offset per sample, gated residual |
//! | `library_norm` | candle's own norms, for GPUs |
//! | `group_norm` | group norm of channels-last images, with `SiLU` in the same pass |
//! | `real` | f32 and bf16 behind one trait |
//! | `operation` | what a fused operation says of itself, and the rest that candle asks of one |
//! | `activation` | both forms of GELU, SiLU |
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
mod modulation;
mod norm;
mod operation;
mod profile;
mod real;
mod stored;
mod tiles;
mod vector;

pub use activation::{gelu_erf, gelu_tanh, silu};
pub use add::add;
pub use attention::{attention, attention_hindrance};
pub use convolution::{Sampling, conv3x3};
pub use group_norm::group_norm;
pub use linear::linear;
pub use modulation::{gated_residual, modulated_layer_norm};
pub use norm::{layer_norm, rms_norm};
pub(crate) use profile::timed;
pub use profile::{OperationTime, record};
pub(crate) use real::Real;
pub(crate) use stored::{Values, blocks_are_finite, stored_product};

#[cfg(test)]
mod tests;
