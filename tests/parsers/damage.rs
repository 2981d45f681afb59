//! Damaged copies of good files: cut off, grown, bits turned, pieces doubled or exchanged, numbers replaced by ones that nobody means.

/// Numbers and words that parsers stumble over.
const WORDS: [&str; 20] = [
    "0",
    "-1",
    "1e308",
    "-1e308",
    "nan",
    "NaN",
    "inf",
    "1e-320",
    "2147483648",
    "4294967295",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "\"\"",
    "[]",
    "{}",
    "null",
    "../../x",
    "/dev/zero",
    "\u{1b}[31m",
];

/// An endless run of damaged copies of some files.
pub struct Damage<'a> {
    originals: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Damage<'a> {
    /// Of files, of which there is one; the same for the same seed.
    pub fn new(seed: u64, originals: &'a [Vec<u8>]) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { originals, state }
    }

    /// A number below `bound`, by xorshift64*.
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    fn harm(&mut self, bytes: &mut Vec<u8>) {
        let place = self.below(bytes.len());
        match self.below(8) {
            0 => bytes.truncate(place),
            1 => {
                let bit = self.below(8);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << bit;
                }
            }
            2 => {
                let value = [0, 0x7f, 0x80, 0xff][self.below(4)];
                let end = (place + 1 + self.below(8)).min(bytes.len());
                bytes[place..end].fill(value);
            }
            3 => {
                let end = (place + 1 + self.below(64)).min(bytes.len());
                bytes.drain(place..end);
            }
            4 => {
                let end = (place + 1 + self.below(256)).min(bytes.len());
                let piece = bytes[place..end].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            5 => {
                let other = &self.originals[self.below(self.originals.len())];
                let from = self.below(other.len());
                let piece = &other[from..(from + 1 + self.below(512)).min(other.len())];
                let end = (place + piece.len()).min(bytes.len());
                bytes.splice(place..end, piece.iter().copied());
            }
            _ => self.replace_number(bytes, place),
        }
    }

    /// Puts a word in place of the first number behind `place`.
    fn replace_number(&mut self, bytes: &mut Vec<u8>, place: usize) {
        let word = WORDS[self.below(WORDS.len())];
        let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let Some(start) = bytes[place..].iter().position(is_part).map(|start| place + start) else {
            return;
        };
        let length = bytes[start..].iter().take_while(|byte| is_part(byte)).count();
        bytes.splice(start..start + length, word.bytes());
    }

    /// Gives the chunks of a PNG the checksums that they would have been written with, so that the damage is read.
    fn mend_png(bytes: &mut [u8]) {
        let mut at = 8;
        while let Some(head) = bytes.get(at..at + 8) {
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let Some(sum) = bytes.get(at + 4..(at + 8).saturating_add(length)).map(crc32) else {
                return;
            };
            let Some(place) = bytes.get_mut(at + 8 + length..at + 12 + length) else {
                return;
            };
            place.copy_from_slice(&sum.to_be_bytes());
            at += 12 + length;
        }
    }
}

/// The checksum of PNG (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    });
    !sum
}

impl Iterator for Damage<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let original = self.below(self.originals.len());
        let mut bytes = self.originals[original].clone();
        for _ in 0..=self.below(4) {
            if !bytes.is_empty() {
                self.harm(&mut bytes);
            }
        }
        if bytes.starts_with(b"\x89PNG") && self.below(4) > 0 {
            Self::mend_png(&mut bytes);
        }
        Some(bytes)
    }
}
