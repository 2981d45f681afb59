//! The random stream of one degradation class.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Names this use of the generator, so that equal seeds elsewhere in the program give unrelated numbers.
const DOMAIN: [u8; 8] = *b"degrade1";

/// Random numbers keyed by (seed, class): what one class draws never depends on another being there.
///
/// Transcendental functions come from `libm`, whose results are the same bits on every platform.
pub(super) struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of class number `class` for `seed`.
    pub(super) fn new(seed: u64, class: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&DOMAIN);
        key[8..16].copy_from_slice(&seed.to_le_bytes());
        key[16..24].copy_from_slice(&class.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in `[0, 1)`, on the 24-bit grid that `f32` holds exactly.
    pub(super) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// Uniform in `[low, high)`.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Like [`between`](Self::between), with only the middle `share` of the range; the draw is used up alike.
    pub(super) fn within(&mut self, (low, high): (f32, f32), share: f32) -> f32 {
        let middle = 0.5 * (low + high);
        self.between(middle + share * (low - middle), middle + share * (high - middle))
    }

    /// Two independent standard normal numbers (Box and Muller 1958).
    pub(super) fn normal_pair(&mut self) -> (f32, f32) {
        let radius = libm::sqrtf(-2.0 * libm::logf(1.0 - self.unit()));
        let (sin, cos) = libm::sincosf(std::f32::consts::TAU * self.unit());
        (radius * cos, radius * sin)
    }
}
