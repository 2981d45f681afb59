//! From a file's bytes to a tensor of the compute dtype, in one pass that also looks for NaN.

use std::borrow::Cow;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::vec::HalfBitsVecExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::fresh;
use crate::kernels::Real;

/// Numbers that one task converts.
const CHUNK: usize = 1 << 18;
/// Numbers that pass through the stack at once.
const BLOCK: usize = 1 << 10;

/// What stored bytes stand for.
#[derive(Clone, Copy)]
pub(super) enum Stored<'a> {
    /// Numbers of one of candle's dtypes.
    Plain(DType),
    /// A number per byte.
    Table(&'a [f32; 256]),
}

impl Stored<'_> {
    /// Bytes of a number.
    fn size(self) -> usize {
        match self {
            Self::Plain(dtype) => dtype.size_in_bytes(),
            Self::Table(_) => 1,
        }
    }
}

/// The tensor, or `None` when it holds NaN or infinite values.
///
/// # Shapes
/// `bytes` holds as many numbers of `stored` as `shape` says; result of that shape in `wanted`. Integers stay integers
/// unless a float is wanted.
pub(super) fn tensor(
    bytes: &[u8],
    stored: Stored,
    shape: &[usize],
    wanted: DType,
    device: &Device,
) -> candle_core::Result<Option<Tensor>> {
    use Stored::{Plain, Table};
    let tensor = match (stored, wanted) {
        (Plain(DType::F16), DType::F16) => {
            same(bytes, f16::INFINITY.to_bits()).map(|v| halves::<f16>(v, shape, device))
        }
        (Plain(DType::BF16), DType::BF16) => {
            same(bytes, bf16::INFINITY.to_bits()).map(|v| halves::<bf16>(v, shape, device))
        }
        (Plain(DType::F32 | DType::BF16) | Table(_), DType::F16) => narrowed(bytes, stored, |bits, values| {
            bits.reinterpret_cast_mut::<f16>().convert_from_f32_slice(values);
        })
        .map(|v| halves::<f16>(v, shape, device)),
        (Plain(DType::F32 | DType::F16) | Table(_), DType::BF16) => narrowed(bytes, stored, |bits, values| {
            // Not the half crate's, which goes number by number.
            let bits = bits.reinterpret_cast_mut::<bf16>();
            bits.iter_mut().zip(values).for_each(|(b, &v)| *b = Real::narrow(v));
        })
        .map(|v| halves::<bf16>(v, shape, device)),
        (Plain(DType::F32 | DType::F16 | DType::BF16) | Table(_), _) => {
            widened(bytes, stored).map(|v| Tensor::from_vec(v, shape, device))
        }
        (Plain(other), _) => Some(Tensor::from_raw_buffer(bytes, other, shape, device)),
    };
    let Some(tensor) = tensor.transpose()? else {
        return Ok(None);
    };
    let finite = !matches!(stored, Plain(DType::F64)) || tensor.sum_all()?.to_scalar::<f64>()?.is_finite();
    let tensor = tensor.to_dtype(wanted)?;
    Ok(finite.then_some(tensor))
}

/// The tensor that blocks of quantised numbers stand for, or `None` when it holds NaN or infinite values.
///
/// # Shapes
/// As [`tensor`]'s.
pub(super) fn unquantised(
    bytes: &[u8],
    kind: GgmlDType,
    shape: &[usize],
    wanted: DType,
    device: &Device,
) -> candle_core::Result<Option<Tensor>> {
    // candle reads blocks where they are and insists on their alignment, which a file need not have.
    let aligned: Vec<u32>;
    let bytes = if bytes.as_ptr().align_offset(align_of::<u32>()) == 0 {
        bytes
    } else {
        aligned = bytes
            .chunks(4)
            .map(|b| u32::from_ne_bytes(std::array::from_fn(|i| b.get(i).copied().unwrap_or(0))))
            .collect();
        &bytemuck::cast_slice(&aligned)[..bytes.len()]
    };
    let storage = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, kind)?;
    let values: usize = shape.iter().product();
    let tensor = QTensor::new(storage, values)?
        .dequantize(&Device::Cpu)?
        .reshape(shape)?;
    let finite = all_finite(&tensor.flatten_all()?.to_vec1::<f32>()?);
    finite.then(|| tensor.to_dtype(wanted)?.to_device(device)).transpose()
}

