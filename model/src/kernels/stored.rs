//! Linear layers whose weights stay as a file holds them: read in place, or widened piece by piece while the product runs.

use std::borrow::Cow;
use std::cell::RefCell;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{CpuStorage, Device, Layout, Result, Storage};
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
/// Quantised numbers that are widened at once, by way of a copy: 32 kB of f32, which stay in the first-level cache.
const WIDENED_AT_ONCE: usize = 1 << 13;
/// Alignment of candle's blocks that begin with half-precision numbers.
const BLOCK_ALIGNMENT: usize = 2;

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
    /// A number per byte.
    Table(&'a [u8], &'a [f32; 256]),
    /// Blocks of quantised numbers, see [`Values::blocks`].
    Blocks(&'a [u8], GgmlDType),
}

impl<'a> Values<'a> {
    /// Blocks of quantised numbers; `None` when they are incomplete or not aligned as candle reads them.
    pub fn blocks(bytes: &'a [u8], kind: GgmlDType) -> Option<Self> {
        let is_aligned =
            bytes.as_ptr().align_offset(BLOCK_ALIGNMENT) == 0 && kind.type_size().is_multiple_of(BLOCK_ALIGNMENT);
        let is_complete =
            bytes.len().is_multiple_of(kind.type_size()) && WIDENED_AT_ONCE.is_multiple_of(kind.block_size());
        // candle's Q8_K, which no file has, begins with single precision.
        (is_aligned && is_complete && kind != GgmlDType::Q8K).then_some(Self::Blocks(bytes, kind))
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F16(v) => v.len(),
            Self::BF16(v) => v.len(),
            Self::Table(v, _) => v.len(),
            Self::Blocks(v, kind) => v.len() / kind.type_size() * kind.block_size(),
        }
    }

    /// Writes the values from `from` on, as many as fit, in f32.
    fn widen(&self, from: usize, into: &mut [f32]) -> Result<()> {
        let tasks = into.par_chunks_mut(TASK).enumerate();
        tasks.try_for_each(|(task, into)| {
            let range = from + task * TASK..from + task * TASK + into.len();
            match self {
                Self::F32(v) => into.copy_from_slice(&v[range]),
                Self::F16(v) => v[range].convert_to_f32_slice(into),
                Self::BF16(v) => into.iter_mut().zip(&v[range]).for_each(|(x, v)| *x = v.wide()),
                Self::Table(v, table) => into
                    .iter_mut()
                    .zip(&v[range])
                    .for_each(|(x, &v)| *x = table[usize::from(v)]),
                Self::Blocks(v, kind) => widen_blocks(v, *kind, range.start, into)?,
            }
            Ok(())
        })
    }
}

/// Whether all numbers of blocks are finite.
///
/// # Errors
/// Blocks that are incomplete or not aligned.
pub fn blocks_are_finite(bytes: &[u8], kind: GgmlDType) -> Result<bool> {
    let Some(values) = Values::blocks(bytes, kind) else {
        candle_core::bail!("quantised blocks of {} bytes can't be read in place", bytes.len())
    };
    let starts: Vec<usize> = (0..values.len()).step_by(WIDENED_AT_ONCE).collect();
    let finite = starts.into_par_iter().map(|start| {
        let mut block = vec![0f32; WIDENED_AT_ONCE.min(values.len() - start)];
        widen_blocks(bytes, kind, start, &mut block)?;
        Ok(block.iter().all(|v| v.is_finite()))
    });
    finite.try_reduce(|| true, |a, b| Ok(a && b))
}

/// Writes the values of blocks from `start` on, by candle.
fn widen_blocks(bytes: &[u8], kind: GgmlDType, start: usize, into: &mut [f32]) -> Result<()> {
    for (i, into) in into.chunks_mut(WIDENED_AT_ONCE).enumerate() {
        let first = (start + i * WIDENED_AT_ONCE) / kind.block_size() * kind.type_size();
        let len = into.len() / kind.block_size() * kind.type_size();
        let storage = QStorage::from_data(Cow::Borrowed(&bytes[first..first + len]), &Device::Cpu, kind)?;
        let tensor = QTensor::new(storage, into.len())?.dequantize(&Device::Cpu)?;
        let (storage, _) = tensor.storage_and_layout();
        let Storage::Cpu(CpuStorage::F32(values)) = &*storage else {
            candle_core::bail!("quantised numbers were widened to something else than f32")
        };
        into.copy_from_slice(values);
    }
    Ok(())
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
                _ => widening_product(x, weight, bias, sizes)?,
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
) -> Result<Vec<f32>> {
    let mut out = rows_of(bias, rows, outputs);
    let piece = (PIECE / inputs.max(1)).clamp(1, outputs.max(1));
    WIDENED.with_borrow_mut(|widened| {
        for first in (0..outputs).step_by(piece) {
            let count = piece.min(outputs - first);
            widened.resize(count * inputs, 0.0);
            weight.widen(first * inputs, widened)?;
            matmul_add_threaded(
                &mut out[first..],
                outputs,
                View::new(x, rows, inputs, inputs),
                View::new(widened, count, inputs, inputs).t(),
            );
        }
        Ok(out)
    })
}
