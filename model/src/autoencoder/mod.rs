//! Autoencoders: pixels to latents and back.

mod mini;

pub(crate) use mini::patches_from_rgb;

pub use mini::MiniAutoencoder;