/// Bit patterns as numbers of a half-precision format, without a copy.
fn halves<T: candle_core::WithDType>(bits: Vec<u16>, shape: &[usize], device: &Device) -> candle_core::Result<Tensor>
where
    Vec<u16>: IntoHalves<T>,
{
    Tensor::from_vec(bits.into_halves(), shape, device)
}

trait IntoHalves<T> {
    fn into_halves(self) -> Vec<T>;
}

impl IntoHalves<f16> for Vec<u16> {
    fn into_halves(self) -> Vec<f16> {
        self.reinterpret_into()
    }
}

impl IntoHalves<bf16> for Vec<u16> {
    fn into_halves(self) -> Vec<bf16> {
        self.reinterpret_into()
    }
}

/// Half-precision numbers as they are; `None` when one isn't finite: when its magnitude reaches `infinity`, as bits.
fn same(bytes: &[u8], infinity: u16) -> Option<Vec<u16>> {
    in_blocks(bytes, 2, |values: &mut [u16], bytes| {
        read_u16(values, bytes);
        values.iter().fold(0, |m: u16, v| m.max(v & 0x7fff)) < infinity
    })
}

/// Numbers as f32; `None` when one isn't finite.
fn widened(bytes: &[u8], stored: Stored) -> Option<Vec<f32>> {
    in_blocks(bytes, stored.size(), |values, bytes| {
        widen_block(values, bytes, stored);
        all_finite(values)
    })
}

/// Numbers in half precision, by way of a block of f32 at a time; `None` when one isn't finite.
fn narrowed(bytes: &[u8], stored: Stored, narrow: impl Fn(&mut [u16], &[f32]) + Sync) -> Option<Vec<u16>> {
    in_blocks(bytes, stored.size(), |bits, bytes| {
        let mut block = [0f32; BLOCK];
        let values = &mut block[..bits.len()];
        widen_block(values, bytes, stored);
        narrow(bits, values);
        all_finite(values)
    })
}

/// Converts numbers of `size` bytes block by block on all threads; `None` when `convert` finds fault with one.
fn in_blocks<T: Copy + Default + Send + Sync>(
    bytes: &[u8],
    size: usize,
    convert: impl Fn(&mut [T], &[u8]) -> bool + Sync,
) -> Option<Vec<T>> {
    let mut values = fresh::zeroed(bytes.len() / size);
    let chunks = values.par_chunks_mut(CHUNK).zip(bytes.par_chunks(size * CHUNK));
    let all_good = chunks.map(|(values, bytes)| {
        let mut blocks = values.chunks_mut(BLOCK).zip(bytes.chunks(size * BLOCK));
        blocks.all(|(values, bytes)| convert(values, bytes))
    });
    all_good.reduce(|| true, |a, b| a && b).then_some(values)
}

/// Whether all numbers of a float format are finite.
pub(super) fn all_finite_in(bytes: &[u8], stored: Stored) -> bool {
    let size = stored.size();
    bytes.par_chunks(size * CHUNK).all(|chunk| match stored {
        Stored::Plain(DType::F16) => largest_magnitude(chunk) < f16::INFINITY.to_bits(),
        Stored::Plain(DType::BF16) => largest_magnitude(chunk) < bf16::INFINITY.to_bits(),
        _ => {
            let mut block = [0f32; BLOCK];
            chunk.chunks(size * BLOCK).all(|bytes| {
                let values = &mut block[..bytes.len() / size];
                widen_block(values, bytes, stored);
                all_finite(values)
            })
        }
    })
}

/// The largest magnitude of half-precision numbers, as bits.
fn largest_magnitude(bytes: &[u8]) -> u16 {
    let magnitude = |b: &[u8]| u16::from_le_bytes([b[0], b[1]]) & 0x7fff;
    bytes.chunks_exact(2).fold(0, |m, b| m.max(magnitude(b)))
}

