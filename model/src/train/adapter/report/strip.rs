//! Samples of fixed seeds, so that strips of different steps can be compared.

use candle_core::Tensor;
use image::{Rgb32FImage, imageops};

use crate::error::ModelError;
use crate::sampler::{euler_step, schedule};
use crate::train::adapter::base::Autoencoder;
use crate::train::adapter::data::Sample;
use crate::train::adapter::draw::Deck;
use crate::train::adapter::gradients::velocity;
use crate::train::adapter::network::Network;

/// A row per scene: the scene, what it should become, and what the network makes of it by Euler steps without guidance.
pub fn strip(
    network: &Network,
    deck: &Deck,
    samples: &[Sample],
    autoencoder: &Autoencoder,
) -> Result<Rgb32FImage, ModelError> {
    let side = deck.recipe.data.side;
    let mut picture = Rgb32FImage::new(3 * side, side * samples.len() as u32);
    for (row, sample) in samples.iter().enumerate() {
        let mut batch = deck.fixed(sample, row, 1.0)?;
        let mut x = batch.noise.clone();
        for pair in schedule::sigmas(deck.recipe.report.sample_steps, deck.shift).windows(2) {
            batch.on.sigmas = vec![pair[0]];
            x = euler_step(&x, &velocity(network, &x, &batch.on)?, pair[0], pair[1])?;
        }
        for (column, latents) in [&batch.on.scene, &batch.target, &x].into_iter().enumerate() {
            let image = decoded(autoencoder, latents)?;
            let (left, top) = (column as u32 * side, row as u32 * side);
            imageops::replace(&mut picture, &image, i64::from(left), i64::from(top));
        }
    }
    Ok(picture)
}

fn decoded(autoencoder: &Autoencoder, latents: &Tensor) -> Result<Rgb32FImage, ModelError> {
    autoencoder
        .decode(latents)?
        .pop()
        .ok_or_else(|| ModelError::BadInput("the autoencoder made no image".into()))
}
