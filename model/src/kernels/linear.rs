//! Linear layers: the bias is what the product accumulates onto, so that it costs no pass of its own.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::gemm::{View, matmul_add_threaded};
use super::{contiguous_f32, fused, timed};

/// A linear layer on the last dimension, as one flat matrix product.
///
/// # Shapes
/// `x: [.., inputs]`, `weight: [outputs, inputs]`, `bias: [outputs]`, result `[.., outputs]`.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let mut dims = x.dims().to_vec();
    let inputs = dims.pop().unwrap_or(1);
    dims.push(weight.dim(0)?);
    let flop = || 2 * x.elem_count() * weight.dims()[0];
    timed("linear", x.device(), flop, || {
        let flat = x.reshape(((), inputs))?;
        let y = match bias {
            Some(bias) if fused(x) => {
                flat.contiguous()?
                    .apply_op3(&weight.contiguous()?, &bias.contiguous()?, Linear)?
            }
            _ => plain_linear(&flat, weight, bias)?,
        };
        y.reshape(dims)
    })
}

/// The same out of candle's differentiable operations, on `[rows, inputs]`.
pub(super) fn plain_linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = x.matmul(&weight.t()?)?;
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

struct Linear;

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let ((rows, inputs), (outputs, _)) = (l1.shape().dims2()?, l2.shape().dims2()?);
        let (x, weight, bias) = (
            contiguous_f32(s1, l1)?,
            contiguous_f32(s2, l2)?,
            contiguous_f32(s3, l3)?,
        );
        let mut out = Vec::with_capacity(rows * outputs);
        (0..rows).for_each(|_| out.extend_from_slice(bias));
        matmul_add_threaded(
            &mut out,
            View::new(x, rows, inputs, inputs),
            View::new(weight, outputs, inputs, inputs).t(),
        );
        Ok((CpuStorage::F32(out), (rows, outputs).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        // A frozen layer's own gradients are a third of the work, and nobody reads them.
        let d_bias = bias.track_op().then(|| column_sums(&grad, bias.dim(0)?)).transpose()?;
        let d_weight = weight.track_op().then(|| grad.t()?.matmul(x)).transpose()?;
        let d_x = x.track_op().then(|| grad.matmul(weight)).transpose()?;
        Ok((d_x, d_weight, d_bias))
    }
}

/// Sums over rows, added up in a fixed order, as a resumed training must give the same bits.
fn column_sums(grad: &Tensor, outputs: usize) -> Result<Tensor> {
    let rows: Vec<f32> = grad.flatten_all()?.to_vec1()?;
    let parts = rows
        .par_chunks(outputs * 64)
        .map(|block| {
            let mut sum = vec![0f32; outputs];
            for row in block.chunks_exact(outputs) {
                sum.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
            }
            sum
        })
        .collect::<Vec<_>>();
    let total = parts.into_iter().fold(vec![0f32; outputs], |mut total, part| {
        total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
        total
    });
    Tensor::from_vec(total, outputs, grad.device())
}
