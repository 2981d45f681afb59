//! Tensors of MDSD3 Studio: everything that knows a number, nothing that knows a thread, a channel or a window.
//!
//! | module | contents |
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
//! | [`depth_anything`] | depth of a photo by a network |
//! | [`spectrum`] | 2-D spectra and their radial average |
//! | [`loss`] | focal frequency loss |
//! | [`train`] | the trainer behind `mdsd3 train` |
//! | [`pair_layout`] | how pairs lie on disk |
//! | [`parity`] | golden tensors recomputed |
//! | [`mod@bench`] | what `mdsd3 bench` measures |
//! | [`inspect`] | what a checkpoint is, from its headers |
//! | [`io`] | checkpoints, photos, atomic files |
//! | [`ranges`] | ranges that numbers of configurations and recipes are held to |
//!
//! # Examples
//!
//! Haze by formula, and what it does to a chequerboard:
//!
//! ```
//! use image::{Rgb, Rgb32FImage};
//! use mdsd3_model::spectrum::measures::measure;
//! use mdsd3_weather::depth::estimate;
//! use mdsd3_weather::{Options, degrade};
//!
//! let scene = Rgb32FImage::from_fn(64, 64, |x, y| Rgb([((x / 8 + y / 8) % 2) as f32; 3]));
//! let hazy = degrade(&scene, &estimate(&scene), &"haze=1".parse()?, 7, &Options::default())?;
//! let measures = measure(&scene, &hazy.image)?;
//! assert!(measures.veil > 0.3, "much of the contrast is veiled");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A mix, from a photo to pixels:
//!
//! ```
//! use std::ops::ControlFlow;
//! use std::path::Path;
//!
//! use mdsd3_model::device::Place;
//! use mdsd3_model::io::photo::{fit_square, load_photo};
//! use mdsd3_model::pipeline::{Batch, Pipeline};
//! use mdsd3_words::Sampling;
//!
//! let assets = Path::new("../assets");
//! let model = Pipeline::open(&assets.join("models/mini"), &Place::processor())?;
//! let photo = load_photo(&assets.join("photos/pont-du-gard.jpg"))?.rgb;
//! let scene = model.encode_scene(&fit_square(&photo, 64))?;
//! let lane = Sampling { mix: "haze=0.8,rain=0.5".parse()?, steps: 2, ..Sampling::default() };
//! let flow = model.sample(&scene, &Batch::of(vec![lane]), |lanes| {
//!     println!("at noise level {}", lanes[0].sigma);
//!     ControlFlow::<()>::Continue(())
//! })?;
//! let latents = flow.continue_value().expect("nobody stopped it");
//! let images = model.rgb_from_latents(&latents)?;
//! assert_eq!(images[0].dimensions(), (64, 64));
//! # Ok::<(), mdsd3_model::error::ModelError>(())
//! ```

#![warn(clippy::missing_errors_doc)] // what fails here is worth more than the one line of an enum

pub mod adapter;
pub mod autoencoder;
pub mod bench;
pub mod config;
pub mod depth_anything;
pub mod device;
pub mod error;
pub mod family;
pub mod guard;
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
