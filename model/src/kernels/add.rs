//! Sums of token tensors.
//!
//! candle adds on a pool of its own that waits by spinning: with another program on the processor, an addition of 0.1 ms
//! was measured to take 10. Additions inside the networks therefore run here.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::operation::{Operand, Operation, pass2};
use super::real::Format;
use super::vector::widest;

/// Values per task.
const CHUNK: usize = 32 * 1024;

/// `a + b`, b repeated over the batch when it has only one sample.
///
/// # Shapes
/// `a: [batch, ..]`, `b: [batch or 1, ..]`, result like `a`.
///
/// # Errors
/// Tensors of other shapes.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    pass2(Add, [a, b], || a.broadcast_add(b))
}

struct Add;

impl Operation<2> for Add {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn forward<T: Format>(&self, [a, b]: [Operand<T>; 2]) -> Result<Vec<T>> {
        if b.values.is_empty() || a.values.len() % b.values.len() != 0 {
            candle_core::bail!("add: {:?} does not repeat to {:?}", b.shape, a.shape);
        }
        let mut out = a.values.to_vec();
        for sample in out.chunks_exact_mut(b.values.len()) {
            sample
                .par_chunks_mut(CHUNK)
                .zip(b.values.par_chunks(CHUNK))
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
        Ok(out)
    }

    fn backward(&self, [a, b]: [&Tensor; 2], grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let d_b = if b.dim(0)? == a.dim(0)? {
            grad.clone()
        } else {
            grad.sum_keepdim(0)?
        };
        Ok([Some(grad.clone()), Some(d_b)])
    }
}
