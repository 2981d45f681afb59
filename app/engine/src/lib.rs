//! The threads behind the studio, and the messages that they and the window exchange.
//!
//! What leaves this crate is plain data (8-bit images, `Arc<[f32]>`, numbers, one-line messages): the studio imports it and
//! [`mdsd3_words`], so that it can't name a tensor.
//!
//! - [`Engine`] runs a [`Session`](mdsd3_render::session::Session) on a worker thread: [`protocol::Request`]s go down a bounded
//!   channel, [`protocol::Event`]s come back, and a second thread decodes the steps for the preview.
//! - [`queue`] makes datasets on a thread of its own, [`training`] trains on another, [`chores`] look at files on a third.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use mdsd3_engine::protocol::Event;
//! use mdsd3_engine::{Engine, EngineOptions};
//!
//! let engine = Engine::start(EngineOptions::default())?;
//! let next = || engine.wait(Duration::from_mins(1)).expect("an event");
//! while !matches!(next(), Event::ModelLoaded(_)) {}
//! # Ok::<(), mdsd3_engine::EngineError>(())
//! ```

pub mod advice;
pub mod chores;
pub mod engine;
pub mod error;
pub mod protocol;
pub mod queue;
pub mod training;

mod events;
mod preview;
mod stop;
mod wake;
mod worker;

pub use engine::{Engine, EngineOptions};
pub use error::EngineError;

/// What the studio takes from the crates below: data, and files made of it.
pub mod data {
    pub use mdsd3_dataset::layout::LayoutKind;
    pub use mdsd3_dataset::plan::{GridRequest, scene_patterns};
    pub use mdsd3_render::bundled::PHOTO_EXTENSIONS;
    pub use mdsd3_render::degrade::CLASSES as FORMULA_CLASSES;
    pub use mdsd3_render::device::DeviceReport;
    pub use mdsd3_render::frames::difference_spectrum;
    pub use mdsd3_render::inspect::MemoryReport;
    pub use mdsd3_render::metadata::{write_file, write_png_with_parameters};
    pub use mdsd3_study::AnalyzeRequest;
    pub use mdsd3_study::formation::{BandFormation, Formation, Interval, LaneFormation};
}

pub use mdsd3_study::figure;
