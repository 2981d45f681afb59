//! Gaussian noise from a counter-based generator on the host.
//!
//! A value depends on (seed, scene, lane, index) alone, so every device, batch size, shard and restart draws the same
//! bits. `ChaCha20` is keyed by seed and scene, its stream is the lane; normals come from Box and Muller's transform in
//! f64 through the portable `libm`, so that platforms' own math libraries cannot differ.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A reproducible source of random bits.
pub type Stream = ChaCha20Rng;

/// The source for a lane of a scene.
pub fn stream(seed: u64, scene: u64, lane: u64) -> Stream {
    let mut key = [0u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&scene.to_le_bytes());
    key[16..].copy_from_slice(b"mdsd3 noise v1  ");
    let mut rng = ChaCha20Rng::from_seed(key);
    rng.set_stream(lane);
    rng
}

/// `len` standard normal values for a lane of a scene.
pub fn gaussian(seed: u64, scene: u64, lane: u64, len: usize) -> Vec<f32> {
    normals(&mut stream(seed, scene, lane), len)
}

/// The next `len` standard normal values of a source.
pub fn normals(rng: &mut Stream, len: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(len + 1);
    while out.len() < len {
        let (a, b) = (unit(rng.next_u64()), unit(rng.next_u64()));
        let radius = libm::sqrt(-2.0 * libm::log(a));
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * b);
        out.push((radius * cos) as f32);
        out.push((radius * sin) as f32);
    }
    out.truncate(len);
    out
}

/// 53 random bits as a number in `(0, 1]`, never 0, as its logarithm is taken.
pub fn unit(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::gaussian;

    #[test]
    fn a_longer_draw_starts_with_the_shorter_one() {
        assert_eq!(gaussian(1, 2, 3, 7), gaussian(1, 2, 3, 100)[..7]);
    }

    #[test]
    fn seed_scene_and_lane_each_change_the_noise() {
        let base = gaussian(1, 2, 3, 8);
        for other in [gaussian(2, 2, 3, 8), gaussian(1, 3, 3, 8), gaussian(1, 2, 4, 8)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn values_are_standard_normal() {
        let x = gaussian(0, 0, 0, 100_000);
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / x.len() as f32;
        assert!(
            mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02,
            "mean {mean}, variance {variance}"
        );
    }
}
