//! The facade that the engine drives: a model that encodes scenes, samples mixes and decodes latents.

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use image::Rgb32FImage;

use crate::error::ModelError;
use crate::mix::Mix;

/// Facts about a loaded pipeline.
#[derive(Debug, Clone)]
pub struct PipelineInfo {
    /// Human-readable name.
    pub name: String,
    /// Degradation classes in checkpoint order.
    pub classes: Vec<String>,
    /// Indices of the heads each class owns, same order.
    pub class_heads: Vec<Vec<usize>>,
    /// Attention heads per block.
    pub heads: usize,
    /// Transformer blocks.
    pub blocks: usize,
    /// Token width.
    pub width: usize,
    /// Parameters of all parts.
    pub parameters: u64,
    /// Image sides must be multiples of this many pixels.
    pub size_multiple: u32,
    /// Largest image side the positional table covers, in pixels.
    pub max_size: u32,
}

/// A scene the model has seen: latents and everything of the clean path, computed once.
pub struct Scene;

/// One lane: a mix on its noise.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Class ratios.
    pub mix: Mix,
    /// Noise key beside seed and scene; lanes that are compared share it.
    pub noise_lane: u32,
}

/// Settings that all lanes of a run share.
#[derive(Debug, Clone)]
pub struct SampleSettings {
    /// Weight of the noise in the initial latents.
    pub alpha: f32,
    /// Weight of the scene in the initial latents.
    pub beta: f32,
    /// Denoising steps, at least 1.
    pub steps: usize,
    /// Guidance against the clean branch; 1 takes one evaluation.
    pub guidance: f32,
    /// Noise seed.
    pub seed: u64,
}

/// A completed step, handed to the observer.
pub struct Step {
    /// Index from 0.
    pub index: usize,
    /// Noise level the step was evaluated at.
    pub sigma: f32,
    /// Noise level it ends at.
    pub next_sigma: f32,
    /// Latents the step started from: `[lanes, channels, height/f, width/f]`.
    pub x_t: Tensor,
    /// Clean-data prediction, same shape.
    pub x0_hat: Tensor,
}

/// A pipeline: autoencoder, transformer, context tokens.
pub struct Pipeline;

impl Pipeline {
    /// Opens a model folder (config.json, model.safetensors).
    pub fn open(path: &Path, device: &Device, dtype: DType) -> Result<Self, ModelError> {
        unimplemented!("{path:?} {device:?} {dtype:?}")
    }
    /// Facts about this pipeline.
    pub fn info(&self) -> &PipelineInfo {
        unimplemented!()
    }
    /// Encodes a fitted scene; values sRGB in 0..=1, sides multiples of `size_multiple`.
    pub fn encode_scene(&self, rgb: &Rgb32FImage) -> Result<Scene, ModelError> {
        unimplemented!("{}", rgb.width())
    }
    /// The noise levels of a run: `steps + 1` values ending in 0.
    pub fn sigmas(&self, steps: usize) -> Result<Vec<f32>, ModelError> {
        unimplemented!("{steps}")
    }
    /// Samples all lanes in one batch. The observer sees every step; `Break` stops the run, which then returns `None`.
    pub fn sample(
        &self,
        scene: &Scene,
        lanes: &[Lane],
        settings: &SampleSettings,
        observer: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Option<Tensor>, ModelError> {
        let _ = (scene, lanes, settings, observer);
        unimplemented!()
    }
    /// Decodes latents `[batch, channels, h, w]` to one image per batch entry, sRGB in 0..=1. Cheap to call from another thread (`Pipeline: Send + Sync`).
    pub fn rgb_from_latents(&self, latents: &Tensor) -> Result<Vec<Rgb32FImage>, ModelError> {
        unimplemented!("{latents:?}")
    }
}
