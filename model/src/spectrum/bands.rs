//! Energy in a fixed set of octave bands of radial frequency, and how an image's bands hang together with another's.

use rustfft::num_complex::Complex32;

use super::fourier::HalfPlane;
use super::{Window, check_size};
use crate::error::ModelError;

/// Number of bands: the mean and seven octaves.
pub const BANDS: usize = 8;

/// Lower edges of the octave bands 1 to 7 in cycles per sample; each band ends where the next begins, the last at
/// [`MAX_RADIUS_CYCLES_PER_PX`]. Band 0 is zero frequency alone, the image's mean. They are fixed, so that runs of any
/// size compare; a band that a small image has no bins in stays at 0.
const LOWER_EDGES: [f32; BANDS - 1] = [
    0.0,
    1.0 / 128.0,
    1.0 / 64.0,
    1.0 / 32.0,
    1.0 / 16.0,
    1.0 / 8.0,
    1.0 / 4.0,
];

/// Beyond it only diagonal directions are left; those corners belong to no band.
pub const MAX_RADIUS_CYCLES_PER_PX: f32 = 0.5;

/// Lower and upper edge of a band, cycles per sample; both 0 for band 0.
///
/// # Panics
/// When `band` is not below [`BANDS`].
pub fn band_edges(band: usize) -> (f32, f32) {
    match band {
        0 => (0.0, 0.0),
        _ => (
            LOWER_EDGES[band - 1],
            LOWER_EDGES.get(band).copied().unwrap_or(MAX_RADIUS_CYCLES_PER_PX),
        ),
    }
}

/// The band of a radius; `None` beyond the last.
fn band_of(radius: f32) -> Option<usize> {
    if radius == 0.0 {
        return Some(0);
    }
    (radius <= MAX_RADIUS_CYCLES_PER_PX).then(|| LOWER_EDGES.partition_point(|edge| *edge <= radius).min(BANDS - 1))
}

/// The transform of one image, kept to measure its bands and compare them with another's.
///
/// A Hann window is taken (mean out before, back after); energies are divided by the window's mean square, so that they
/// add up to the image's mean square: exactly for noise, on average for anything else.
pub struct Banded {
    plane: HalfPlane,
}

impl Banded {
    /// Transforms an image.
    ///
    /// # Shapes
    /// `samples`: `[height, width]`, row major, any real values
    ///
    /// # Errors
    /// Bad input when `samples` doesn't hold `width * height` values or there are none.
    pub fn new(samples: &[f32], width: usize, height: usize) -> Result<Self, ModelError> {
        check_size(samples, width, height)?;
        Ok(Self {
            plane: HalfPlane::new(samples, width, height, Window::Hann),
        })
    }

    /// Mean square of the image per band: power summed over the band's bins, divided by the number of samples. In band 0
    /// the squared mean.
    pub fn energies(&self) -> [f64; BANDS] {
        self.products(&self.plane)
    }

    /// Correlation with another image of the same size per band, -1 to 1: the real cross-spectrum over the root of both
    /// powers. -1 where this image is the other's negative (a veil takes the scene's contrast away), near 0 where their
    /// phases have nothing in common (streaks that don't know the scene). 0 where either has no energy.
    ///
    /// # Errors
    /// Bad input when the sizes differ.
    pub fn coherence(&self, other: &Self) -> Result<[f64; BANDS], ModelError> {
        self.check_same_size(other)?;
        let (own, others, cross) = (self.energies(), other.energies(), self.products(&other.plane));
        Ok(std::array::from_fn(|band| {
            let norm = (own[band] * others[band]).sqrt();
            if norm > 0.0 { cross[band] / norm } else { 0.0 }
        }))
    }

    /// Phase coherence with another image of the same size per band, -1 to 1: the cosine of the phase difference, averaged
    /// over the band's bins whatever their power (as in the phase-only correlation of Kuglin and Hines 1975). 1 where
    /// structures lie in the same places, -1 where they are negatives, 0 where places have nothing in common. Unlike
    /// [`Self::coherence`] it isn't decided by the few strongest bins. 0 for a band without bins.
    ///
    /// # Errors
    /// Bad input when the sizes differ.
    pub fn phase_coherence(&self, other: &Self) -> Result<[f64; BANDS], ModelError> {
        self.check_same_size(other)?;
        let mut bins = [0.0; BANDS];
        let mut cosines = [0.0; BANDS];
        self.for_each_bin(&other.plane, |band, weight, product, a, b| {
            let norm = (a.norm_sqr() * b.norm_sqr()).sqrt();
            bins[band] += weight;
            cosines[band] += if norm > 0.0 {
                weight * product / f64::from(norm)
            } else {
                0.0
            };
        });
        Ok(std::array::from_fn(|band| {
            if bins[band] > 0.0 {
                cosines[band] / bins[band]
            } else {
                0.0
            }
        }))
    }

    fn check_same_size(&self, other: &Self) -> Result<(), ModelError> {
        if (self.plane.width, self.plane.height) == (other.plane.width, other.plane.height) {
            return Ok(());
        }
        Err(ModelError::BadInput(
            "coherence of images of different sizes: give them the same size".into(),
        ))
    }

    /// Mean product per band; the imaginary parts of mirrored bins cancel.
    fn products(&self, other: &HalfPlane) -> [f64; BANDS] {
        let mut sums = [0.0; BANDS];
        self.for_each_bin(other, |band, weight, product, _, _| sums[band] += weight * product);
        let samples = (self.plane.width * self.plane.height) as f64;
        sums.map(|sum| sum / samples)
    }

