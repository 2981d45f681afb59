//! Losses at fixed noise levels with fixed noise, and where the focal frequency loss looks.

use candle_core::Tensor;
use image::{Rgb, RgbImage};

use super::ValidationNumbers;
use crate::error::ModelError;
use crate::loss::{FocalFrequency, focal_frequency_loss, focal_frequency_weights};

/// What the network made of one sample at a noise level.
pub struct Measured {
    /// Squared error of the network's output.
    pub flow: f32,
    /// What the focal frequency loss is taken of: `[1, channels, height, width]`.
    pub predicted: Tensor,
    /// What it is compared with, alike.
    pub target: Tensor,
}

/// A validation and the map of focal weights at the lowest noise level, zero frequency in the middle; `measure` is asked
/// for every sample at every noise level.
///
/// # Errors
/// Those of `measure`.
pub fn validate(
    step: usize,
    sigmas: &[f32],
    samples: usize,
    focal: FocalFrequency,
    measure: impl Fn(usize, f32) -> Result<Measured, ModelError>,
) -> Result<(ValidationNumbers, Option<RgbImage>), ModelError> {
    let mut levels = Vec::new();
    let mut map: Option<(f32, Tensor)> = None;
    for &sigma in sigmas {
        let (mut flow_sum, mut focal_sum, mut weights) = (0.0, 0.0, None);
        for index in 0..samples {
            let measured = measure(index, sigma)?;
            flow_sum += measured.flow;
            focal_sum += focal_frequency_loss(&measured.predicted, &measured.target, focal)?.to_vec1::<f32>()?[0];
            let here = focal_frequency_weights(&measured.predicted, &measured.target, focal)?;
            weights = Some(match weights {
                Some(sum) => (sum + here)?,
                None => here,
            });
        }
        let count = samples.max(1) as f32;
        levels.push((sigma, flow_sum / count, focal_sum / count));
        if let Some(weights) = weights
            && map.as_ref().is_none_or(|(lowest, _)| sigma < *lowest)
        {
            map = Some((sigma, (weights / f64::from(count))?));
        }
    }
    let mean = levels.iter().map(|(_, flow, _)| flow).sum::<f32>() / levels.len().max(1) as f32;
    let numbers = ValidationNumbers {
        step,
        levels,
        mean,
        is_best: false,
    };
    Ok((numbers, map.map(|(_, weights)| picture(&weights)).transpose()?))
}

/// Weights 0 to 1 as grey, the zero frequency moved to the middle.
fn picture(weights: &Tensor) -> Result<RgbImage, ModelError> {
    let rows: Vec<Vec<f32>> = weights.to_vec2()?;
    let (height, width) = (rows.len() as u32, rows[0].len() as u32);
    let from_middle = |at: u32, side: u32| ((at + side - side / 2) % side) as usize;
    Ok(RgbImage::from_fn(width, height, |x, y| {
        let weight = rows[from_middle(y, height)][from_middle(x, width)];
        Rgb([(weight.clamp(0.0, 1.0) * 255.0).round() as u8; 3])
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_zero_frequency_is_in_the_middle() {
        let mut values = vec![0f32; 16];
        values[0] = 1.0;
        let weights = Tensor::from_vec(values, (4, 4), &Device::Cpu).unwrap();
        let image = picture(&weights).unwrap();
        assert_eq!((image.get_pixel(2, 2)[0], image.get_pixel(0, 0)[0]), (255, 0));
    }
}
