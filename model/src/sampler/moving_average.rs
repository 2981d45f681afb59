//! Moving average of the clean-data prediction per wavelet sub-band.
//!
//! After Qian et al., "Boosting Diffusion Models with Moving Average Sampling in Frequency Domain" (CVPR 2024,
//! arXiv:2403.17870): predictions of successive steps oscillate, and their average in the data domain is steadier; as
//! low frequencies settle before high ones, each sub-band of a one-level Haar transform has a decay of its own. Here the
//! decays fall linearly over the steps to 0 at the last one, so that the result is the last prediction itself and not a
//! blend with earlier, blurrier ones.

use candle_core::{Result, Tensor};

/// Share of the past that the low band keeps at the first step: it settles early, so old predictions are of use.
const LOW_DECAY: f64 = 0.6;
/// Share of the past that the three detail bands keep at the first step: early predictions have little detail.
const DETAIL_DECAY: f64 = 0.3;

/// The average so far; one per run.
#[derive(Default)]
pub struct MovingAverage {
    bands: Option<[Tensor; 4]>,
}

impl MovingAverage {
    /// The average after a step whose averaged prediction was `previous`; an empty one without it.
    ///
    /// # Shapes
    /// `previous: [batch, channels, height, width]` with even height and width.
    ///
    /// # Errors
    /// Odd sides.
    pub fn resume(previous: Option<&Tensor>) -> Result<Self> {
        let bands = previous.map(haar).transpose()?;
        Ok(Self { bands })
    }

    /// Takes the prediction of step `index` of `steps` in, and returns the average that replaces it.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]` with even height and width, kept.
    ///
    /// # Errors
    /// Odd sides.
    pub fn update(&mut self, x0_hat: &Tensor, index: usize, steps: usize) -> Result<Tensor> {
        let new = haar(x0_hat)?;
        let left = 1.0 - (index + 1) as f64 / steps.max(1) as f64;
        let bands = match self.bands.take() {
            None => new,
            Some(old) => {
                let blend = |i: usize, decay: f64| (&old[i] * (decay * left))? + (&new[i] * (1.0 - decay * left))?;
                [
                    blend(0, LOW_DECAY)?,
                    blend(1, DETAIL_DECAY)?,
                    blend(2, DETAIL_DECAY)?,
                    blend(3, DETAIL_DECAY)?,
                ]
            }
        };
        let average = inverse_haar(&bands)?;
        self.bands = Some(bands);
        Ok(average)
    }
}

/// Orthonormal one-level Haar transform: the low band, then detail across, down and diagonal.
///
/// # Shapes
/// `[batch, channels, height, width]` to four of `[batch, channels, height / 2, width / 2]`.
///
/// # Errors
/// Odd sides.
pub fn haar(x: &Tensor) -> Result<[Tensor; 4]> {
    let (batch, channels, height, width) = x.dims4()?;
    let blocks = x.reshape((batch * channels, height / 2, 2, width / 2, 2))?;
    let at = |row: usize, column: usize| {
        blocks
            .narrow(2, row, 1)?
            .narrow(4, column, 1)?
            .reshape((batch, channels, height / 2, width / 2))
    };
    butterfly(&[at(0, 0)?, at(0, 1)?, at(1, 0)?, at(1, 1)?])
}

/// Undoes [`haar`].
///
/// # Shapes
/// Four of `[batch, channels, height / 2, width / 2]` to `[batch, channels, height, width]`.
///
/// # Errors
/// Tensors of other shapes.
pub fn inverse_haar(bands: &[Tensor; 4]) -> Result<Tensor> {
    let (batch, channels, height, width) = bands[0].dims4()?;
    let [a, b, c, d] = butterfly(bands)?;
    let pair =
        |left: &Tensor, right: &Tensor| Tensor::stack(&[left, right], 4)?.reshape((batch, channels, height, 2 * width));
    Tensor::stack(&[pair(&a, &b)?, pair(&c, &d)?], 3)?.reshape((batch, channels, 2 * height, 2 * width))
}

/// The 2x2 Haar matrix, which is its own inverse.
fn butterfly([a, b, c, d]: &[Tensor; 4]) -> Result<[Tensor; 4]> {
    let (top, bottom) = ((a + b)?, (c + d)?);
    let (top_detail, bottom_detail) = ((a - b)?, (c - d)?);
    Ok([
        ((&top + &bottom)? * 0.5)?,
        ((&top_detail + &bottom_detail)? * 0.5)?,
        ((&top - &bottom)? * 0.5)?,
        ((&top_detail - &bottom_detail)? * 0.5)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn values(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn image() -> Tensor {
        let ramp: Vec<f32> = (0..2 * 3 * 4 * 6).map(|i| (i as f32 * 0.7).sin()).collect();
        Tensor::from_vec(ramp, (2, 3, 4, 6), &Device::Cpu).unwrap()
    }

    #[test]
    fn haar_is_orthonormal_and_inverts() {
        let x = image();
        let bands = haar(&x).unwrap();
        let energy = |t: &Tensor| values(t).iter().map(|v| v * v).sum::<f32>();
        assert!((bands.iter().map(energy).sum::<f32>() - energy(&x)).abs() < 1e-3);
        let back = inverse_haar(&bands).unwrap();
        assert!(values(&back).iter().zip(values(&x)).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn columns_are_detail_across_and_a_constant_is_low() {
        let close = |image: &Tensor, expected: [f32; 4]| {
            let bands = haar(image).unwrap().map(|band| values(&band)[0]);
            bands
                .iter()
                .zip(expected)
                .all(|(band, expected)| (band - expected).abs() < 1e-6)
        };
        let stripes = Tensor::new(&[[[[1f32, -1.0], [1.0, -1.0]]]], &Device::Cpu).unwrap();
        assert!(close(&stripes, [0.0, 2.0, 0.0, 0.0]));
        let flat = Tensor::new(&[[[[3f32, 3.0], [3.0, 3.0]]]], &Device::Cpu).unwrap();
        assert!(close(&flat, [6.0, 0.0, 0.0, 0.0]));
    }

    #[test]
    fn a_steady_prediction_stays_and_the_last_step_is_not_blended() {
        let (x, other) = (image(), (image() * -0.5).unwrap());
        let mut average = MovingAverage::default();
        for index in 0..3 {
            let y = average.update(&x, index, 4).unwrap();
            assert!(values(&y).iter().zip(values(&x)).all(|(a, b)| (a - b).abs() < 1e-5));
        }
        let last = average.update(&other, 3, 4).unwrap();
        assert!(
            values(&last)
                .iter()
                .zip(values(&other))
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );
    }

    #[test]
    fn the_low_band_keeps_more_of_the_past_than_detail() {
        let (zero, x) = (image().zeros_like().unwrap(), image());
        let mut average = MovingAverage::default();
        average.update(&zero, 0, 4).unwrap();
        let kept = haar(&average.update(&x, 1, 4).unwrap()).unwrap();
        for (i, (old, decay)) in haar(&x).unwrap().iter().zip([0.6, 0.3, 0.3, 0.3]).enumerate() {
            let expected = (old * (1.0 - decay * 0.5)).unwrap();
            assert!(
                values(&kept[i])
                    .iter()
                    .zip(values(&expected))
                    .all(|(a, b)| (a - b).abs() < 1e-5)
            );
        }
    }
}