    /// Calls with band, number of mirrored bins, real product and both coefficients of every stored bin.
    fn for_each_bin(&self, other: &HalfPlane, mut call: impl FnMut(usize, f64, f64, Complex32, Complex32)) {
        let plane = &self.plane;
        for column in 0..=plane.width / 2 {
            let weight = plane.multiplicity(column) as f64;
            for row in 0..plane.height {
                let (across, down) = plane.frequency(column, row);
                if let Some(band) = band_of(across.hypot(down)) {
                    let (a, b) = (plane.coefficient(column, row), other.coefficient(column, row));
                    call(band, weight, f64::from(a.re * b.re + a.im * b.im), a, b);
                }
            }
        }
    }
}

/// Energies of several channels of the same size, averaged over the channels.
///
/// # Shapes
/// `samples`: `[channels, height, width]`, row major
///
/// # Errors
/// Bad input when `samples` holds no whole channel.
pub fn channel_mean_energies(samples: &[f32], width: usize, height: usize) -> Result<[f64; BANDS], ModelError> {
    let channels = samples.len() / (width * height).max(1);
    check_size(samples, width, height * channels)?;
    let mut mean = [0.0; BANDS];
    for channel in samples.chunks_exact(width * height) {
        let energies = Banded::new(channel, width, height)?.energies();
        mean.iter_mut()
            .zip(energies)
            .for_each(|(sum, energy)| *sum += energy / channels as f64);
    }
    Ok(mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrum::tests::texture;
    use std::f32::consts::TAU;

    fn wave(frequency: f32, side: usize) -> Vec<f32> {
        (0..side * side)
            .map(|i| (TAU * frequency * (i % side) as f32).cos())
            .collect()
    }

    #[test]
    fn bands_are_contiguous_octaves() {
        for band in 2..BANDS {
            assert!((band_edges(band).0 - band_edges(band - 1).1).abs() < 1e-9);
            assert_eq!(band_of(band_edges(band).0), Some(band));
        }
        assert_eq!(
            (band_of(0.0), band_of(1e-4), band_of(0.5), band_of(0.51)),
            (Some(0), Some(1), Some(7), None)
        );
    }

    #[test]
    fn a_sinusoid_puts_its_mean_square_into_its_band_and_a_constant_into_the_mean() {
        for (frequency, band) in [
            (3.0 / 128.0, 3),
            (6.0 / 128.0, 4),
            (12.0 / 128.0, 5),
            (24.0 / 128.0, 6),
            (48.0 / 128.0, 7),
        ] {
            let image: Vec<f32> = wave(frequency, 256).iter().map(|v| v + 0.3).collect();
            let energies = Banded::new(&image, 256, 256).unwrap().energies();
            assert!((energies[band] - 0.5).abs() < 0.01, "{frequency}: {energies:?}");
            assert!((energies[0] - 0.09).abs() < 1e-3, "{energies:?}");
            let rest: f64 = (1..BANDS).filter(|b| *b != band).map(|b| energies[b]).sum();
            assert!(rest < 0.01, "{frequency}: {energies:?}");
        }
    }

    #[test]
    fn energies_of_noise_add_up_to_its_mean_square_but_for_the_corners() {
        let image = texture(128, 96);
        let mean_square = image.iter().map(|v| f64::from(v * v)).sum::<f64>() / image.len() as f64;
        let total: f64 = Banded::new(&image, 128, 96).unwrap().energies().iter().sum();
        let disc = std::f64::consts::PI / 4.0;
        assert!(
            (total / mean_square / disc - 1.0).abs() < 0.05,
            "{total} of {mean_square}"
        );
    }

    #[test]
    fn coherence_is_the_sign_of_a_scaled_copy_and_nothing_for_the_unrelated() {
        let scene = texture(64, 64);
        let veil: Vec<f32> = scene.iter().map(|v| 0.4 - 0.6 * v).collect();
        let shifted: Vec<f32> = (0..scene.len())
            .map(|i| scene[(i + 64 * 21 + 17) % scene.len()])
            .collect();
        let of = |image: &[f32]| Banded::new(image, 64, 64).unwrap();
        let veiled = of(&veil).coherence(&of(&scene)).unwrap();
        let unrelated = of(&shifted).coherence(&of(&scene)).unwrap();
        assert!(veiled[4..].iter().all(|c| (c + 1.0).abs() < 1e-4), "{veiled:?}");
        assert!(unrelated[5..].iter().all(|c| c.abs() < 0.15), "{unrelated:?}");
        let phase = |image: &[f32]| of(image).phase_coherence(&of(&scene)).unwrap();
        assert!(
            phase(&veil)[4..].iter().all(|c| (c + 1.0).abs() < 1e-3),
            "{:?}",
            phase(&veil)
        );
        assert!(
            phase(&shifted)[5..].iter().all(|c| c.abs() < 0.15),
            "{:?}",
            phase(&shifted)
        );
        assert!(
            of(&scene)
                .coherence(&Banded::new(&scene[..64 * 32], 64, 32).unwrap())
                .is_err()
        );
    }

    #[test]
    fn channels_are_averaged() {
        let image = [wave(0.375, 32), vec![0.0; 32 * 32]].concat();
        let energies = channel_mean_energies(&image, 32, 32).unwrap();
        assert!((energies[7] - 0.25).abs() < 0.02, "{energies:?}");
        assert!(channel_mean_energies(&[0.0; 5], 2, 2).is_err());
    }
}
