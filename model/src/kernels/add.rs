//! Sums of token tensors.
//!
//! candle adds on a pool of its own that waits by spinning: with another program on the processor, an addition of 0.1 ms
//! was measured to take 10. Additions inside the networks therefore run here.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::pass;
use super::real::{Real, by_format, contiguous, fused};
use super::vector::widest;

/// Values per task.
const CHUNK: usize = 32 * 1024;

/// `a + b`, b repeated over the batch when it has only one sample.
///
/// # Shapes
/// `a: [batch, ..]`, `b: [batch or 1, ..]`, result like `a`.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    pass("sum", a, || {
        if fused(a) {
            a.contiguous()?.apply_op2(&b.contiguous()?, Add)
        } else {
            a.broadcast_add(b)
        }
    })
}

struct Add;

fn sum<T: Real>((s1, l1): (&CpuStorage, &Layout), (s2, l2): (&CpuStorage, &Layout)) -> Result<CpuStorage> {
    let (a, b) = (contiguous::<T>(s1, l1)?, contiguous::<T>(s2, l2)?);
    if b.is_empty() || a.len() % b.len() != 0 {
        candle_core::bail!("add: {:?} does not repeat to {:?}", l2.shape(), l1.shape());
    }
    let mut out = a.to_vec();
    for sample in out.chunks_exact_mut(b.len()) {
        sample
            .par_chunks_mut(CHUNK)
            .zip(b.par_chunks(CHUNK))
            .for_each(|(out, b)| {
                widest(
                    #[inline(always)]
                    || {
                        for (out, b) in out.iter_mut().zip(b) {
                            *out = T::narrow(out.wide() + b.wide());
                        }
                    },
                );
            });
    }
    Ok(T::to_cpu_storage_owned(out))
}

impl CustomOp2 for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let out = by_format!(s1, T => sum::<T>((s1, l1), (s2, l2))?);
        Ok((out, l1.shape().clone()))
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let d_b = if b.dim(0)? == a.dim(0)? {
            grad.clone()
        } else {
            grad.sum_keepdim(0)?
        };
        Ok((Some(grad.clone()), Some(d_b)))
    }
}
