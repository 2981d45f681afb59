//! What a run, a plan, a recipe and a result are described by: plain data that every crate above shares.
//!
//! Nothing here knows a tensor, a thread or a window. A run is a [`RenderRequest`]: its photo ([`SceneSettings`]), how it is
//! sampled ([`Sampling`]) and by which model ([`ModelSettings`]). Each setting is declared once (see [`mod@settings`]); files, the
//! command line, plans, presets and undo take it from there.
//!
//! ```
//! use mdsd3_words::{RenderRequest, Sampling};
//!
//! let mut request = RenderRequest::default();
//! request.sampling = Sampling { mix: "haze=0.8,rain=0.5".parse()?, steps: 30, ..Sampling::default() };
//! // In files the groups are flat.
//! let json = serde_json::to_value(&request)?;
//! assert_eq!((&json["steps"], &json["device"]), (&30.into(), &"cpu".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[macro_use]
pub mod settings;

pub mod balance;
pub mod branch;
pub mod calibration;
pub mod curves;
pub mod device;
pub mod error;
pub mod hash;
pub mod heads;
pub mod image;
pub mod lane;
pub mod made;
pub mod mix;
pub mod model;
pub mod regular;
pub mod request;
pub mod sampling;
pub mod scene;
pub mod weather;

pub use branch::Branch;
pub use curves::RatioCurve;
pub use error::WordsError;
pub use heads::HeadRatio;
pub use mix::{MAX_RATIO, Mix};
pub use model::{ModelIdentity, ModelParts, ModelSettings, ModelSummary};
pub use request::{CheckedRequest, RenderRequest};
pub use sampling::{Sampler, SamplerAid, Sampling};
pub use scene::{CropAt, Fit, SceneSettings};

/// Version of the program, written into every PNG.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
