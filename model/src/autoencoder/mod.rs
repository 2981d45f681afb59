//! Autoencoders: pixels to latents and back.
//!
//! | file | what |
//! |---|---|
//! | `mini` | the bundled model's own |
//! | `kl` | SD3's KL autoencoder |
//! | `tiny` | TAESD3, for previews |
//! | `projection` | colours out of latents without a decoder |
//! | `tiling` | large images in overlapping tiles |
//! | `layers`, `group_norm` | what `kl` and `tiny` are made of, channels-last |

mod group_norm;
mod kl;
mod layers;
mod mini;
mod projection;
mod tiling;
mod tiny;

pub(crate) use mini::patches_from_rgb;

pub use kl::{KlAutoencoder, KlConfig};
pub use mini::MiniAutoencoder;
pub use projection::LatentProjection;
pub use tiling::Tiling;
pub use tiny::TinyAutoencoder;
