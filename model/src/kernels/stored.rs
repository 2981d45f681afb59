//! Linear layers whose weights stay as a file holds them: read in place, or widened piece by piece while the product runs.

use std::cell::RefCell;

use candle_core::{CpuStorage, Layout, Result};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::gemm::{View, matmul_add_threaded};
use super::linear::{product_bf16, product_f32, rows_of};
use super::real::{Real, contiguous};

/// Numbers that are widened at a time: 4 MB of f32, which the third-level cache keeps until the product has read them.
const PIECE: usize = 1 << 20;
/// Numbers that one task widens.
const TASK: usize = 1 << 15;

thread_local! {
    /// Kept between calls, as its pages would otherwise be asked of the system for every layer of every step.
    static WIDENED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A weight matrix in the format it is stored in.
#[derive(Clone, Copy)]
pub enum Values<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// IEEE half precision.
    F16(&'a [f16]),
    /// The upper half of single precision.
    BF16(&'a [bf16]),
}

impl Values<'_> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F16(v) => v.len(),
            Self::BF16(v) => v.len(),
        }
    }

    /// Writes the values from `from` on, as many as fit, in f32.
    fn widen(&self, from: usize, into: &mut [f32]) {
        let tasks = into.par_chunks_mut(TASK).enumerate();
        tasks.for_each(|(task, into)| {
            let range = from + task * TASK..from + task * TASK + into.len();
            match self {
                Self::F32(v) => into.copy_from_slice(&v[range]),
                Self::F16(v) => v[range].convert_to_f32_slice(into),
                Self::BF16(v) => into.iter_mut().zip(&v[range]).for_each(|(x, v)| *x = v.wide()),
            }
        });
    }
}

/// `x weightᵀ + bias` in the format of `x`.
///
/// # Shapes
/// `x: [rows, inputs]`, `weight: [outputs, inputs]`, `bias: [outputs]`, result `[rows, outputs]`; `sizes` are rows, inputs and
/// outputs.
///
/// # Errors
/// A pair of formats that would have to be rounded: bf16 takes bf16 alone.
pub fn stored_product(
    x: (&CpuStorage, &Layout),
    weight: Values,
    bias: Option<(&CpuStorage, &Layout)>,
    sizes: (usize, usize, usize),
) -> Result<CpuStorage> {
    match (x.0, weight) {
        (CpuStorage::BF16(_), Values::BF16(weight)) => {
            let bias = bias.map(|(s, l)| contiguous(s, l)).transpose()?;
            Ok(CpuStorage::BF16(product_bf16(
                contiguous(x.0, x.1)?,
                weight,
                bias,
                sizes,
            )))
        }
        (CpuStorage::F32(_), weight) => {
            let bias = bias.map(|(s, l)| contiguous(s, l)).transpose()?;
            let x = contiguous(x.0, x.1)?;
            Ok(CpuStorage::F32(match weight {
                Values::F32(weight) => product_f32(x, weight, bias, sizes),
                _ => widening_product(x, weight, bias, sizes),
            }))
        }
        _ => candle_core::bail!("weights in their file serve products in f32, and bf16 ones products in bf16"),
    }
}

fn widening_product(
    x: &[f32],
    weight: Values,
    bias: Option<&[f32]>,
    (rows, inputs, outputs): (usize, usize, usize),
) -> Vec<f32> {
    let mut out = rows_of(bias, rows, outputs);
    let piece = (PIECE / inputs.max(1)).clamp(1, outputs.max(1));
    WIDENED.with_borrow_mut(|widened| {
        for first in (0..outputs).step_by(piece) {
            let count = piece.min(outputs - first);
            widened.resize(count * inputs, 0.0);
            weight.widen(first * inputs, widened);
            matmul_add_threaded(
                &mut out[first..],
                outputs,
                View::new(x, rows, inputs, inputs),
                View::new(widened, count, inputs, inputs).t(),
            );
        }
    });
    out
}
