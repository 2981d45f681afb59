//! Damaged checkpoint files for tests: seeded, so that a failure can be repeated.

use candle_core::{Device, Tensor};

/// A small safetensors file with metadata and two tensors.
pub fn sample_file() -> Vec<u8> {
    let a = Tensor::arange(0f32, 12.0, &Device::Cpu)
        .unwrap()
        .reshape((3, 4))
        .unwrap();
    let b = Tensor::new(&[1f32, -2.0], &Device::Cpu).unwrap();
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize([("blocks.0.weight", a), ("blocks.0.bias", b)], Some(metadata)).unwrap()
}

/// An endless run of damaged copies of a file: cut off, grown, bits turned, numbers in the header changed, pieces of the
/// header doubled or exchanged.
pub struct Damage<'a> {
    original: &'a [u8],
    state: u64,
}

impl<'a> Damage<'a> {
    pub fn new(seed: u64, original: &'a [u8]) -> Self {
        Self {
            original,
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// A number below `bound`, by xorshift64*.
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    fn header_len(&self) -> usize {
        self.original
            .first_chunk::<8>()
            .map_or(0, |n| u64::from_le_bytes(*n) as usize)
            .min(self.original.len().saturating_sub(8))
    }

    /// Text edits of the header that keep its length field right.
    fn edit_header(&mut self) -> Vec<u8> {
        let (header, data) = self.original[8..].split_at(self.header_len());
        let mut text = String::from_utf8_lossy(header).into_owned();
        let edits = [
            ("F32", "F16"),
            ("F32", "I64"),
            ("F32", "F7"),
            ("blocks.0.bias", "blocks.0.weight"),
            ("[0,", "[4,"),
            ("[0,", "[-1,"),
            (",48]", ",9223372036854775807]"),
            (",48]", ",47]"),
            ("[3,4]", "[4,3,0]"),
            ("[3,4]", "[18446744073709551615,2]"),
            ("shape", "form"),
            ("{", "["),
            ("}", ""),
            ("\"", ""),
            ("pt", "\\u0000"),
            (":", ": null,"),
            ("[3,4]", "[12.0]"),
        ];
        for _ in 0..=self.below(2) {
            let (from, to) = edits[self.below(edits.len())];
            text = if self.below(2) == 0 {
                text.replacen(from, to, 1)
            } else {
                text.replace(from, to)
            };
        }
        [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), data].concat()
    }
}

impl Iterator for Damage<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = self.original.to_vec();
        match self.below(6) {
            0 => bytes.truncate(self.below(bytes.len())),
            1 => {
                let more = 1 + self.below(40);
                bytes.resize(bytes.len() + more, 7);
            }
            2 => {
                let length = [0, 1, 7, 1 << 20, u64::MAX, u64::MAX - 8, 1 << 63][self.below(7)];
                bytes[..8].copy_from_slice(&length.to_le_bytes());
            }
            3 => {
                for _ in 0..=self.below(4) {
                    let (place, bit) = (self.below(8 + self.header_len()), self.below(8));
                    bytes[place] ^= 1 << bit;
                }
            }
            _ => bytes = self.edit_header(),
        }
        Some(bytes)
    }
}
