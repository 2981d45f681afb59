//! Engine of MDSD3 Studio: everything between the model's tensors and the people who look at images.
//!
//! This crate is the only importer of `mdsd3-model`. What leaves it is plain data (8-bit images, `Arc<[f32]>`, numbers,
//! one-line messages), so that neither the studio nor the command line can name a tensor.
//!
//! - [`session::Session`] is the synchronous core: it loads models and scenes, caches both, and renders. The command line
//!   drives it directly.
//! - [`Engine`] runs a session on a worker thread for the studio: [`protocol::Request`]s go down a bounded channel,
//!   [`protocol::Event`]s come back, and a second thread decodes the steps for the preview.
//! - [`queue`] makes datasets on a thread of its own; [`export`] is what it and `mdsd3 sweep` run.
//! - [`mdsd3_words::RenderRequest`] describes a run in the same words everywhere, and [`metadata`] keeps it in the PNG.

pub mod advice;
pub mod analyze;
pub mod bench;
pub mod bundled;
pub mod chores;
pub mod colormap;
pub mod degrade;
pub mod device;
pub mod engine;
pub mod error;
pub mod export;
pub mod figure;
pub mod frames;
pub mod inspect;
pub mod lanes;
pub mod loaded;
pub mod memory;
pub mod metadata;
pub mod parity;
pub mod protocol;
pub mod queue;
pub mod render;
pub mod scene;
pub mod session;
pub mod training;

mod events;
mod kept_steps;
mod preview;
mod stop;
mod worker;

pub use engine::{Engine, EngineOptions};
pub use error::EngineError;
