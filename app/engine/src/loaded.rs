//! A loaded model: the pipeline, its facts in plain data, and the last scene it encoded.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use candle_core::Tensor;
use image::Rgb32FImage;
use mdsd3_model::pipeline::{Pipeline, Scene};

use crate::bundled;
use crate::device::{ComputeDevice, ComputeDtype};
use crate::error::EngineError;
use crate::metadata::{self, ModelIdentity};
use crate::protocol::ModelSummary;
use crate::scene::{FittedScene, SceneKey};

/// Latents of one image; opaque outside this crate, [`Decoder`] makes pixels of them.
#[derive(Clone)]
pub struct Latents(pub(crate) Tensor);

/// Decodes latents on any thread while the model it comes from is sampling on another.
#[derive(Clone)]
pub struct Decoder(Arc<Pipeline>);

impl Decoder {
    /// The image of some latents, sRGB in `0..=1` but for overshoot.
    pub(crate) fn rgb_from_latents(&self, latents: &Latents) -> Result<Rgb32FImage, EngineError> {
        let mut images = self.0.rgb_from_latents(&latents.0)?;
        Ok(images.swap_remove(0))
    }
}

/// Which model, where it runs and in which precision: two requests that agree on it share one loaded model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelKey {
    /// Folder or safetensors file; the bundled model when `None`.
    pub path: Option<PathBuf>,
    /// Device in words.
    pub device: String,
    /// Dtype in words.
    pub dtype: String,
}

impl ModelKey {
    /// Refuses devices and dtypes that no model could be loaded with.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        self.device.parse::<ComputeDevice>()?.check_built_in()?;
        self.dtype.parse::<ComputeDtype>()?;
        Ok(())
    }
}

/// A model in memory.
pub struct LoadedModel {
    key: ModelKey,
    pipeline: Arc<Pipeline>,
    summary: ModelSummary,
    identity: Arc<LazyIdentity>,
    /// The clean path of the last scene: constant for a scene, so later runs on it skip the encoding (one entry, because
    /// for SD3-medium at 1024 px it takes gigabytes).
    encoded: Option<(SceneKey, Arc<Scene>)>,
}

impl LoadedModel {
    /// Loads the model a key names.
    ///
    /// # Errors
    /// [`EngineError::BadInput`] for unknown devices and dtypes and for a build without the bundled model;
    /// [`EngineError::Model`] for checkpoints that can't be used.
    pub fn load(key: ModelKey) -> Result<Self, EngineError> {
        let device: ComputeDevice = key.device.parse()?;
        let dtype: ComputeDtype = key.dtype.parse()?;
        let opened = device.open()?;
        let pipeline = match &key.path {
            Some(path) => Pipeline::open(path, &opened, dtype.to_candle())?,
            None => bundled::open_model(&opened, dtype.to_candle())?,
        };
        let summary = summarize(&pipeline, &key, device, dtype);
        let identity = LazyIdentity {
            name: summary.name.clone(),
            path: key.path.clone(),
            sha256: OnceLock::new(),
        };
        Ok(Self {
            key,
            pipeline: Arc::new(pipeline),
            summary,
            identity: Arc::new(identity),
            encoded: None,
        })
    }

    /// What was asked for when it was loaded.
    pub fn key(&self) -> &ModelKey {
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

    pub(crate) fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// Encodes a scene, or returns the last encoding when it is the same scene; true when it was.
    pub(crate) fn encode(&mut self, scene: &FittedScene) -> Result<(Arc<Scene>, bool), EngineError> {
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

/// A model's name and the hash of its weights, which is computed when it is first asked for: hashing gigabytes takes
/// seconds, and most runs are never saved.
#[derive(Debug)]
pub struct LazyIdentity {
    name: String,
    path: Option<PathBuf>,
    sha256: OnceLock<String>,
}

impl LazyIdentity {
    /// Name and hash.
    pub fn resolve(&self) -> Result<ModelIdentity, EngineError> {
        let sha256 = match (self.sha256.get(), &self.path) {
            (Some(known), _) => known.clone(),
            (None, Some(path)) => metadata::sha256_of_file(&weights_file(path))?,
            (None, None) => bundled::model_sha256()?,
        };
        Ok(ModelIdentity {
            name: self.name.clone(),
            sha256: self.sha256.get_or_init(|| sha256).clone(),
        })
    }
}

/// The file with the weights: a folder's `model.safetensors`, or the file itself.
fn weights_file(path: &Path) -> PathBuf {
    if path.is_dir() {
        path.join("model.safetensors")
    } else {
        path.to_owned()
    }
}

fn summarize(pipeline: &Pipeline, key: &ModelKey, device: ComputeDevice, dtype: ComputeDtype) -> ModelSummary {
    let info = pipeline.info();
    ModelSummary {
        name: info.name.clone(),
        path: key.path.clone(),
        classes: info.classes.clone(),
        class_heads: info.class_heads.clone(),
        heads: info.heads,
        blocks: info.blocks,
        width: info.width,
        parameters: info.parameters,
        size_multiple: info.size_multiple,
        max_size: info.max_size,
        dtype: dtype.to_string(),
        device: device.to_string(),
    }
}
