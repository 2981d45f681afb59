//! Attention over heads on token-major tensors, tile by tile.
//!
//! | file | what |
//! |---|---|
//! | this one | the operation and its plain form |
//! | `forward` | keys and values packed once, scores of a few queries at a time |
//! | `backward` | gradients, weights recomputed tile by tile |
//! | `cuda`, `attention.cu` | the forward pass on an NVIDIA GPU, in builds with the feature `cuda` |

mod backward;
#[cfg(feature = "cuda")]
mod cuda;
mod forward;

use candle_core::{CpuStorage, CustomOp3, D, DType, Device, Layout, Result, Shape, Tensor};

use super::real::{Real, by_format, contiguous, fused, host, like};
use super::timed;

/// Softmax attention per head: `softmax(q kᵀ / sqrt(d)) v` (Vaswani et al. 2017, equation 1).
///
/// # Shapes
/// `q: [batch, queries, heads * d]`, `k`, `v: [batch, keys, heads * d]`, result like `q`. Heads are slices of the
/// last dimension, so nothing is transposed on the way in or out.
///
/// # Errors
/// Tensors of other shapes.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    let flop = || 4 * q.elem_count() * k.dims().get(1).copied().unwrap_or(0);
    timed("attention", q.device(), flop, || {
        let operands = [q.contiguous()?, k.contiguous()?, v.contiguous()?];
        let [q, k, v] = &operands;
        // Half precision is packed in pairs on the CPU.
        let odd = q.dim(2)? / heads % 2 == 1 && q.dtype() != DType::F32;
        if (fused(q) && !odd) || on_gpu([q, k, v], heads) {
            q.apply_op3(k, v, Attention { heads })
        } else {
            plain_attention(q, k, v, heads)
        }
    })
}

/// Why attention takes its plain, slower form on this device; nothing where there is a kernel for it.
pub fn attention_hindrance(device: &Device) -> Option<String> {
    match device {
        Device::Cpu => None,
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::hindrance(device),
        _ => Some("there is no kernel for this kind of device".to_owned()),
    }
}

/// Whether contiguous queries, keys and values are on a GPU that has a kernel for them.
#[cfg(feature = "cuda")]
fn on_gpu(operands: [&Tensor; 3], heads: usize) -> bool {
    cuda::serves(operands, heads)
}

#[cfg(not(feature = "cuda"))]
fn on_gpu(_: [&Tensor; 3], _: usize) -> bool {
    false
}

/// Scores of the plain form in memory at once, 256 MB in f32: one image of 1024 px has seven times as many.
const PLAIN_SCORES: usize = 64 << 20;

/// The same out of candle's differentiable operations, which hold the scores of some queries at a time.
pub(super) fn plain_attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    attention_in_pieces(q, k, v, heads, PLAIN_SCORES)
}

/// [`plain_attention`] with at most `most` scores at once, or those of one query.
pub(super) fn attention_in_pieces(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize, most: usize) -> Result<Tensor> {
    let (batch, queries, width) = q.dims3()?;
    let split = |x: &Tensor| {
        x.reshape((batch, x.dim(1)?, heads, width / heads))?
            .transpose(1, 2)?
            .contiguous()
    };
    let (q, k, v) = (split(q)?, split(k)?, split(v)?);
    let per_query = (batch * heads * k.dim(2)?).max(1);
    let rows = (most / per_query).clamp(1, queries.max(1));
    let piece = |from: usize| {
        let q = q.narrow(2, from, rows.min(queries - from))?.contiguous()?;
        let scores = (q.matmul(&k.t()?)? / ((width / heads) as f64).sqrt())?;
        candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&v)
    };
    let pieces = (0..queries).step_by(rows).map(piece).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&pieces, 2)?
        .transpose(1, 2)?
        .reshape((batch, queries, width))
}

struct Attention {
    heads: usize,
}

/// The sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    /// Values of all heads of a token.
    width: usize,
    /// Values of one head.
    head: usize,
}

impl Sizes {
    fn scale(self) -> f32 {
        1.0 / (self.head as f32).sqrt()
    }
}

impl Attention {
    fn sizes(&self, q: &Shape, k: &Shape) -> Result<Sizes> {
        let (batch, queries, width) = q.dims3()?;
        Ok(Sizes {
            batch,
            queries,
            keys: k.dims3()?.1,
            heads: self.heads,
            width,
            head: width / self.heads,
        })
    }

    fn forward<T: Real>(
        &self,
        q: (&CpuStorage, &Layout),
        k: (&CpuStorage, &Layout),
        v: (&CpuStorage, &Layout),
    ) -> Result<CpuStorage> {
        let sizes = self.sizes(q.1.shape(), k.1.shape())?;
        let (q, k, v) = (
            contiguous::<T>(q.0, q.1)?,
            contiguous::<T>(k.0, k.1)?,
            contiguous::<T>(v.0, v.1)?,
        );
        Ok(T::to_cpu_storage_owned(forward::attend(sizes, q, k, v)))
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
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
        let out = by_format!(s1, T => self.forward::<T>((s1, l1), (s2, l2), (s3, l3))?);
        Ok((out, l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &candle_core::CudaStorage,
        l1: &Layout,
        s2: &candle_core::CudaStorage,
        l2: &Layout,
        s3: &candle_core::CudaStorage,
        l3: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let sizes = self.sizes(l1.shape(), l2.shape())?;
        Ok((cuda::attend(sizes, (s1, l1), (s2, l2), (s3, l3))?, l1.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        if !q.device().is_cpu() {
            let [d_q, d_k, d_v] = backward::plain_gradients(self.heads, [q, k, v], grad)?;
            return Ok((Some(d_q), Some(d_k), Some(d_v)));
        }
        let sizes = self.sizes(q.shape(), k.shape())?;
        let [d_q, d_k, d_v] = backward::gradients(sizes, &host(q)?, &host(k)?, &host(v)?, &host(grad)?);
        Ok((Some(like(q, d_q)?), Some(like(k, d_k)?), Some(like(v, d_v)?)))
    }
}
