//! This program's own model folders: `config.json` and `model.safetensors`.

pub mod report;

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use mdsd3_words::regular;
use mdsd3_words::{ModelParts, ModelSummary};

use super::context::{Context, LearnedContext};
use super::masked::MaskedTransformer;
use super::{Answer, Family, at_path};
use crate::autoencoder::MiniAutoencoder;
use crate::config::{MiniConfig, PredictionKind};
use crate::device::Place;
use crate::error::ModelError;
use crate::inspect::ModelReport;
use crate::io::checkpoint::Weights;
use crate::mmdit::{Mmdit, class_heads};
use crate::pipeline::{Codec, Parts, Pipeline};
use crate::sampler::prediction::{ClassPriors, Prediction};

/// The `config.json` of this program's own in a model folder, or beside a weights file, and its text.
fn find_config(path: &Path) -> Option<(PathBuf, String)> {
    let folder = if path.is_dir() {
        path
    } else {
        path.parent().unwrap_or(Path::new("."))
    };
    let config = folder.join("config.json");
    let json = regular::read_text(&config).ok()?;
    // Diffusers' config.json has none of these; a damaged one of ours should be named as ours.
    let own = json.contains("\"prediction\"") || json.contains("\"context_tokens\"");
    own.then_some((config, json))
}

/// The config and weights of a model folder of this program, or of its weights file; `None` when `path` is something else.
pub fn find(path: &Path) -> Result<Option<(String, Weights)>, ModelError> {
    let Some((_, json)) = find_config(path) else {
        return Ok(None);
    };
    Ok(Some((json, Weights::open(&weights_path(path))?)))
}

fn weights_path(path: &Path) -> PathBuf {
    if path.is_dir() {
        path.join("model.safetensors")
    } else {
        path.to_owned()
    }
}

/// The files of a model of this program: weights, and the config that says how they are sampled; `None` for others.
pub fn files(path: &Path) -> Option<[PathBuf; 2]> {
    find_config(path).map(|(config, _)| [weights_path(path), config])
}

/// The prior of each class that a scene-residual model stores.
pub fn priors(config: &MiniConfig, weights: &Weights) -> Result<ClassPriors, ModelError> {
    let shape = (config.transformer.classes.len(), config.transformer.out_channels);
    let vb = weights.builder(DType::F32, &Device::Cpu).pp("prediction");
    let read = |name: &str| {
        vb.get(shape, name)
            .map_err(|e: candle_core::Error| ModelError::BadInput(e.to_string()))
    };
    Ok(ClassPriors::from_tensors(
        &read("gain")?,
        &read("offset")?,
        &read("variance")?,
    )?)
}

pub fn build(config_json: &str, weights: &Weights, place: &Place) -> Result<Pipeline, ModelError> {
    let config = MiniConfig::parse(config_json)?;
    let vb = weights.builder(place.dtype, &place.device);
    // What the builder reports is about the file's tensors, so it is the input that is at fault.
    let bad = |e: candle_core::Error| ModelError::BadInput(e.to_string());
    let autoencoder = MiniAutoencoder::new(&config.autoencoder, vb.pp("autoencoder")).map_err(bad)?;
    let transformer = Mmdit::new(&config.transformer, vb.pp("transformer")).map_err(bad)?;
    if config.alternating_grid && !transformer.has_clean_path() {
        return Err(ModelError::BadInput(
            "config.json has alternating_grid, which needs a model with a clean path; leave it out".into(),
        ));
    }
    let context = LearnedContext::new(&config, vb.pp("context")).map_err(bad)?;
    let prediction = match config.prediction {
        PredictionKind::Velocity => Prediction::Velocity,
        PredictionKind::SceneResidual => Prediction::SceneResidual {
            priors: priors(&config, weights)?,
            guidance: config.guidance_of_channels(),
        },
    };
    weights.check_all_used()?;
    Ok(Pipeline::new(Parts {
        info: info(&config, weights.parameters()),
        shift: config.shift,
        autoencoder: Codec::Mini(autoencoder),
        preview: None,
        denoiser: Box::new(MaskedTransformer {
            transformer,
            context: Context::Learned(context),
            prediction,
            alternating_grid: config.alternating_grid,
            strength: None,
            place: place.clone(),
        }),
        place: place.clone(),
    }))
}

/// This program's own models.
pub struct Mini;

impl Family for Mini {
    fn open(&self, path: &Path, parts: &ModelParts, place: &Place) -> Answer<Pipeline> {
        let Some((json, weights)) = find(path)? else {
            return Ok(None);
        };
        let model = build(&json, &weights, place).map_err(|e| at_path(path, e))?;
        if *parts != ModelParts::default() {
            return Err(ModelError::BadInput(format!(
                "{}: this model is complete in itself; parts and adapters (--vae, --text-encoder, --tokenizer, --adapter, --heads) are for Stable Diffusion 3 checkpoints",
                path.display()
            )));
        }
        Ok(Some(model))
    }

    fn inspect(&self, path: &Path, _parts: &ModelParts) -> Answer<ModelReport> {
        let found = find(path)?;
        found.map(|(json, weights)| report::report(&json, &weights)).transpose()
    }

    fn identity_files(&self, path: &Path) -> Answer<Vec<PathBuf>> {
        Ok(files(path).map(Vec::from))
    }
}

fn info(config: &MiniConfig, parameters: u64) -> ModelSummary {
    let t = &config.transformer;
    let multiple = config.autoencoder.factor * t.patch_size;
    ModelSummary {
        name: config.name.clone(),
        classes: t.classes.clone(),
        class_heads: class_heads(t.classes.len(), t.num_attention_heads)
            .into_iter()
            .map(Iterator::collect)
            .collect(),
        heads: t.num_attention_heads,
        blocks: t.num_layers,
        width: t.width(),
        parameters,
        size_multiple: multiple as u32,
        max_size: (multiple * t.pos_embed_max_size) as u32,
        notes: Vec::new(),
        ..ModelSummary::default()
    }
}