fn read_u16(values: &mut [u16], bytes: &[u8]) {
    for (value, b) in values.iter_mut().zip(bytes.chunks_exact(2)) {
        *value = u16::from_le_bytes([b[0], b[1]]);
    }
}

/// By the largest magnitude as bits: NaN and infinity are above every finite number. No early exit, so that the compiler
/// can use vectors.
fn all_finite(values: &[f32]) -> bool {
    values.iter().fold(0, |m: u32, v| m.max(v.to_bits() & 0x7fff_ffff)) < 0x7f80_0000
}

fn widen_block(values: &mut [f32], bytes: &[u8], stored: Stored) {
    match stored {
        Stored::Table(table) => {
            for (value, &b) in values.iter_mut().zip(bytes) {
                *value = table[usize::from(b)];
            }
        }
        Stored::Plain(DType::F16) => {
            let mut bits = [0u16; BLOCK];
            let bits = &mut bits[..values.len()];
            read_u16(bits, bytes);
            bits.reinterpret_cast::<f16>().convert_to_f32_slice(values);
        }
        Stored::Plain(DType::BF16) => {
            for (value, b) in values.iter_mut().zip(bytes.chunks_exact(2)) {
                *value = f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16);
            }
        }
        Stored::Plain(_) => {
            for (value, b) in values.iter_mut().zip(bytes.chunks_exact(4)) {
                *value = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(values: &[[u8; N]]) -> Vec<u8> {
        values.concat()
    }

    #[test]
    fn every_pair_of_dtypes_keeps_the_numbers() {
        let values: Vec<f32> = (0..3000).map(|i| (i as f32 - 1500.0) / 64.0).collect();
        let stored = [
            (
                DType::F32,
                bytes(&values.iter().map(|v| v.to_le_bytes()).collect::<Vec<_>>()),
            ),
            (
                DType::F16,
                bytes(
                    &values
                        .iter()
                        .map(|&v| f16::from_f32(v).to_le_bytes())
                        .collect::<Vec<_>>(),
                ),
            ),
            (
                DType::F64,
                bytes(&values.iter().map(|&v| f64::from(v).to_le_bytes()).collect::<Vec<_>>()),
            ),
        ];
        for (dtype, bytes) in stored {
            for wanted in [DType::F32, DType::F16, DType::BF16, DType::F64] {
                let t = tensor(&bytes, Stored::Plain(dtype), &[30, 100], wanted, &Device::Cpu)
                    .unwrap()
                    .unwrap();
                assert_eq!((t.dims(), t.dtype()), (&[30, 100][..], wanted));
                let back = t
                    .to_dtype(DType::F32)
                    .unwrap()
                    .flatten_all()
                    .unwrap()
                    .to_vec1::<f32>()
                    .unwrap();
                if wanted == DType::BF16 {
                    let close = back.iter().zip(&values).all(|(a, b)| (a - b).abs() <= b.abs() / 256.0);
                    assert!(close, "{dtype:?} to {wanted:?}");
                } else {
                    assert_eq!(back, values, "{dtype:?} to {wanted:?}");
                }
            }
        }
    }

    #[test]
    fn one_bad_number_is_found_in_every_dtype() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1f32; 5000];
            values[4321] = bad;
            let f32s = bytes(&values.iter().map(|v| v.to_le_bytes()).collect::<Vec<_>>());
            let f16s = bytes(
                &values
                    .iter()
                    .map(|&v| f16::from_f32(v).to_le_bytes())
                    .collect::<Vec<_>>(),
            );
            let bf16s = bytes(
                &values
                    .iter()
                    .map(|&v| bf16::from_f32(v).to_le_bytes())
                    .collect::<Vec<_>>(),
            );
            for (dtype, bytes) in [(DType::F32, &f32s), (DType::F16, &f16s), (DType::BF16, &bf16s)] {
                for wanted in [DType::F32, DType::F16, DType::BF16] {
                    assert!(
                        tensor(bytes, Stored::Plain(dtype), &[5000], wanted, &Device::Cpu)
                            .unwrap()
                            .is_none(),
                        "{dtype:?} to {wanted:?}"
                    );
                }
            }
        }
    }
}
