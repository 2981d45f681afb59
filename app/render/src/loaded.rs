//! A loaded model: the pipeline, its facts in plain data, and the last scene it encoded.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use image::Rgb32FImage;
use mdsd3_model::adapter::files as adapter_files;
use mdsd3_model::device::Place;
use mdsd3_model::family::{identity_files, own_files};
use mdsd3_model::pipeline::{Latents, Pipeline, Scene};
use mdsd3_words::calibration::{self, Calibration};
use mdsd3_words::device::{ComputeDevice, ComputeDtype};
use mdsd3_words::hash::{sha256_of_file, sha256_of_parts};
use mdsd3_words::{Mix, ModelIdentity, ModelParts, ModelSettings, ModelSummary};

use crate::bundled;
use crate::error::RenderError;
use crate::scene::{FittedScene, SceneKey};

/// Decodes latents on any thread while the model it comes from is sampling on another.
#[derive(Clone)]
pub struct Decoder(Arc<Pipeline>);

impl Decoder {
    /// The image of some latents, sRGB in `0..=1` but for overshoot.
    pub fn rgb_from_latents(&self, latents: &Latents) -> Result<Rgb32FImage, RenderError> {
        let mut images = self.0.rgb_from_latents([latents])?;
        Ok(images.swap_remove(0))
    }

    /// A quick look at some latents: coarser where the model decodes slowly.
    pub fn preview_from_latents(&self, latents: &Latents) -> Result<Rgb32FImage, RenderError> {
        Ok(self.0.preview_from_latents(latents)?)
    }
}

/// A model in memory.
pub struct LoadedModel {
    key: ModelSettings,
    pipeline: Arc<Pipeline>,
    summary: ModelSummary,
    identity: Arc<LazyIdentity>,
    /// The clean path of the last scene: constant for a scene, so later runs on it skip the encoding (one entry, because
    /// for SD3-medium at 1024 px it takes gigabytes).
    encoded: Option<(SceneKey, Arc<Scene>)>,
    /// Factor on the adapter's low-rank updates that is set now.
    adapter_strength: f32,
}

impl LoadedModel {
    /// Loads the model a key names.
    ///
    /// # Errors
    /// [`RenderError::BadInput`] for unknown devices and dtypes and for a build without the bundled model;
    /// [`RenderError::Model`] for checkpoints that can't be used.
    pub fn load(key: ModelSettings) -> Result<Self, RenderError> {
        let compute: ComputeDevice = key.device.parse()?;
        let dtype: ComputeDtype = key.dtype.parse()?;
        let place = Place::open(compute, dtype)?;
        let pipeline = match &key.path {
            Some(path) => Pipeline::open_with(path, &key.parts, &place)?,
            None if key.parts != ModelParts::default() => {
                return Err(RenderError::BadInput(
                    "parts and adapters (--vae, --text-encoder, --tokenizer, --adapter, --heads) complete a Stable Diffusion 3 checkpoint: name it with --model".to_owned(),
                ));
            }
            None => bundled::open_model(&place)?,
        };
        let summary = summarize(&pipeline, &key, compute, dtype);
        let identity = LazyIdentity {
            name: summary.name.clone(),
            path: key.path.clone(),
            adapter: key.parts.adapter.clone(),
            sha256: OnceLock::new(),
        };
        // Small, and its config is there to be edited: a later hash could be of another config than the one loaded.
        if key.path.as_deref().and_then(own_files).is_some() {
            identity.resolve()?;
        }
        Ok(Self {
            key,
            pipeline: Arc::new(pipeline),
            summary,
            identity: Arc::new(identity),
            encoded: None,
            adapter_strength: 1.0,
        })
    }

    /// A second handle on the same weights, with no scene encoded yet; `None` with an adapter, whose strength each handle
    /// would set behind the other's back.
    pub fn share(&self) -> Option<Self> {
        self.key.parts.adapter.is_none().then(|| Self {
            key: self.key.clone(),
            pipeline: Arc::clone(&self.pipeline),
            summary: self.summary.clone(),
            identity: Arc::clone(&self.identity),
            encoded: None,
            adapter_strength: self.adapter_strength,
        })
    }

    /// What was asked for when it was loaded.
    pub fn key(&self) -> &ModelSettings {
        &self.key
    }

