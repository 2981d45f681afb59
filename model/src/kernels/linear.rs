//! Linear layers: the bias is what the product accumulates onto, so that it costs no pass of its own.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use half::bf16;
use rayon::prelude::*;

use super::gemm::{View, matmul_add_threaded};
use super::real::{Real, contiguous, fused, host, like};
use super::tiles::{self, Matrix};
use super::timed;
use super::vector::{sum_by, widest};

/// Up to this many rows a product waits for its weights only, and packing them would take longer.
const FEW_ROWS: usize = 4;

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
        let half = x.dtype() == candle_core::DType::BF16 && inputs.is_multiple_of(bf16::PER_WORD);
        let y = match bias {
            Some(bias) if fused(x) && (half || x.dtype() == candle_core::DType::F32) => {
                flat.contiguous()?
                    .apply_op3(&weight.contiguous()?, &bias.contiguous()?, Linear)?
            }
            None if fused(x) && half => flat.contiguous()?.apply_op2(&weight.contiguous()?, Unbiased)?,
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

/// With a bias, in f32 or bf16.
struct Linear;

/// Without a bias, in bf16; candle's own product serves f32.
struct Unbiased;

/// candle's own product in f32, which is as fast as this crate's tiles when nothing has to be gathered.
pub(super) fn product_f32(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    (rows, inputs, outputs): (usize, usize, usize),
) -> Vec<f32> {
    let mut out = rows_of(bias, rows, outputs);
    matmul_add_threaded(
        &mut out,
        outputs,
        View::new(x, rows, inputs, inputs),
        View::new(weight, outputs, inputs, inputs).t(),
    );
    out
}

/// What a product adds to: the bias in every row, or zeros.
pub(super) fn rows_of(bias: Option<&[f32]>, rows: usize, outputs: usize) -> Vec<f32> {
    match bias {
        Some(bias) => bias.repeat(rows),
        None => vec![0.0; rows * outputs],
    }
}

pub(super) fn product_bf16(
    x: &[bf16],
    weight: &[bf16],
    bias: Option<&[bf16]>,
    (rows, inputs, outputs): (usize, usize, usize),
) -> Vec<bf16> {
    let mut out = vec![bf16::ZERO; rows * outputs];
    if rows > FEW_ROWS {
        let left = Matrix {
            data: x,
            stride: inputs,
        };
        tiles::product(&left, weight, inputs, bias, &mut out);
        return out;
    }
    for (x, out) in x.chunks_exact(inputs).zip(out.chunks_exact_mut(outputs)) {
        out.par_iter_mut()
            .zip(weight.par_chunks_exact(inputs))
            .enumerate()
            .with_min_len(64)
            .for_each(|(i, (out, weight))| {
                widest(
                    #[inline(always)]
                    || {
                        let sum = sum_by(inputs, |i| x[i].wide() * weight[i].wide());
                        *out = bf16::narrow(sum + bias.map_or(0.0, |bias| bias[i].wide()));
                    },
                );
            });
    }
    out
}

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
        let sizes = (rows, inputs, outputs);
        let out = match s1 {
            CpuStorage::BF16(_) => {
                let bias = Some(contiguous(s3, l3)?);
                CpuStorage::BF16(product_bf16(contiguous(s1, l1)?, contiguous(s2, l2)?, bias, sizes))
            }
            _ => CpuStorage::F32(product_f32(
                contiguous(s1, l1)?,
                contiguous(s2, l2)?,
                Some(contiguous(s3, l3)?),
                sizes,
            )),
        };
        Ok((out, (rows, outputs).into()))
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
        let d_bias = bias
            .track_op()
            .then(|| like(bias, sum_of_rows(&host(&grad)?, bias.dim(0)?)))
            .transpose()?;
        let d_weight = weight.track_op().then(|| grad.t()?.matmul(x)).transpose()?;
        let d_x = x.track_op().then(|| grad.matmul(weight)).transpose()?;
        Ok((d_x, d_weight, d_bias))
    }
}

/// The sum of all rows, in a fixed order: a resumed training must give the same bits.
pub(super) fn sum_of_rows(rows: &[f32], width: usize) -> Vec<f32> {
    let parts: Vec<_> = rows
        .par_chunks(width * 64)
        .map(|block| {
            let mut sum = vec![0f32; width];
            for row in block.chunks_exact(width) {
                sum.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
            }
            sum
        })
        .collect();
    parts.into_iter().fold(vec![0f32; width], |mut total, part| {
        total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
        total
    })
}

impl CustomOp2 for Unbiased {
    fn name(&self) -> &'static str {
        "linear-unbiased"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let ((rows, inputs), (outputs, _)) = (l1.shape().dims2()?, l2.shape().dims2()?);
        let out = product_bf16(contiguous(s1, l1)?, contiguous(s2, l2)?, None, (rows, inputs, outputs));
        Ok((CpuStorage::BF16(out), (rows, outputs).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        Ok((Some(grad.matmul(weight)?), Some(grad.t()?.matmul(x)?)))
    }
}
