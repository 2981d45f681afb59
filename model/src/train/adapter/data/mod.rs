//! Training data: pairs in every layout that this program exports, imagefolders, or clean photos with physical
//! degradations.
//!
//! | file | what |
//! |---|---|
//! | `source` | files, and members of tars |
//! | `layouts` | which files make a pair, and what their folders say of it |
//! | `imagefolder`, `webdataset` | the two that are not folders of equal names |
//! | `cache` | latents and encoded prompts on disk |
//! | `prepare` | every image checked, cut and encoded once |

mod cache;
mod imagefolder;
mod layouts;
mod prepare;
mod source;
mod webdataset;

pub use cache::{Cache, prompt_key, weights_key};
pub use layouts::items;
pub use prepare::{Encoder, Prepared, Sample, Skipped, prepare};

#[cfg(test)]
mod tests;
