//! Mix runs, synchronous: what a loaded model does with a photo, and the files that say how it was done.
//!
//! - [`session::Session`] loads models and scenes, keeps both, and renders; the command line drives one directly, the studio's
//!   engine puts one on a thread.
//! - [`loaded`] is a model in memory, [`scene`] a photo as a model sees it, [`frames`] 8-bit images and spectra of both.
//! - [`run`] and [`lanes`] sample mixes side by side, batched where they share their settings.
//! - [`metadata`] keeps a run's settings in its image, [`jpeg`] and [`picture`] are the files of datasets.
//! - [`weather`] is what the weather of a scene is made of: depth and masks, from their files.
//! - [`degrade`], [`mod@bench`], [`inspect`], [`parity`] and [`device`] are the command line's other tools; [`sequence`] is weather in motion.
//!
//! # Example
//!
//! ```
//! use mdsd3_render::session::Session;
//! use mdsd3_words::RenderRequest;
//!
//! // The demo photo and the bundled model.
//! let mut request = RenderRequest::default();
//! (request.scene.size, request.sampling.steps) = (64, 2);
//! let mixed = Session::new().render(&request, &mut ())?.expect("nobody stopped it");
//! assert_eq!(mixed.sigmas.len(), 3);
//! # Ok::<(), mdsd3_render::RenderError>(())
//! ```

pub mod bench;
pub mod bundled;
pub mod colormap;
pub mod degrade;
pub mod device;
pub mod error;
pub mod frames;
pub mod inspect;
pub mod jpeg;
pub mod lanes;
pub mod loaded;
pub mod memory;
pub mod metadata;
pub mod parity;
pub mod picture;
pub mod regions;
pub mod run;
pub mod scene;
pub mod sequence;
pub mod session;
pub mod weather;

mod kept_steps;

pub use error::RenderError;
