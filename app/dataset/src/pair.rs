//! One pair: from a scene and a job to images.

use std::collections::HashSet;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use image::Rgb32FImage;
use mdsd3_model::io::photo::scene_key;
use mdsd3_model::pipeline::{Batch, Latents, Scene};
use mdsd3_render::RenderError;
use mdsd3_render::degrade;
use mdsd3_render::loaded::{Decoder, LoadedModel};
use mdsd3_render::metadata;
use mdsd3_render::regions::{self, Parts};
use mdsd3_render::run::{RenderStep, lane_of};
use mdsd3_render::scene::FittedScene;
use mdsd3_render::weather::SceneWeather;
use mdsd3_render::{jpeg, picture};
use mdsd3_weather::{Degraded, Region};
use mdsd3_words::made::ImageFormat;
use mdsd3_words::made::{PairImage, RunSettings};
use mdsd3_words::{Mix, RenderRequest, WordsError};

use crate::check::bad;
use crate::plan::Plan;

/// Tokens of a batch on a GPU.
const GPU_TOKENS: usize = 16_384;
/// The most pairs of a batch.
const MAX_BATCH: usize = 64;

/// A scene in work, with what its pairs share.
pub(super) struct SceneInWork {
    pub fitted: Arc<FittedScene>,
    /// Its depth and masks.
    pub weather: Option<SceneWeather>,
    /// Whether what each class did is saved with its pairs.
    pub wants_layers: bool,
    /// The scene's part of the noise key.
    pub key: u64,
    /// `decode(encode(gt))`, decoded when the first pair needs it.
    autoencoded: Mutex<Option<Arc<Rgb32FImage>>>,
    /// gt files that this process knows to be there.
    pub placed: Mutex<HashSet<String>>,
}

