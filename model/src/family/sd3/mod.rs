//! Stable Diffusion 3 checkpoints as pipelines.

mod report;

use std::path::{Path, PathBuf};

use mdsd3_words::{ModelParts, ModelSummary};

use super::context::Context;
use super::masked::MaskedTransformer;
use super::{Answer, Family, at_path};
use crate::adapter::Adapter;
use crate::config::MmditConfig;
use crate::device::Place;
use crate::error::ModelError;
use crate::inspect::ModelReport;
use crate::io::checkpoint::{Weights, shortened};
use crate::io::layout::{Sd3Checkpoint, TEXT_PARTS, transformer_files};
use crate::mmdit::{Mmdit, class_heads};
use crate::pipeline::{Codec, Parts, Pipeline};
use crate::sampler::prediction::Prediction;
use crate::text::TextEncoders;

/// Pixels per latent pixel side of every SD3 autoencoder.
const FACTOR: usize = 8;

/// Stable Diffusion 3, which is asked last: it names what a checkpoint of none of the families is.
pub struct Sd3;

impl Family for Sd3 {
    fn open(&self, path: &Path, parts: &ModelParts, place: &Place) -> Answer<Pipeline> {
        open(path, parts, place).map(Some)
    }

    fn inspect(&self, path: &Path, parts: &ModelParts) -> Answer<ModelReport> {
        report::report(path, parts).map(Some)
    }

    fn identity_files(&self, path: &Path) -> Answer<Vec<PathBuf>> {
        transformer_files(path).map(Some)
    }
}

/// Opens a checkpoint and its parts. The text encoders stay on disk until a prompt needs them.
fn open(path: &Path, parts: &ModelParts, place: &Place) -> Result<Pipeline, ModelError> {
    let (device, dtype) = (&place.device, place.dtype);
    let checkpoint = Sd3Checkpoint::open(path, parts)?;
    let adapter = parts.adapter.as_deref().map(Adapter::open).transpose()?;
    let config = config_with_classes(&checkpoint.config, adapter.as_ref())?;
    let bad = |e: candle_core::Error| ModelError::in_tensors(&path.display().to_string(), &e);
    let autoencoder = checkpoint.autoencoder.as_ref().ok_or_else(|| {
        ModelError::BadInput(format!(
            "{}: this checkpoint has no autoencoder; give one with --vae",
            path.display()
        ))
    })?;
    let codec = Codec::open(autoencoder, device)?;
    if codec
        .latent_channels()
        .is_some_and(|channels| channels != config.in_channels)
    {
        return Err(ModelError::BadInput(format!(
            "{}: this autoencoder's latents have {} channels and the transformer takes {}; give SD3's autoencoder",
            autoencoder.part.weights.name(),
            codec.latent_channels().unwrap_or_default(),
            config.in_channels
        )));
    }
    let mut text = open_text(&checkpoint, &config, place).map_err(|e| at_path(path, e))?;
    let preview = checkpoint
        .preview
        .as_ref()
        .map(|source| Codec::open(source, device))
        .transpose()?;
    let (transformer, strength) = if let Some(adapter) = &adapter {
        let applied = adapter.over(
            &checkpoint.transformer,
            checkpoint.text.weights(),
            &config,
            dtype,
            device,
        )?;
        let transformer = Mmdit::new(&config, applied.transformer.builder(dtype, device)).map_err(bad)?;
        applied.check_all_used().map_err(|e| at_path(path, e))?;
        text.adapt(&applied.encoders);
        (transformer, Some(applied.strength()))
    } else {
        let transformer = Mmdit::new(&config, checkpoint.transformer.builder(dtype, device)).map_err(bad)?;
        checkpoint.transformer.check_all_used().map_err(|e| at_path(path, e))?;
        (transformer, None)
    };
    Ok(Pipeline::new(Parts {
        info: info(&checkpoint, &config, adapter.as_ref(), codec.factor()),
        shift: checkpoint.shift,
        autoencoder: codec,
        preview,
        denoiser: Box::new(MaskedTransformer {
            transformer,
            context: Context::Text(Box::new(text)),
            prediction: Prediction::Velocity,
            alternating_grid: false,
            strength,
            place: place.clone(),
        }),
        place: place.clone(),
    }))
}

/// The text encoders, which must fit the transformer.
fn open_text(checkpoint: &Sd3Checkpoint, config: &MmditConfig, place: &Place) -> Result<TextEncoders, ModelError> {
    let width = config.joint_attention_dim;
    let text = TextEncoders::open(&checkpoint.text, width, place.dtype, &place.device)?;
    if text.pooled_width() == config.pooled_projection_dim {
        return Ok(text);
    }
    Err(ModelError::BadInput(format!(
        "the CLIP encoders pool to {} numbers and the transformer takes {}: do they belong to this model?",
        text.pooled_width(),
        config.pooled_projection_dim
    )))
}

/// The config with the adapter's classes in place of the checkpoint's own.
pub fn config_with_classes(config: &MmditConfig, adapter: Option<&Adapter>) -> Result<MmditConfig, ModelError> {
    let mut config = config.clone();
    if let Some(classes) = adapter.and_then(Adapter::classes) {
        config.classes = classes.to_vec();
        config.check()?;
    }
    Ok(config)
}

fn info(checkpoint: &Sd3Checkpoint, config: &MmditConfig, adapter: Option<&Adapter>, factor: usize) -> ModelSummary {
    let multiple = factor.max(FACTOR) * config.patch_size;
    let parts: [Option<&Weights>; 2] = [
        Some(&checkpoint.transformer),
        checkpoint.autoencoder.as_ref().map(|a| &a.part.weights),
    ];
    let text = checkpoint
        .text
        .encoders
        .iter()
        .flatten()
        .map(|e| e.weights.parameters());
    let parameters = parts
        .into_iter()
        .flatten()
        .map(Weights::parameters)
        .chain(text)
        .chain(adapter.map(Adapter::parameters))
        .sum();
    ModelSummary {
        name: checkpoint.name.clone(),
        classes: config.classes.clone(),
        class_heads: class_heads(config.classes.len(), config.num_attention_heads)
            .into_iter()
            .map(Iterator::collect)
            .collect(),
        heads: config.num_attention_heads,
        blocks: config.num_layers,
        width: config.width(),
        parameters,
        size_multiple: multiple as u32,
        max_size: (multiple * config.pos_embed_max_size) as u32,
        notes: notes(checkpoint, config, adapter),
        ..ModelSummary::default()
    }
}

/// What a user should know about a checkpoint that works all the same.
fn notes(checkpoint: &Sd3Checkpoint, config: &MmditConfig, adapter: Option<&Adapter>) -> Vec<String> {
    let mut notes = checkpoint.found.clone();
    if !checkpoint.unknown.is_empty() {
        notes.push(format!(
            "tensors of no known part were left out: {}",
            shortened(&checkpoint.unknown)
        ));
    }
    if config.classes.is_empty() {
        notes.push(
            "no classes: a plain Stable Diffusion 3, whose mix only names the prompt; an adapter adds classes"
                .to_owned(),
        );
    }
    let present = checkpoint.text.weights().map(|weights| weights.is_some());
    if let Some(adapter) = adapter {
        notes.extend(adapter.notes(&present));
    }
    if !present[2] {
        notes.push(format!("no {}: its part of every prompt is zeros", TEXT_PARTS[2]));
    }
    notes
}
