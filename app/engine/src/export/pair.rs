//! One pair: from a scene and a job to images.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use image::Rgb32FImage;
use mdsd3_model::degrade::Parameters;
use mdsd3_model::io::photo::scene_key;

use super::check::bad;
use super::plan::ImageFormat;
use super::{jpeg, picture};
use crate::degrade;
use crate::error::EngineError;
use crate::loaded::{Decoder, Latents, LoadedModel};
use crate::metadata::{self, PairImage, RunSettings};
use crate::render::{self, RenderObserver, RenderStep};
use crate::request::RenderRequest;
use crate::scene::FittedScene;

/// A scene in work, with what its pairs share.
pub(super) struct SceneInWork {
    pub fitted: Arc<FittedScene>,
    /// The scene's part of the noise key.
    pub key: u64,
    /// `decode(encode(gt))`, decoded when the first pair needs it.
    autoencoded: Mutex<Option<Arc<Rgb32FImage>>>,
    /// gt files that this process knows to be there.
    pub placed: Mutex<HashSet<String>>,
}

/// What sampling or physics made of a scene.
pub(super) enum Made {
    Physical {
        image: Rgb32FImage,
        parameters: Parameters,
    },
    Sampled {
        latents: Latents,
        /// Clean-data predictions, when they are wanted.
        steps: Vec<Latents>,
        /// The encoded scene.
        scene: Latents,
    },
}

/// What makes degraded images.
pub(super) enum Maker {
    Physical,
    Model(Box<LoadedModel>),
}

impl SceneInWork {
    pub fn new(fitted: Arc<FittedScene>) -> Self {
        Self {
            key: scene_key(&fitted.rgb),
            fitted,
            autoencoded: Mutex::default(),
            placed: Mutex::default(),
        }
    }

    pub fn autoencoded(&self, decoder: &Decoder, latents: &Latents) -> Result<Arc<Rgb32FImage>, EngineError> {
        // A panic while decoding left nothing half-made behind.
        let mut slot = self.autoencoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = &*slot {
            return Ok(Arc::clone(image));
        }
        let image = Arc::new(decoder.rgb_from_latents(latents)?);
        *slot = Some(Arc::clone(&image));
        Ok(image)
    }
}

impl Maker {
    /// A handle that decodes what this maker samples.
    pub fn decoder(&self) -> Option<Decoder> {
        match self {
            Self::Physical => None,
            Self::Model(model) => Some(model.decoder()),
        }
    }

    /// Sides must be multiples of this many pixels.
    pub fn size_multiple(&self) -> u32 {
        match self {
            Self::Physical => 1,
            Self::Model(model) => model.summary().size_multiple,
        }
    }

    /// Degrades a scene as `request` says.
    pub fn make(
        &mut self,
        request: &RenderRequest,
        scene: &SceneInWork,
        keeps_steps: bool,
    ) -> Result<Made, EngineError> {
        match self {
            Self::Physical => {
                let degraded = degrade::baseline(&scene.fitted.rgb, scene.key, &request.mix, request.seed)?;
                Ok(Made::Physical {
                    image: degraded.image,
                    parameters: degraded.parameters,
                })
            }
            Self::Model(model) => {
                let (encoded, _) = model.encode(&scene.fitted)?;
                let mut watch = Steps {
                    keeps: keeps_steps,
                    kept: Vec::new(),
                };
                let (latents, _) = render::sample(request, model, &encoded, &mut watch)?.ok_or(EngineError::Stopped)?;
                Ok(Made::Sampled {
                    latents,
                    steps: watch.kept,
                    scene: Latents(encoded.latents().clone()),
                })
            }
        }
    }
}

struct Steps {
    keeps: bool,
    kept: Vec<Latents>,
}

impl RenderObserver for Steps {
    fn step_done(&mut self, step: RenderStep) -> ControlFlow<()> {
        if self.keeps {
            self.kept.push(step.x0_hat);
        }
        ControlFlow::Continue(())
    }
}

/// One image of a pair.
pub(super) fn image(
    which: PairImage,
    scene: &SceneInWork,
    made: &Made,
    decoder: Option<&Decoder>,
) -> Result<Rgb32FImage, EngineError> {
    let gt = &scene.fitted.rgb;
    if which == PairImage::Gt {
        return Ok(gt.clone());
    }
    let (latents, encoded, decoder) = match (made, decoder) {
        (Made::Physical { image, .. }, _) => return Ok(image.clone()),
        (Made::Sampled { latents, scene, .. }, Some(decoder)) => (latents, scene, decoder),
        (Made::Sampled { .. }, None) => return Err(bad("latents need a model to be decoded".to_owned())),
    };
    match which {
        PairImage::VaeGt => Ok((*scene.autoencoded(decoder, encoded)?).clone()),
        PairImage::Composited => {
            let autoencoded = scene.autoencoded(decoder, encoded)?;
            Ok(picture::composited(
                gt,
                &decoder.rgb_from_latents(latents)?,
                &autoencoded,
            ))
        }
        PairImage::Decoded | PairImage::Gt => decoder.rgb_from_latents(latents),
    }
}

/// The file of an image with its settings.
pub(super) fn encode(rgb: &Rgb32FImage, settings: &RunSettings) -> Result<Vec<u8>, EngineError> {
    let (bits, format) = settings
        .pair
        .as_ref()
        .map_or((8, ImageFormat::Png), |pair| (pair.bits, pair.format));
    let json = serde_json::to_string(settings).map_err(|error| bad(format!("settings can't be written ({error})")))?;
    let texts = [
        (metadata::PARAMETERS_KEYWORD, settings.in_words()),
        (metadata::SETTINGS_KEYWORD, json),
    ];
    match format {
        ImageFormat::Png => picture::encode(rgb, bits, &texts),
        ImageFormat::Jpeg => jpeg::encode(rgb, &texts),
    }
}
