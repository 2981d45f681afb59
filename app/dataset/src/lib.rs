//! Dataset export: photos x mixes x alpha and beta x seeds become aligned pairs that a trainer reads as they are.
//!
//! - [`plan`] reads what is wanted from a TOML file, [`sweep`] enumerates it as jobs, each with a key of its own.
//! - [`run`] makes the pairs on three kinds of threads, `journal` keeps what is finished, [`finish`] writes the
//!   layout's lists when all are, [`verify`] compares a dataset with its journal.
//! - [`layout`], in the model's crate, says where files go: one file per trainer's convention.
//!
//! A pair depends on its job alone: any order, shard or restart gives the same files. Nothing here reads the wall clock, so
//! a clock that is set back changes nothing.
//!
//! # Example
//!
//! ```
//! use mdsd3_dataset::{Plan, open};
//!
//! let text = r#"
//!     engine = "physical"
//!     scenes = ["pont-du-gard.jpg", "great-wall.jpg"]
//!     mixes = [{ rain = 1.0 }]
//!     seeds = { first = 0, count = 3 }
//! "#;
//! let plan = Plan::parse(text, "plan.toml", "../../assets/photos".into())?;
//! let sweep = open::physical(plan)?;
//! assert_eq!((sweep.len(), sweep.jobs_per_scene()), (6, 3));
//! # Ok::<(), mdsd3_render::RenderError>(())
//! ```

mod check;
mod files;
mod hold;
mod journal;
mod layers;
mod options;
mod pack;
mod pair;
mod pair_files;
mod scenes;
mod stored;
mod weather;
mod work;

pub mod estimate;
pub mod finish;
pub mod mixes;
pub mod open;
pub mod plan;
pub mod reproduce;
pub mod run;
pub mod slurm;
pub mod sweep;
pub mod verify;

pub use files::Shard;
pub use mdsd3_model::pair_layout as layout;
pub use options::{RunOptions, SweepObserver};
pub use plan::Plan;
pub use run::Outcome;
pub use sweep::{Job, Sweep};

#[cfg(test)]
mod layout_tests;
