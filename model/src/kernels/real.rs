//! The number formats that fused operations take: stored as they are, computed in f32.

use candle_core::{CpuStorage, DType, Layout, Result, Tensor, WithDType};
use half::bf16;

/// f32, or bf16 that is widened when it is read and rounded when it is written.
pub trait Real: WithDType + Send + Sync + 'static {
    /// Values in a 32-bit word of a packed operand.
    const PER_WORD: usize;

    /// The value in f32.
    fn wide(self) -> f32;

    /// The nearest value of this format.
    fn narrow(x: f32) -> Self;
}

/// A [`Real`] with a matrix product of its own.
pub trait Format: Real {
    /// `x weightᵀ + bias`; `sizes` are rows, inputs and outputs.
    fn product(x: &[Self], weight: &[Self], bias: Option<&[Self]>, sizes: (usize, usize, usize)) -> Vec<Self>;
}

impl Real for f32 {
    const PER_WORD: usize = 1;

    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }

    #[inline(always)]
    fn narrow(x: f32) -> Self {
        x
    }
}

/// Without the branches of the `half` crate, so that loops vectorise.
impl Real for bf16 {
    const PER_WORD: usize = 2;

    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn narrow(x: f32) -> Self {
        let bits = x.to_bits();
        // To nearest, ties to even; a NaN keeps its top bits and must not round to infinity.
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
        let kept = if x.is_nan() { bits | 0x0040_0000 } else { rounded };
        Self::from_bits((kept >> 16) as u16)
    }
}

/// Whether the fused CPU form applies to this tensor.
///
/// # Shapes
/// Any.
pub fn fused(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && matches!(tensor.dtype(), DType::F32 | DType::BF16)
}

/// The values of a contiguous CPU tensor, as a custom operation sees them.
pub fn contiguous<'a, T: Real>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("a fused operation was given a strided tensor; call contiguous() first")
    };
    Ok(&storage.as_slice::<T>()?[start..end])
}

/// The values of a tensor in row-major order, in f32.
///
/// # Shapes
/// Any.
pub fn host(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

/// A tensor like another one, in its shape, dtype and place, of values in f32.
///
/// # Shapes
/// Any; as many values as `other` has.
pub fn like(other: &Tensor, values: Vec<f32>) -> Result<Tensor> {
    Tensor::from_vec(values, other.shape(), other.device())?.to_dtype(other.dtype())
}

/// Calls a generic function with the format of a storage: `by_format!(storage, T => f::<T>(..))`.
macro_rules! by_format {
    ($storage:expr, $t:ident => $call:expr) => {
        match $storage {
            candle_core::CpuStorage::BF16(_) => {
                type $t = half::bf16;
                $call
            }
            _ => {
                type $t = f32;
                $call
            }
        }
    };
}
pub(super) use by_format;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_agrees_with_the_half_crate() {
        let tie = f32::from_bits(0x3f80_8000);
        for x in [
            0.0,
            -0.0,
            1.0,
            tie,
            -tie,
            1e-40,
            3.4e38,
            f32::INFINITY,
            f32::NEG_INFINITY,
            0.1,
            65504.0,
        ] {
            assert_eq!(<bf16 as Real>::narrow(x).to_bits(), bf16::from_f32(x).to_bits(), "{x}");
            assert_eq!(
                <bf16 as Real>::narrow(x).wide().to_bits(),
                bf16::from_f32(x).to_f32().to_bits()
            );
        }
        assert!(<bf16 as Real>::narrow(f32::NAN).is_nan());
    }
}