    /// Its facts.
    pub fn summary(&self) -> &ModelSummary {
        &self.summary
    }

    /// A handle that decodes latents on any thread.
    pub fn decoder(&self) -> Decoder {
        Decoder(Arc::clone(&self.pipeline))
    }

    /// Its identity, which stays valid after another model has taken its place.
    pub fn identity(&self) -> Arc<LazyIdentity> {
        Arc::clone(&self.identity)
    }

    /// What a user should know before a run with these settings, one line each: of the checkpoint, then of the prompt.
    pub fn notes_on(&self, prompt: Option<&str>, mix: &Mix) -> Result<Vec<String>, RenderError> {
        let mut notes = self.summary.notes.clone();
        notes.extend(self.pipeline.prompt_note(prompt, mix)?);
        Ok(notes)
    }

    /// What samples; its latents are opaque above this crate.
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// Sets the factor on the adapter's low-rank updates; a scene encoded with another is forgotten.
    #[allow(clippy::float_cmp)] // a setting that people type, not a result
    pub fn set_adapter_strength(&mut self, strength: f32) -> Result<(), RenderError> {
        if strength != self.adapter_strength {
            self.pipeline.set_adapter_strength(strength)?;
            (self.adapter_strength, self.encoded) = (strength, None);
        }
        Ok(())
    }

    /// Encodes a scene, or returns the last encoding when it is the same scene; true when it was.
    pub fn encode(&mut self, scene: &FittedScene) -> Result<(Arc<Scene>, bool), RenderError> {
        if let Some((key, encoded)) = &self.encoded
            && *key == scene.key
        {
            return Ok((Arc::clone(encoded), true));
        }
        // Freed before the next is made: two clean paths at once may not fit.
        self.encoded = None;
        let encoded = Arc::new(self.pipeline.encode_scene(&scene.rgb)?);
        self.encoded = Some((scene.key, Arc::clone(&encoded)));
        Ok((encoded, false))
    }
}

/// A model's name and hash. A checkpoint's is computed when it is first asked for: hashing gigabytes takes seconds, and most
/// runs are never saved.
#[derive(Debug)]
pub struct LazyIdentity {
    name: String,
    path: Option<PathBuf>,
    adapter: Option<PathBuf>,
    sha256: OnceLock<String>,
}

impl LazyIdentity {
    /// Name and hash.
    pub fn resolve(&self) -> Result<ModelIdentity, RenderError> {
        let sha256 = match (self.sha256.get(), &self.path) {
            (Some(known), _) => known.clone(),
            (None, Some(path)) => sha256_of_model(path, self.adapter.as_deref())?,
            (None, None) => bundled::model_sha256()?,
        };
        Ok(ModelIdentity {
            name: self.name.clone(),
            sha256: self.sha256.get_or_init(|| sha256).clone(),
        })
    }
}

/// The hash of a model and its adapter: weights, and the `config.json` of this program's own models.
pub(crate) fn sha256_of_model(path: &Path, adapter: Option<&Path>) -> Result<String, RenderError> {
    let mut files = identity_files(path)?;
    if let Some(adapter) = adapter {
        files.extend(adapter_files(adapter)?);
    }
    let hashes = files.iter().map(|file| sha256_of_file(file));
    Ok(sha256_of_parts(hashes.collect::<Result<Vec<_>, _>>()?))
}

/// What was measured of the model's ratios; of an adapter's, nothing is known.
fn calibration_of(key: &ModelSettings, classes: &[String]) -> Vec<Option<Calibration>> {
    let json = match &key.path {
        None => Some(bundled::CALIBRATION.to_owned()),
        Some(path) => calibration::beside(path).filter(|_| key.parts.adapter.is_none()),
    };
    json.map(|json| calibration::of_classes(&json, classes))
        .unwrap_or_default()
}

fn summarize(pipeline: &Pipeline, key: &ModelSettings, device: ComputeDevice, dtype: ComputeDtype) -> ModelSummary {
    let info = pipeline.info();
    ModelSummary {
        path: key.path.clone(),
        dtype: dtype.to_string(),
        device: device.to_string(),
        calibration: calibration_of(key, &info.classes),
        ..info.clone()
    }
}
