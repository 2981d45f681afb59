//! Training data: pairs in every layout that this program exports, imagefolders, or clean photos with physical
//! degradations.
//!
//! | file | what |
//! |---|---|
//! | `layouts` | the pairs of a folder, by the rules of [`crate::pair_layout`], or its photos |
//! | `cache` | latents and encoded prompts on disk |
//! | `prepare` | every image checked, cut and encoded once |

mod cache;
mod layouts;
mod prepare;

pub use crate::pair_layout::Skipped;
pub use cache::{Cache, prompt_key, weights_key};
pub use layouts::items;
pub use prepare::{Encoder, Prepared, Sample, prepare};

#[cfg(test)]
mod tests;
