//! Tensors of MDSD3 Studio: everything that knows a number, nothing that knows a thread, a channel or a window.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | configurations as checkpoints store them |
//! | [`mmdit`] | the SD3 transformer with head-wise masking and the clean path |
//! | [`kernels`] | fused CPU operations with gradients |
//! | [`autoencoder`] | pixels to latents and back |
//! | [`text`] | prompts to what the transformer is conditioned on |
//! | [`sampler`] | schedule, noise, initial latents, prediction |
//! | [`pipeline`] | the facade: encode a scene, sample a mix, decode |
//! | [`family`] | families of models: told apart, opened and described |
//! | [`adapter`] | clean path, classes and low-rank updates over a base checkpoint |
//! | [`device`] | devices and number formats, opened |
//! | [`degrade`] | physical rain, haze, noise and snow |
//! | [`spectrum`] | 2-D spectra and their radial average |
//! | [`loss`] | focal frequency loss |
//! | [`train`] | the trainer behind `mdsd3 train` |
//! | [`pair_layout`] | how pairs lie on disk |
//! | [`parity`] | golden tensors recomputed |
//! | [`mod@bench`] | what `mdsd3 bench` measures |
//! | [`inspect`] | what a checkpoint is, from its headers |
//! | [`io`] | checkpoints, photos, atomic files |
//!
//! # Example
//!
//! Haze by formula, and what it does to a chequerboard:
//!
//! ```
//! use image::{Rgb, Rgb32FImage};
//! use mdsd3_model::degrade::degrade;
//! use mdsd3_model::spectrum::measures::measure;
//!
//! let scene = Rgb32FImage::from_fn(64, 64, |x, y| Rgb([((x / 8 + y / 8) % 2) as f32; 3]));
//! let hazy = degrade(&scene, &"haze=1".parse()?, 7)?;
//! let measures = measure(&scene, &hazy.image)?;
//! // Most of the contrast is veiled, and nothing fine is new.
//! assert!(measures.veil > 0.5 && measures.streak < 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(clippy::missing_errors_doc)] // what fails here is worth more than the one line of an enum

pub mod adapter;
pub mod autoencoder;
pub mod bench;
pub mod config;
pub mod degrade;
pub mod device;
pub mod error;
pub mod family;
pub mod inspect;
pub mod io;
pub mod kernels;
pub mod loss;
pub mod mmdit;
pub mod pair_layout;
pub mod parity;
pub mod pipeline;
pub mod ranges;
pub mod sampler;
pub mod spectrum;
pub mod text;
pub mod train;
