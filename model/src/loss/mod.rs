//! Training losses.

mod focal_frequency;

pub use focal_frequency::{FocalFrequency, focal_frequency_loss, focal_frequency_weights};