/// What sampling or physics made of a scene.
pub(super) enum Made {
    Physical(Degraded),
    Sampled {
        latents: Latents,
        /// Latents of its other mixes: those that a pair with regions is put together from, then, for layers, the mix without each
        /// class.
        others: Vec<(Mix, Latents)>,
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
    /// `wants_layers`: whether what each class did is saved with its pairs.
    pub fn new(fitted: Arc<FittedScene>, weather: Option<SceneWeather>, wants_layers: bool) -> Self {
        Self {
            wants_layers,
            key: scene_key(&fitted.rgb),
            weather,
            fitted,
            autoencoded: Mutex::default(),
            placed: Mutex::default(),
        }
    }

    /// Where classes act.
    fn regions(&self) -> &[Region] {
        self.weather.as_ref().map_or(&[], |weather| &weather.regions)
    }

    /// SHA-256 over its depth map and masks; `None` without any.
    pub fn weather_sha256(&self) -> Option<String> {
        self.weather.as_ref().and_then(|weather| weather.sha256.clone())
    }

    pub fn autoencoded(&self, decoder: &Decoder, latents: &Latents) -> Result<Arc<Rgb32FImage>, RenderError> {
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

    /// Pairs to sample in one batch, and what every batch is filled to: since a batch's size decides the last bits, all have
    /// one size, whichever pairs are still to do. Without the plan's word it follows from model and size, never from the
    /// machine: one on a processor, which a single pair keeps busy, and on a GPU as many tokens as do that.
    pub fn batch_size(&self, plan: &Plan) -> usize {
        let Self::Model(model) = self else { return 1 };
        let side = (plan.run.scene.size / model.summary().size_multiple.max(1)).max(1) as usize;
        let default = match plan.run.model.device.as_str() {
            "cpu" => 1,
            _ => (GPU_TOKENS / (side * side)).clamp(1, MAX_BATCH),
        };
        plan.batch.unwrap_or(default)
    }

    /// Degrades a scene as `request` says, in a batch of `fill_to`.
    pub fn make(&mut self, request: &RenderRequest, scene: &SceneInWork, fill_to: usize) -> Result<Made, RenderError> {
        let made = self.make_batch(std::slice::from_ref(request), scene, false, fill_to)?;
        made.into_iter().next().ok_or_else(|| RenderError::Panicked {
            message: "a batch of one made nothing".to_owned(),
        })
    }

    /// Degrades a scene as each of `requests` says, which differ in mix, alpha, beta and seed only, and begin at the same
    /// noise level.
    ///
    /// # Arguments
    /// - `fill_to`: the batch is filled up to so many by repeating its last request
    pub fn make_batch(
        &mut self,
        requests: &[RenderRequest],
        scene: &SceneInWork,
        keeps_steps: bool,
        fill_to: usize,
    ) -> Result<Vec<Made>, RenderError> {
        match self {
            Self::Physical => requests.iter().map(|request| physical(request, scene)).collect(),
            Self::Model(model) => sampled(model, requests, scene, keeps_steps, fill_to),
        }
    }
}

fn physical(request: &RenderRequest, scene: &SceneInWork) -> Result<Made, RenderError> {
    let drawn = (&request.sampling.mix, request.sampling.seed);
    let weather = scene.weather.as_ref().ok_or_else(|| RenderError::Panicked {
        message: "a scene without weather was to be degraded".to_owned(),
    })?;
    let degraded = degrade::baseline(&scene.fitted.rgb, scene.key, drawn, weather, scene.wants_layers)?;
    Ok(Made::Physical(degraded))
}

fn sampled(
    model: &mut LoadedModel,
    requests: &[RenderRequest],
    scene: &SceneInWork,
    keeps_steps: bool,
    fill_to: usize,
) -> Result<Vec<Made>, RenderError> {
    let Some(last) = requests.last() else {
        return Ok(Vec::new());
    };
    model.set_adapter_strength(last.sampling.adapter_strength)?;
    let (encoded, _) = model.encode(&scene.fitted)?;
    let batch = Batch {
        fill_to,
        ..Batch::of(requests.iter().map(lane_of).collect())
    };
    let mut kept = vec![Vec::new(); requests.len()];
    let on_step = |steps: Vec<RenderStep>| {
        for step in steps.into_iter().filter(|_| keeps_steps) {
            kept[step.lane].push(step.x0_hat);
        }
        ControlFlow::<Infallible>::Continue(())
    };
    let ControlFlow::Continue(latents) = model.pipeline().sample(&encoded, &batch, on_step)?;
    let mut others = sampled_others(model, requests, scene, fill_to, &encoded)?;
    let made = latents.into_iter().zip(kept);
    Ok(made
        .map(|(latents, steps)| Made::Sampled {
            latents,
            others: if others.is_empty() {
                Vec::new()
            } else {
                others.remove(0)
            },
            steps,
            scene: encoded.latents(),
        })
        .collect())
}

/// The other mixes of each request, on its noise, in batches of `fill_to` like the pairs themselves.
fn sampled_others(
    model: &LoadedModel,
    requests: &[RenderRequest],
    scene: &SceneInWork,
    fill_to: usize,
    encoded: &Scene,
) -> Result<Vec<Vec<(Mix, Latents)>>, RenderError> {
    let mut others = Vec::with_capacity(requests.len());
    for request in requests {
        let mixes = other_mixes(&request.sampling.mix, scene)?;
        let runs: Vec<RenderRequest> = mixes.iter().map(|mix| regions::run_of(request, mix)).collect();
        let mut latents = Vec::with_capacity(runs.len());
        for runs in runs.chunks(fill_to.max(1)) {
            let batch = Batch {
                fill_to,
                ..Batch::of(runs.iter().map(lane_of).collect())
            };
            let ControlFlow::Continue(ended) = model
                .pipeline()
                .sample(encoded, &batch, |_| ControlFlow::<Infallible>::Continue(()))?;
            latents.extend(ended);
        }
        others.push(mixes.into_iter().zip(latents).collect());
    }
    Ok(others)
}

/// The mixes that a pair needs beside its own, each once.
fn other_mixes(mix: &Mix, scene: &SceneInWork) -> Result<Vec<Mix>, RenderError> {
    let mut mixes: Vec<Mix> = match Parts::of(mix, scene.regions())? {
        Some(parts) => parts.others().cloned().collect(),
        None => Vec::new(),
    };
    if scene.wants_layers {
        for (class, _) in mix.active() {
            let rest = without(mix, class)?;
            if !rest.is_clean() && !mixes.contains(&rest) {
                mixes.push(rest);
            }
        }
    }
    Ok(mixes)
}

/// A mix without one of its classes.
pub(super) fn without(mix: &Mix, class: &str) -> Result<Mix, RenderError> {
    let mut rest = Mix::new();
    for (name, ratio) in mix.active().filter(|(name, _)| *name != class) {
        rest.set(name, ratio).map_err(WordsError::from)?;
    }
    Ok(rest)
}

/// `decode(z)` of a pair, put together from its parts where it has regions.
fn decoded(
    scene: &SceneInWork,
    (mix, latents, others): (&Mix, &Latents, &[(Mix, Latents)]),
    encoded: &Latents,
    decoder: &Decoder,
) -> Result<Rgb32FImage, RenderError> {
    let whole = decoder.rgb_from_latents(latents)?;
    let Some(parts) = Parts::of(mix, scene.regions())? else {
        return Ok(whole);
    };
    let others = parts.others().map(|mix| {
        let other = others.iter().find(|(other, _)| other == mix);
        let (_, latents) = other.ok_or_else(|| RenderError::Panicked {
            message: format!("the part {mix} of a pair was not made"),
        })?;
        decoder.rgb_from_latents(latents)
    });
    let others: Vec<Rgb32FImage> = others.collect::<Result<_, _>>()?;
    let clean = scene.autoencoded(decoder, encoded)?;
    Ok(parts.blend(Some(&clean), &others, &whole))
}

/// One image of a pair of `mix`.
pub(super) fn image(
    which: PairImage,
    (scene, mix): (&SceneInWork, &Mix),
    made: &Made,
    decoder: Option<&Decoder>,
) -> Result<Rgb32FImage, RenderError> {
    let gt = &scene.fitted.rgb;
    if which == PairImage::Gt {
        return Ok(gt.clone());
    }
    let (latents, others, encoded, decoder) = match (made, decoder) {
        (Made::Physical(degraded), _) => return Ok(degraded.image.clone()),
        (
            Made::Sampled {
                latents, others, scene, ..
            },
            Some(decoder),
        ) => (latents, others.as_slice(), scene, decoder),
        (Made::Sampled { .. }, None) => return Err(bad("latents need a model to be decoded".to_owned())),
    };
    match which {
        PairImage::VaeGt => Ok((*scene.autoencoded(decoder, encoded)?).clone()),
        PairImage::Composited => {
            let autoencoded = scene.autoencoded(decoder, encoded)?;
            let decoded = decoded(scene, (mix, latents, others), encoded, decoder)?;
            Ok(picture::composited(gt, &decoded, &autoencoded))
        }
        PairImage::Decoded | PairImage::Gt => decoded(scene, (mix, latents, others), encoded, decoder),
    }
}

/// The file of an image with its settings.
pub(super) fn encode(rgb: &Rgb32FImage, settings: &RunSettings) -> Result<Vec<u8>, RenderError> {
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
