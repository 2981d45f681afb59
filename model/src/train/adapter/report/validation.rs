//! Losses at fixed noise levels with fixed noise, and where the focal frequency loss looks.

use candle_core::Tensor;
use image::{Rgb, RgbImage};

use super::ValidationNumbers;
use crate::error::ModelError;
use crate::loss::{focal_frequency_loss, focal_frequency_weights};
use crate::train::adapter::data::Sample;
use crate::train::adapter::draw::Deck;
use crate::train::adapter::gradients::velocity;
use crate::train::adapter::network::Network;

/// A validation and the map of focal weights at the lowest noise level, zero frequency in the middle.
pub fn validate(
    network: &Network,
    deck: &Deck,
    samples: &[Sample],
    step: usize,
) -> Result<(ValidationNumbers, Option<RgbImage>), ModelError> {
    let options = deck.recipe.objective.focal.options();
    let mut levels = Vec::new();
    let mut map: Option<(f32, Tensor)> = None;
    for &sigma in &deck.recipe.report.sigmas {
        let (mut flow_sum, mut focal_sum, mut weights) = (0.0, 0.0, None);
        for (index, sample) in samples.iter().enumerate() {
            let batch = deck.fixed(sample, index, sigma)?;
            let velocity = velocity(network, &batch.noisy()?, &batch.on)?;
            let target = (&batch.noise - &batch.target)?;
            flow_sum += (&velocity - target)?.sqr()?.mean_all()?.to_scalar::<f32>()?;
            let x0_hat = batch.x0_hat(&velocity)?;
            focal_sum += focal_frequency_loss(&x0_hat, &batch.target, options)?.to_vec1::<f32>()?[0];
            let here = focal_frequency_weights(&x0_hat, &batch.target, options)?;
            weights = Some(match weights {
                Some(sum) => (sum + here)?,
                None => here,
            });
        }
        let count = samples.len().max(1) as f32;
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
