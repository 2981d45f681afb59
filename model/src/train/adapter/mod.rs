//! Adapters: a frozen Stable Diffusion 3 checkpoint, and beside it low-rank updates (Hu et al. 2021, arXiv:2106.09685), zero
//! blocks (Zhang et al. 2023, arXiv:2302.05543) and, on request, the whole clean path.
//!
//! | file | what |
//! |---|---|
//! | `recipe`, `check` | the TOML file and its ranges |
//! | `base` | the checkpoint: autoencoder, prompts, shape |
//! | `data` | pairs and photos, encoded once |
//! | `draw` | what a step trains on |
//! | `network` | what is trained, and where it starts |
//! | `objective` | flow matching and focal frequency loss |
//! | `gradients` | the backward pass, block by block when activations aren't kept |
//! | `session`, `training` | a run; what its steps, validations and strips are |
//! | `budget` | memory by part |
//!
//! At step 0 every zero projection and every update is 0, so the network is plain Stable Diffusion 3 to the last bit.

mod base;
mod budget;
mod check;
mod data;
mod draw;
mod gradients;
mod network;
mod objective;
mod recipe;
mod session;
mod training;

pub use budget::{Budget, Part, budget};
pub use data::Skipped;
pub use recipe::AdapterRecipe;
pub use session::run;

pub(crate) use crate::pipeline::CLEAN_PROMPT;

/// The prompt of samples that are told nothing.
const NO_PROMPT: &str = "";

#[cfg(test)]
mod tests;
