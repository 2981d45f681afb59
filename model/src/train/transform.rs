//! The linear patch transform that the autoencoder starts from.
//!
//! Luma and two chroma planes, a 4x4 cosine transform of each, all of luma's coefficients kept and the lowest of
//! chroma's: what an image loses is fine colour, never fine brightness, so rain streaks and sensor noise survive. Each
//! channel is then divided by its deviation to a power (partial whitening), which brings what is fine and faint nearer to
//! what is coarse and strong, and all channels by one factor, so that the mean variance is 1.

use candle_core::Result;

use crate::config::MiniAutoencoderConfig;

/// Rows of RGB to Y, Cb, Cr (ITU-R BT.601, offsets left out, as values are around 0).
const YCC: [[f64; 3]; 3] = [
    [0.299, 0.587, 0.114],
    [-0.168_736, -0.331_264, 0.5],
    [0.5, -0.418_688, -0.081_312],
];
/// Its inverse.
const RGB: [[f64; 3]; 3] = [[1.0, 0.0, 1.402], [1.0, -0.344_136, -0.714_136], [1.0, 1.772, 0.0]];

/// A linear map to latents and back, `encode: [channels][3 f²]`, `decode: [3 f²][channels]`.
pub struct PatchTransform {
    pub encode: Vec<Vec<f64>>,
    pub decode: Vec<Vec<f64>>,
}

impl PatchTransform {
    /// The transform before whitening.
    ///
    /// # Errors
    /// A config whose channels do not hold all of luma.
    pub fn new(config: &MiniAutoencoderConfig) -> Result<Self> {
        let (factor, channels) = (config.factor, config.latent_channels);
        let luma = config.luma_channels();
        if channels < luma || channels > 3 * luma || !(channels - luma).is_multiple_of(2) {
            candle_core::bail!(
                "{channels} latent channels: this transform needs {luma} for luma and an even number for chroma"
            );
        }
        let mut order: Vec<(usize, usize)> = (0..luma).map(|i| (i / factor, i % factor)).collect();
        order.sort_by_key(|&(u, v)| (u.max(v), u + v));
        let kept = |plane: usize| if plane == 0 { luma } else { (channels - luma) / 2 };
        let basis = |n: usize, (u, v): (usize, usize)| cosine(u, n / factor, factor) * cosine(v, n % factor, factor);
        let (mut encode, mut decode) = (Vec::new(), vec![Vec::new(); 3 * luma]);
        for plane in 0..3 {
            for &uv in &order[..kept(plane)] {
                encode.push(
                    (0..3 * luma)
                        .map(|i| YCC[plane][i / luma] * basis(i % luma, uv))
                        .collect(),
                );
                for (i, row) in decode.iter_mut().enumerate() {
                    row.push(RGB[i / luma][plane] * basis(i % luma, uv));
                }
            }
        }
        Ok(Self { encode, decode })
    }

    /// Divides channel k by `variance_k^(exponent / 2)`, then all by one factor that makes the mean variance 1.
    pub fn whiten(&mut self, variance: &[f64], exponent: f64) {
        let scale: Vec<f64> = variance.iter().map(|v| v.max(1e-9).powf(-exponent / 2.0)).collect();
        let mean = variance.iter().zip(&scale).map(|(v, s)| v * s * s).sum::<f64>() / variance.len() as f64;
        let common = 1.0 / mean.sqrt();
        for (k, s) in scale.iter().enumerate() {
            self.encode[k].iter_mut().for_each(|w| *w *= s * common);
            self.decode.iter_mut().for_each(|row| row[k] /= s * common);
        }
    }
}

/// Orthonormal cosine basis (DCT-II).
fn cosine(frequency: usize, position: usize, n: usize) -> f64 {
    let scale = if frequency == 0 {
        (1.0 / n as f64).sqrt()
    } else {
        (2.0 / n as f64).sqrt()
    };
    scale * (std::f64::consts::PI * (position as f64 + 0.5) * frequency as f64 / n as f64).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_channels_together_lose_nothing_and_whitening_keeps_that() {
        let config = MiniAutoencoderConfig {
            factor: 4,
            latent_channels: 48,
            hidden_channels: 8,
            blocks: 1,
            lapped: true,
        };
        let mut transform = PatchTransform::new(&config).unwrap();
        transform.whiten(&(1..=48).map(f64::from).collect::<Vec<_>>(), 0.5);
        let patch: Vec<f64> = (0..48).map(|i| f64::from(i * 7 % 13) - 6.0).collect();
        let dot = |row: &Vec<f64>, x: &[f64]| row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>();
        let latent: Vec<f64> = transform.encode.iter().map(|row| dot(row, &patch)).collect();
        for (i, row) in transform.decode.iter().enumerate() {
            assert!((dot(row, &latent) - patch[i]).abs() < 1e-4, "value {i}");
        }
    }
}
