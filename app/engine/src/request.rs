//! What a run is, in the words that the CLI, the studio, a PNG's metadata and a sweep plan share.

use std::path::PathBuf;

use mdsd3_model::mix::Mix;
use serde::{Deserialize, Serialize};

/// How a photo becomes a scene of the model's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Centre crop to a square of `size` pixels.
    #[default]
    Square,
    /// Keep the aspect ratio: the shorter side becomes `size` pixels, the longer one is cropped to the model's multiple.
    Aspect,
}

/// Numeric integrator of the sampling equation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// Flow-match Euler, one evaluation per step.
    #[default]
    Euler,
}

/// One mix run. Defaults are those of the studio's first start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct RenderRequest {
    /// Clean photo; the bundled demo photo when absent
    #[arg(value_name = "PHOTO")]
    pub scene: Option<PathBuf>,
    /// Class ratios, such as haze=0.8,rain=0.5 (0 off, 1 as trained, up to 1.5)
    #[arg(long, default_value = "rain=0.7,haze=0.6", value_name = "CLASS=RATIO,...")]
    pub mix: Mix,
    /// Weight of the noise in the initial latents
    #[arg(long, default_value_t = 1.0)]
    pub alpha: f32,
    /// Weight of the scene in the initial latents
    #[arg(long, default_value_t = 0.0)]
    pub beta: f32,
    /// Denoising steps
    #[arg(long, default_value_t = 20)]
    pub steps: usize,
    /// Guidance against the clean branch; 1 is none and takes one evaluation per step
    #[arg(long, default_value_t = 1.0)]
    pub guidance: f32,
    /// Seed of the noise
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Integrator
    #[arg(long, value_enum, default_value_t)]
    pub sampler: Sampler,
    /// Side of the scene in pixels
    #[arg(long, default_value_t = 256)]
    pub size: u32,
    /// How the photo is fitted to that size
    #[arg(long, value_enum, default_value_t)]
    pub fit: Fit,
    /// Model folder or safetensors file; the bundled model when absent
    #[arg(long, value_name = "DIR|FILE")]
    pub model: Option<PathBuf>,
    /// Compute device: cpu, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Compute dtype: f32, bf16 or f16
    #[arg(long, default_value = "f32")]
    pub dtype: String,
}
