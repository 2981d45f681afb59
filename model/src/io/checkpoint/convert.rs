//! From a file's bytes to a tensor of the compute dtype, in one pass that also looks for NaN.

use candle_core::{DType, Device, Tensor};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

/// Numbers that one task converts.
const CHUNK: usize = 1 << 18;
/// Numbers that pass through the stack at once.
const BLOCK: usize = 1 << 10;

/// The tensor, or `None` when it holds NaN or infinite values.
///
/// # Shapes
/// `bytes` holds as many numbers of `stored` as `shape` says; result of that shape in `wanted`. Integers stay integers
/// unless a float is wanted.
pub(super) fn tensor(
    bytes: &[u8],
    stored: DType,
    shape: &[usize],
    wanted: DType,
    device: &Device,
) -> candle_core::Result<Option<Tensor>> {
    let is_half = |dtype| matches!(dtype, DType::F16 | DType::BF16);
    let tensor = match (stored, wanted) {
        (DType::F16, DType::F16) => same(bytes, f16::ZERO, |b| f16::from_le_bytes([b[0], b[1]]), f16::is_finite)
            .map(|v| Tensor::from_vec(v, shape, device)),
        (DType::BF16, DType::BF16) => same(
            bytes,
            bf16::ZERO,
            |b| bf16::from_le_bytes([b[0], b[1]]),
            bf16::is_finite,
        )
        .map(|v| Tensor::from_vec(v, shape, device)),
        (DType::F32 | DType::BF16, DType::F16) => narrowed(bytes, stored, f16::ZERO, |halves, values| {
            halves.convert_from_f32_slice(values);
        })
        .map(|v| Tensor::from_vec(v, shape, device)),
        (DType::F32 | DType::F16, DType::BF16) => narrowed(bytes, stored, bf16::ZERO, |halves, values| {
            halves.convert_from_f32_slice(values);
        })
        .map(|v| Tensor::from_vec(v, shape, device)),
        _ if stored == DType::F32 || is_half(stored) => {
            widened(bytes, stored).map(|v| Tensor::from_vec(v, shape, device))
        }
        _ => Some(Tensor::from_raw_buffer(bytes, stored, shape, device)),
    };
    let Some(tensor) = tensor.transpose()? else {
        return Ok(None);
    };
    let finite = !stored.is_float() || stored != DType::F64 || tensor.sum_all()?.to_scalar::<f64>()?.is_finite();
    let tensor = tensor.to_dtype(wanted)?;
    Ok(finite.then_some(tensor))
}

/// Half-precision numbers as they are; `None` when one isn't finite.
fn same<T: Copy + Send + Sync>(
    bytes: &[u8],
    zero: T,
    read: impl Fn(&[u8]) -> T + Sync,
    finite: impl Fn(T) -> bool + Sync,
) -> Option<Vec<T>> {
    let mut values = vec![zero; bytes.len() / 2];
    let all_finite = values
        .par_chunks_mut(CHUNK)
        .zip(bytes.par_chunks(2 * CHUNK))
        .map(|(values, bytes)| {
            let mut all = true;
            for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(2)) {
                *value = read(bytes);
                all &= finite(*value);
            }
            all
        })
        .reduce(|| true, |a, b| a && b);
    all_finite.then_some(values)
}

/// Numbers as f32; `None` when one isn't finite.
fn widened(bytes: &[u8], stored: DType) -> Option<Vec<f32>> {
    in_blocks(bytes, stored, 0f32, |values, bytes| {
        widen_block(values, bytes, stored);
        all_finite(values)
    })
}

/// Numbers in half precision, by way of a block of f32 at a time; `None` when one isn't finite.
fn narrowed<T: Copy + Send + Sync>(
    bytes: &[u8],
    stored: DType,
    zero: T,
    narrow: impl Fn(&mut [T], &[f32]) + Sync,
) -> Option<Vec<T>> {
    in_blocks(bytes, stored, zero, |halves, bytes| {
        let mut block = [0f32; BLOCK];
        let values = &mut block[..halves.len()];
        widen_block(values, bytes, stored);
        narrow(halves, values);
        all_finite(values)
    })
}

/// Converts block by block on all threads; `None` when `convert` finds fault with one.
fn in_blocks<T: Copy + Send + Sync>(
    bytes: &[u8],
    stored: DType,
    zero: T,
    convert: impl Fn(&mut [T], &[u8]) -> bool + Sync,
) -> Option<Vec<T>> {
    let size = stored.size_in_bytes();
    let mut values = vec![zero; bytes.len() / size];
    let chunks = values.par_chunks_mut(CHUNK).zip(bytes.par_chunks(size * CHUNK));
    let all_good = chunks.map(|(values, bytes)| {
        let mut blocks = values.chunks_mut(BLOCK).zip(bytes.chunks(size * BLOCK));
        blocks.all(|(values, bytes)| convert(values, bytes))
    });
    all_good.reduce(|| true, |a, b| a && b).then_some(values)
}

/// By the largest magnitude as bits: NaN and infinity are above every finite number. No early exit, so that the compiler
/// can use vectors.
fn all_finite(values: &[f32]) -> bool {
    values.iter().fold(0, |m: u32, v| m.max(v.to_bits() & 0x7fff_ffff)) < 0x7f80_0000
}

fn widen_block(values: &mut [f32], bytes: &[u8], stored: DType) {
    match stored {
        DType::F16 => {
            let mut halves = [f16::ZERO; BLOCK];
            let halves = &mut halves[..values.len()];
            for (half, b) in halves.iter_mut().zip(bytes.chunks_exact(2)) {
                *half = f16::from_le_bytes([b[0], b[1]]);
            }
            halves.convert_to_f32_slice(values);
        }
        DType::BF16 => {
            for (value, b) in values.iter_mut().zip(bytes.chunks_exact(2)) {
                *value = f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16);
            }
        }
        _ => {
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
                let t = tensor(&bytes, dtype, &[30, 100], wanted, &Device::Cpu)
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
                        tensor(bytes, dtype, &[5000], wanted, &Device::Cpu).unwrap().is_none(),
                        "{dtype:?} to {wanted:?}"
                    );
                }
            }
        }
    }
}
