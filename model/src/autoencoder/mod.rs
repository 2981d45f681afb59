//! Autoencoders: pixels to latents and back.
//!
//! | file | what |
//! |---|---|
//! | `mini` | the bundled model's own |
//! | `lapped` | overlap between its patches |
//! | `kl` | SD3's KL autoencoder |
//! | `tiny` | TAESD3, for previews |
//! | `projection` | colours out of latents without a decoder |
//! | `tiling` | large images in overlapping tiles |
//! | `layers` | what `kl` and `tiny` are made of, channels-last |

mod kl;
mod lapped;
pub(crate) mod layers;
mod mini;
mod projection;
mod tiling;
mod tiny;

pub use kl::{KlAutoencoder, KlConfig};
pub use mini::MiniAutoencoder;
pub use projection::LatentProjection;
pub use tiling::Tiling;
pub use tiny::TinyAutoencoder;

/// Seeded normal values for this module's tests, as candle's CPU generator can't be seeded.
#[cfg(test)]
fn random(seed: u64, deviation: f64, shape: impl Into<candle_core::Shape>) -> candle_core::Tensor {
    let shape = shape.into();
    let values = crate::sampler::noise::gaussian(seed, 0, 0, shape.elem_count());
    let normal = candle_core::Tensor::from_vec(values, shape, &candle_core::Device::Cpu).unwrap();
    (normal * deviation).unwrap()
}
