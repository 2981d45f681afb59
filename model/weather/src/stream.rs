//! The random stream of one degradation class.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Names this use of the generator, so that equal seeds elsewhere in the program give unrelated numbers.
const DOMAIN: [u8; 8] = *b"degrade1";

/// Random numbers keyed by (seed, class): what one class draws never depends on another being there.
///
/// Transcendental functions come from `libm`, whose results are the same bits on every platform.
pub(super) struct Stream {
    bits: ChaCha8Rng,
    variety: f32,
}

impl Stream {
    /// The stream of class number `class` for `seed`; `variety` is the share of a range that [`Self::within`] draws
    /// from.
    pub(super) fn new(seed: u64, class: u64, variety: f32) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&DOMAIN);
        key[8..16].copy_from_slice(&seed.to_le_bytes());
        key[16..24].copy_from_slice(&class.to_le_bytes());
        Self {
            bits: ChaCha8Rng::from_seed(key),
            variety,
        }
    }

    /// Numbers for one part of one frame, such as a row, that no other part and no draw of this stream shares, so that
    /// parts can be computed in any order and on all cores.
    pub(super) fn of_part(&self, frame: u32, part: u32) -> Self {
        let mut bits = self.bits.clone();
        bits.set_stream(((u64::from(frame) + 1) << 32) | u64::from(part));
        bits.set_word_pos(0);
        Self {
            bits,
            variety: self.variety,
        }
    }

    /// Uniform in `[0, 1)`, on the 24-bit grid that `f32` holds exactly.
    pub(super) fn unit(&mut self) -> f32 {
        (self.bits.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// Uniform in `[low, high)`.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Like [`between`](Self::between), in only the middle of the range where variety is below 1; the draw is used up
    /// alike.
    pub(super) fn within(&mut self, (low, high): (f32, f32)) -> f32 {
        let (middle, share) = (0.5 * (low + high), self.variety);
        self.between(middle + share * (low - middle), middle + share * (high - middle))
    }

    /// Numbers for the things in a list, which any thread gets in any order.
    pub(super) fn scatter(&mut self) -> Scatter {
        Scatter(self.bits.next_u64())
    }

    /// Two independent standard normal numbers (Box and Muller 1958).
    pub(super) fn normal_pair(&mut self) -> (f32, f32) {
        let radius = libm::sqrtf(-2.0 * libm::logf(1.0 - self.unit()));
        let (sin, cos) = libm::sincosf(std::f32::consts::TAU * self.unit());
        (radius * cos, radius * sin)
    }
}

/// Random numbers that belong to a thing in a list, such as a drop: `SplitMix64` (Steele et al. 2014), keyed by places.
#[derive(Clone, Copy)]
pub(super) struct Scatter(u64);

impl Scatter {
    #[cfg(test)]
    pub(super) fn of_key(key: u64) -> Self {
        Self(key)
    }

    /// The numbers of thing `index`, the same however many numbers were drawn before.
    pub(super) fn at(self, index: u64) -> Self {
        Self(mixed(self.0 ^ mixed(index)))
    }

    /// Uniform in `[0, 1)`, on the 24-bit grid that `f32` holds exactly.
    pub(super) fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mixed(self.0) >> 40) as f32 / 16_777_216.0
    }
}

fn mixed(key: u64) -> u64 {
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}
