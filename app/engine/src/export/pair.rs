//! One pair: from a scene and a job to images, and from images to files.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use image::Rgb32FImage;
use mdsd3_model::degrade::{self, Parameters};
use mdsd3_model::io::photo::scene_key;
use mdsd3_model::mix::Mix;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::check::bad;
use super::files::{FileRecord, Writer};
use super::journal::PairRecord;
use super::picture;
use super::plan::{Copies, EngineKind, Extra, LqKind};
use super::sweep::{Job, Sweep};
use crate::error::EngineError;
use crate::loaded::{Decoder, Latents, LoadedModel};
use crate::metadata::{self, ModelIdentity, PairImage, PairSettings, RunSettings};
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
    placed: Mutex<HashSet<String>>,
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

    fn autoencoded(&self, decoder: &Decoder, latents: &Latents) -> Result<Arc<Rgb32FImage>, EngineError> {
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
                let seed = physical_seed(request.seed, scene.key);
                let degraded = degrade::degrade(&scene.fitted.rgb, &request.mix, seed)?;
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

/// The seed of the formulas: keyed by scene too, or every photo of a dataset would get the same rain.
fn physical_seed(seed: u64, scene: u64) -> u64 {
    let digest = Sha256::digest(format!("mdsd3 physical v1\n{seed}\n{scene}"));
    digest[..8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
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

/// The PNG of an image with its settings.
pub(super) fn png(rgb: &Rgb32FImage, settings: &RunSettings) -> Result<Vec<u8>, EngineError> {
    let bits = settings.pair.as_ref().map_or(8, |pair| pair.bits);
    let json = serde_json::to_string(settings).map_err(|error| bad(format!("settings can't be written ({error})")))?;
    let texts = [
        (metadata::PARAMETERS_KEYWORD, settings.in_words()),
        (metadata::SETTINGS_KEYWORD, json),
    ];
    picture::encode(rgb, bits, &texts)
}

/// Turns what was made into files; shared by all encoding threads.
pub(super) struct Files<'a> {
    pub sweep: &'a Sweep,
    pub decoder: Option<Decoder>,
    pub writer: Writer,
}

/// Everything that decided a pair, for its JSON.
#[derive(Serialize)]
struct Info<'a> {
    version: u32,
    program: String,
    plan: &'a str,
    key: &'a str,
    index: usize,
    engine: EngineKind,
    gt: &'a str,
    lq: &'a str,
    lq_kind: LqKind,
    #[serde(skip_serializing_if = "str::is_empty")]
    split: &'a str,
    width: u32,
    height: u32,
    bits: u8,
    crop_px: Option<u32>,
    scene_sha256: &'a str,
    request: RenderRequest,
    model: &'a ModelIdentity,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise_key: Option<NoiseKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    autoencoder_floor_psnr_db: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    physical: Option<&'a Parameters>,
}

#[derive(Serialize)]
struct NoiseKey {
    seed: u64,
    /// Hexadecimal: JSON readers round large numbers.
    scene: String,
    lane: u32,
}

impl Files<'_> {
    /// Encodes and writes all files of a pair.
    pub fn write(&self, job: &Job, scene: &SceneInWork, made: &Made) -> Result<PairRecord, EngineError> {
        let layout = self.sweep.plan.layout.layout();
        let lq_image = match self.sweep.plan.lq {
            LqKind::Composited => PairImage::Composited,
            LqKind::Decoded => PairImage::Decoded,
        };
        let mut files = vec![self.write_gt(job, scene)?];
        files.push(self.write_image(&layout.place(self.sweep, job).lq, lq_image, job, scene, made)?);
        for extra in &self.sweep.plan.extras {
            self.write_extra(*extra, job, scene, made, &mut files)?;
        }
        files.push(self.write_info(job, scene, made)?);
        Ok(PairRecord {
            key: job.key.clone(),
            width: scene.fitted.rgb.width(),
            height: scene.fitted.rgb.height(),
            scene_sha256: scene.fitted.key.content_sha256(),
            files,
        })
    }

    /// Writes gt under this pair's name. The original of links is the scene's first name in the plan, whichever pair comes
    /// first, so that every order gives the same links.
    fn write_gt(&self, job: &Job, scene: &SceneInWork) -> Result<FileRecord, EngineError> {
        let layout = self.sweep.plan.layout.layout();
        let path = layout.place(self.sweep, job).gt;
        let content = png(&scene.fitted.rgb, &self.settings(job, scene, PairImage::Gt))?;
        let mut placed = scene.placed.lock().unwrap_or_else(PoisonError::into_inner);
        if placed.contains(&path) {
            return Ok(FileRecord::new(&path, &content));
        }
        let copies = self.sweep.plan.pairs;
        let first = self.sweep.jobs_of(job.scene).next().transpose()?;
        let original = first.map_or_else(|| path.clone(), |first| layout.place(self.sweep, &first).gt);
        if copies != Copies::Duplicate && original != path && placed.insert(original.clone()) {
            self.writer.write(&original, &content)?;
        }
        let record = if original == path {
            self.writer.write(&path, &content)?
        } else {
            self.writer.link(&original, &path, &content, copies)?
        };
        placed.insert(path);
        Ok(record)
    }

    fn write_extra(
        &self,
        extra: Extra,
        job: &Job,
        scene: &SceneInWork,
        made: &Made,
        files: &mut Vec<FileRecord>,
    ) -> Result<(), EngineError> {
        let layout = self.sweep.plan.layout.layout();
        let (what, which) = match extra {
            Extra::VaeGt => ("vae_gt", PairImage::VaeGt),
            Extra::LqDecoded => ("lq_decoded", PairImage::Decoded),
            Extra::LqComposited => ("lq_composited", PairImage::Composited),
            Extra::Steps => return self.write_steps(job, made, files),
        };
        let path = layout.extra(self.sweep, job, what);
        files.push(self.write_image(&path, which, job, scene, made)?);
        Ok(())
    }

    fn write_steps(&self, job: &Job, made: &Made, files: &mut Vec<FileRecord>) -> Result<(), EngineError> {
        let (Made::Sampled { steps, .. }, Some(decoder)) = (made, &self.decoder) else {
            return Ok(());
        };
        let digits = steps.len().to_string().len().max(2);
        for (index, latents) in steps.iter().enumerate() {
            let path = self
                .sweep
                .plan
                .layout
                .layout()
                .extra(self.sweep, job, &format!("steps/{index:0digits$}"));
            let rgb = decoder.rgb_from_latents(latents)?;
            files.push(
                self.writer
                    .write(&path, &picture::encode(&rgb, self.sweep.plan.bits, &[])?)?,
            );
        }
        Ok(())
    }

    fn write_image(
        &self,
        path: &str,
        which: PairImage,
        job: &Job,
        scene: &SceneInWork,
        made: &Made,
    ) -> Result<FileRecord, EngineError> {
        let rgb = image(which, scene, made, self.decoder.as_ref())?;
        self.writer.write(path, &png(&rgb, &self.settings(job, scene, which))?)
    }

    fn write_info(&self, job: &Job, scene: &SceneInWork, made: &Made) -> Result<FileRecord, EngineError> {
        let plan = &self.sweep.plan;
        let layout = plan.layout.layout();
        let place = layout.place(self.sweep, job);
        let (floor, physical) = match (made, &self.decoder) {
            (Made::Sampled { scene: encoded, .. }, Some(decoder)) => {
                let autoencoded = scene.autoencoded(decoder, encoded)?;
                (Some(picture::psnr_db(&scene.fitted.rgb, &autoencoded)), None)
            }
            (Made::Physical { parameters, .. }, _) => (None, Some(parameters)),
            (Made::Sampled { .. }, None) => (None, None),
        };
        let info = Info {
            version: 1,
            program: format!("mdsd3 {}", crate::VERSION),
            plan: self.sweep.hash(),
            key: &job.key,
            index: job.index,
            engine: plan.engine,
            gt: &place.gt,
            lq: &place.lq,
            lq_kind: plan.lq,
            split: self.sweep.part(job.scene),
            width: scene.fitted.rgb.width(),
            height: scene.fitted.rgb.height(),
            bits: plan.bits,
            crop_px: plan.crop,
            scene_sha256: &scene.fitted.key.content_sha256(),
            request: self.sweep.request(job),
            model: &self.sweep.model,
            noise_key: (plan.engine == EngineKind::Mdsd3).then(|| NoiseKey {
                seed: job.seed,
                scene: format!("{:016x}", scene.key),
                lane: 0,
            }),
            autoencoder_floor_psnr_db: floor,
            physical,
        };
        let json =
            serde_json::to_vec_pretty(&info).map_err(|error| bad(format!("parameters can't be written ({error})")))?;
        self.writer.write(&layout.info(self.sweep, job), &json)
    }

    /// The settings of one image. gt and its autoencoded twin are the same for every pair of a scene.
    fn settings(&self, job: &Job, scene: &SceneInWork, which: PairImage) -> RunSettings {
        let plan = &self.sweep.plan;
        let mut request = self.sweep.request(job);
        if matches!(which, PairImage::Gt | PairImage::VaeGt) {
            let defaults = RenderRequest::default();
            (request.mix, request.seed) = (Mix::new(), 0);
            (request.alpha, request.beta) = (defaults.alpha, defaults.beta);
        }
        let mut settings = RunSettings::new(request, self.sweep.model.clone(), scene.fitted.key.content_sha256());
        settings.pair = Some(PairSettings {
            engine: plan.engine,
            image: which,
            crop_px: plan.crop,
            bits: plan.bits,
        });
        settings
    }
}
