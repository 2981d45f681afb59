//! How the physical weather is made, beside the mix.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Version of the formulas: it changes when the same scene, mix and seed would give another image.
pub const WEATHER_VERSION: u32 = 2;

/// The values in which something is composed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Space {
    /// Values as images have them, encoded with sRGB's curve: what the dehazing benchmarks do.
    #[default]
    Srgb,
    /// Linear light: what air does.
    Linear,
}

/// How rain meets what is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Composition {
    /// Drops cover what is behind them for their share of the exposure, and shine with their surroundings' light.
    #[default]
    Alpha,
    /// Drops only add light.
    Additive,
}
