//! Linear layers: the bias is what the product accumulates onto, so that it costs no pass of its own.

use candle_core::{Result, Shape, Tensor};
use half::bf16;
use rayon::prelude::*;

use super::gemm::{View, matmul_add_threaded};
use super::operation::{Operand, Operation, apply2, apply3};
use super::real::{Format, Real, fused, host, like};
use super::tiles::{self, Matrix};
use super::timed;
use super::vector::{sum_by, widest};

/// Up to this many rows a product waits for its weights only, and packing them would take longer.
const FEW_ROWS: usize = 4;

/// A linear layer on the last dimension, as one flat matrix product.
///
/// # Shapes
/// `x: [.., inputs]`, `weight: [outputs, inputs]`, `bias: [outputs]`, result `[.., outputs]`.
///
/// # Errors
/// Tensors of other shapes.
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
                apply3(Linear, [&flat, weight, bias])?
            }
            None if fused(x) && half => apply2(Unbiased, [&flat, weight])?,
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

impl Format for f32 {
    fn product(x: &[Self], weight: &[Self], bias: Option<&[Self]>, sizes: (usize, usize, usize)) -> Vec<Self> {
        product_f32(x, weight, bias, sizes)
    }
}

impl Format for bf16 {
    fn product(x: &[Self], weight: &[Self], bias: Option<&[Self]>, sizes: (usize, usize, usize)) -> Vec<Self> {
        product_bf16(x, weight, bias, sizes)
    }
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

/// Rows, inputs and outputs of a product.
fn sizes_of(x: &Shape, weight: &Shape) -> Result<(usize, usize, usize)> {
    let ((rows, inputs), (outputs, _)) = (x.dims2()?, weight.dims2()?);
    Ok((rows, inputs, outputs))
}

fn result_shape(x: &Shape, weight: &Shape) -> Result<Shape> {
    let (rows, _, outputs) = sizes_of(x, weight)?;
    Ok((rows, outputs).into())
}

impl Operation<3> for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn shape(&self, [x, weight, _]: [&Shape; 3]) -> Result<Shape> {
        result_shape(x, weight)
    }

    fn forward<T: Format>(&self, [x, weight, bias]: [Operand<T>; 3]) -> Result<Vec<T>> {
        let sizes = sizes_of(x.shape, weight.shape)?;
        Ok(T::product(x.values, weight.values, Some(bias.values), sizes))
    }

    fn backward(&self, [x, weight, bias]: [&Tensor; 3], grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
        let grad = grad.contiguous()?;
        // A frozen layer's own gradients are a third of the work, and nobody reads them.
        let d_bias = bias
            .track_op()
            .then(|| like(bias, sum_of_rows(&host(&grad)?, bias.dim(0)?)))
            .transpose()?;
        let d_weight = weight.track_op().then(|| grad.t()?.matmul(x)).transpose()?;
        let d_x = x.track_op().then(|| grad.matmul(weight)).transpose()?;
        Ok([d_x, d_weight, d_bias])
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

impl Operation<2> for Unbiased {
    fn name(&self) -> &'static str {
        "linear-unbiased"
    }

    fn shape(&self, [x, weight]: [&Shape; 2]) -> Result<Shape> {
        result_shape(x, weight)
    }

    fn forward<T: Format>(&self, [x, weight]: [Operand<T>; 2]) -> Result<Vec<T>> {
        Ok(T::product(
            x.values,
            weight.values,
            None,
            sizes_of(x.shape, weight.shape)?,
        ))
    }

    fn backward(&self, [x, weight]: [&Tensor; 2], grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let grad = grad.contiguous()?;
        Ok([Some(grad.matmul(weight)?), Some(grad.t()?.matmul(x)?)])
    }
}
