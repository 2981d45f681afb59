//! The formats that numbers have in files: candle's dtypes, 8-bit floats, and blocks of quantised numbers.

use candle_core::DType;
use candle_core::quantized::GgmlDType;

/// How a tensor's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One of candle's: weights in the floats, counters and position ids in the integers.
    Plain(DType),
    /// 8-bit floats with 4 bits of exponent and no infinities, or with 5 (Micikevicius et al. 2022, arXiv:2209.05433).
    E4m3,
    E5m2,
    /// Blocks of quantised numbers, as GGUF files have them.
    Blocks(GgmlDType),
}

impl Format {
    /// The format of a name in safetensors files, if it can be computed with.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "F32" => Self::Plain(DType::F32),
            "F16" => Self::Plain(DType::F16),
            "BF16" => Self::Plain(DType::BF16),
            "F64" => Self::Plain(DType::F64),
            "I64" => Self::Plain(DType::I64),
            "I32" => Self::Plain(DType::I32),
            "U8" => Self::Plain(DType::U8),
            "F8_E4M3" => Self::E4m3,
            "F8_E5M2" => Self::E5m2,
            _ => return None,
        })
    }

    /// Bytes of so many numbers; of blocks, all of them.
    pub fn bytes(self, values: usize) -> usize {
        match self {
            Self::Plain(dtype) => values * dtype.size_in_bytes(),
            Self::E4m3 | Self::E5m2 => values,
            Self::Blocks(kind) => values / kind.block_size() * kind.type_size(),
        }
    }

    /// Numbers that can't be separated.
    pub fn block(self) -> usize {
        match self {
            Self::Blocks(kind) => kind.block_size(),
            _ => 1,
        }
    }

    /// What a tensor has when nothing else is asked for.
    pub fn dtype(self) -> DType {
        match self {
            Self::Plain(dtype) => dtype,
            _ => DType::F32,
        }
    }

    /// The numbers that 8-bit floats stand for, times `scale`.
    pub fn table(self, scale: f32) -> Option<[f32; 256]> {
        let value: fn(u8) -> f32 = match self {
            Self::E4m3 => e4m3,
            Self::E5m2 => e5m2,
            _ => return None,
        };
        let mut table = [0.0; 256];
        for (byte, entry) in (0..=u8::MAX).zip(&mut table) {
            *entry = value(byte) * scale;
        }
        Some(table)
    }
}

/// Sign, 4 bits of exponent with a bias of 7, 3 of mantissa; all ones but the sign is NaN.
fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    let magnitude = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa * 2f32.powi(-9),
        _ => (8.0 + mantissa) * 2f32.powi(exponent - 10),
    };
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The upper byte of IEEE's half precision.
fn e5m2(byte: u8) -> f32 {
    half::f16::from_bits(u16::from(byte) << 8).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values out of the formats' definition, table 1 of arXiv:2209.05433.
    #[test]
    fn eight_bit_floats_have_their_published_values() {
        let of = |format: Format, byte: u8| format.table(1.0).unwrap()[usize::from(byte)];
        let are = |format: Format, bytes: [u8; 5], values: [f32; 5]| {
            assert_eq!(bytes.map(|byte| of(format, byte).to_bits()), values.map(f32::to_bits));
        };
        let (least, below) = (2f32.powi(-6), 0.875 * 2f32.powi(-6));
        are(
            Format::E4m3,
            [0x7e, 0x08, 0x07, 0x01, 0xb8],
            [448.0, least, below, 2f32.powi(-9), -1.0],
        );
        assert!(of(Format::E4m3, 0x7f).is_nan() && of(Format::E4m3, 0xff).is_nan());
        let (least, below) = (2f32.powi(-14), 0.75 * 2f32.powi(-14));
        are(
            Format::E5m2,
            [0x7b, 0x04, 0x03, 0x01, 0xbc],
            [57344.0, least, below, 2f32.powi(-16), -1.0],
        );
        assert!(of(Format::E5m2, 0x7c).is_infinite() && of(Format::E5m2, 0x7d).is_nan());
        let halved = Format::E4m3.table(0.5).unwrap()[0x38];
        assert_eq!(halved.to_bits(), 0.5f32.to_bits(), "0x38 is 1");
    }
}
