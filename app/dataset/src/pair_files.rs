//! The files of one pair.

use std::sync::PoisonError;

use image::Rgb32FImage;
use mdsd3_model::pair_layout::final_path;
use mdsd3_render::RenderError;
use mdsd3_render::loaded::Decoder;
use mdsd3_render::picture;
use mdsd3_render::weather::SceneWeather;
use mdsd3_weather::Parameters;
use mdsd3_words::made::{EngineKind, ImageFormat};
use mdsd3_words::made::{PairImage, PairSettings, RunSettings};
use mdsd3_words::weather::{WEATHER_VERSION, WeatherSettings};
use mdsd3_words::{CropAt, Mix, ModelIdentity, RenderRequest};
use serde::Serialize;

use crate::check::bad;
use crate::files::{FileRecord, Writer};
use crate::journal::PairRecord;
use crate::layers;
use crate::pair::{Made, SceneInWork, encode, image};
use crate::plan::{Copies, Extra, LqKind};
use crate::sweep::{Job, Sweep};

/// Turns what was made into files; shared by all encoding threads.
pub(super) struct Files<'a> {
    pub sweep: &'a Sweep,
    pub decoder: Option<Decoder>,
    /// Pairs of a batch.
    pub batch: usize,
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
    crop: Option<CropAt>,
    scene_sha256: &'a str,
    /// What had to be converted or guessed when the photo was read.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    photo_notes: &'a [String],
    /// Where the scene's depth is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<serde_json::Value>,
    /// What a user should know of depth and masks.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    weather_notes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    weather_version: Option<u32>,
    request: RenderRequest,
    model: &'a ModelIdentity,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise_key: Option<NoiseKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    autoencoder_floor_psnr_db: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    physical: Option<serde_json::Value>,
}

#[derive(Serialize)]
struct NoiseKey {
    seed: u64,
    /// Hexadecimal: JSON readers round large numbers.
    scene: String,
    lane: u32,
}

/// What the physical engine drew. Its seed is in hexadecimal digits: it takes all 64 bits, which readers of JSON round or refuse.
fn drawn(parameters: &Parameters) -> Result<serde_json::Value, RenderError> {
    let mut drawn = serde_json::to_value(parameters).map_err(not_json)?;
    drawn["seed"] = format!("{:016x}", parameters.seed).into();
    Ok(drawn)
}

fn not_json(error: serde_json::Error) -> RenderError {
    bad(format!("parameters can't be written ({error})"))
}

impl Files<'_> {
    /// Encodes and writes all files of a pair; its record and its degraded image.
    pub fn write(&self, job: &Job, scene: &SceneInWork, made: &Made) -> Result<(PairRecord, Rgb32FImage), RenderError> {
        let layout = self.sweep.layout();
        let lq_image = match self.sweep.plan.lq {
            LqKind::Composited => PairImage::Composited,
            LqKind::Decoded => PairImage::Decoded,
        };
        let mut files = vec![self.write_gt(job, scene)?];
        let format = self.sweep.plan.lq_format;
        let lq = image(lq_image, (scene, &job.mix), made, self.decoder.as_ref())?;
        let settings = self.settings(job, scene, (lq_image, format));
        files.push(
            self.writer
                .write(&layout.place(self.sweep.dataset(), job).lq, &encode(&lq, &settings)?)?,
        );
        for extra in &self.sweep.plan.extras {
            self.write_extra(*extra, job, scene, made, &mut files)?;
        }
        files.push(self.write_info(job, scene, made)?);
        let record = PairRecord {
            key: job.key.clone(),
            width: scene.fitted.rgb.width(),
            height: scene.fitted.rgb.height(),
            scene_sha256: scene.fitted.key.content_sha256(),
            weather_sha256: scene.weather_sha256(),
            files,
        };
        Ok((record, lq))
    }

    /// Writes gt under this pair's name. The original of links is the scene's first name in the plan, whichever pair comes
    /// first, so that every order gives the same links.
    fn write_gt(&self, job: &Job, scene: &SceneInWork) -> Result<FileRecord, RenderError> {
        let layout = self.sweep.layout();
        let path = layout.place(self.sweep.dataset(), job).gt;
        let content = encode(
            &scene.fitted.rgb,
            &self.settings(job, scene, (PairImage::Gt, ImageFormat::Png)),
        )?;
        let mut placed = scene.placed.lock().unwrap_or_else(PoisonError::into_inner);
        if placed.contains(&path) {
            return Ok(FileRecord::new(&path, &content));
        }
        let copies = self.sweep.plan.pairs;
        let first = self.sweep.jobs_of(job.scene).next().transpose()?;
        let original = first.map_or_else(|| path.clone(), |first| layout.place(self.sweep.dataset(), &first).gt);
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
    ) -> Result<(), RenderError> {
        let layout = self.sweep.layout();
        let (what, which) = match extra {
            Extra::VaeGt => ("vae_gt", PairImage::VaeGt),
            Extra::LqDecoded => ("lq_decoded", PairImage::Decoded),
            Extra::LqComposited => ("lq_composited", PairImage::Composited),
            Extra::Steps => return self.write_steps(job, made, files),
            Extra::Layers => return self.write_layers(job, scene, made, files),
        };
        let path = layout.extra(self.sweep.dataset(), job, what);
        let rgb = image(which, (scene, &job.mix), made, self.decoder.as_ref())?;
        let settings = self.settings(job, scene, (which, ImageFormat::Png));
        files.push(self.writer.write(&path, &encode(&rgb, &settings)?)?);
        Ok(())
    }

    fn write_steps(&self, job: &Job, made: &Made, files: &mut Vec<FileRecord>) -> Result<(), RenderError> {
        let (Made::Sampled { steps, .. }, Some(decoder)) = (made, &self.decoder) else {
            return Ok(());
        };
        let digits = steps.len().to_string().len().max(2);
        for (index, latents) in steps.iter().enumerate() {
            let name = format!("steps/{index:0digits$}");
            let path = self.sweep.layout().extra(self.sweep.dataset(), job, &name);
            let rgb = decoder.rgb_from_latents(latents)?;
            files.push(
                self.writer
                    .write(&path, &picture::encode(&rgb, self.sweep.plan.bits, &[])?)?,
            );
        }
        Ok(())
    }

    fn write_layers(
        &self,
        job: &Job,
        scene: &SceneInWork,
        made: &Made,
        files: &mut Vec<FileRecord>,
    ) -> Result<(), RenderError> {
        for (name, bytes) in layers::files(scene, (&job.mix, made), self.decoder.as_ref())? {
            let path = self.sweep.layout().layer(self.sweep.dataset(), job, &name);
            files.push(self.writer.write(&path, &bytes)?);
        }
        Ok(())
    }

    fn write_info(&self, job: &Job, scene: &SceneInWork, made: &Made) -> Result<FileRecord, RenderError> {
        let plan = &self.sweep.plan;
        let layout = self.sweep.layout();
        let place = layout.place(self.sweep.dataset(), job);
        let (floor, physical) = match (made, &self.decoder) {
            (Made::Sampled { scene: encoded, .. }, Some(decoder)) => {
                let autoencoded = scene.autoencoded(decoder, encoded)?;
                (Some(picture::psnr_db(&scene.fitted.rgb, &autoencoded)), None)
            }
            (Made::Physical(degraded), _) => (None, Some(drawn(&degraded.parameters)?)),
            (Made::Sampled { .. }, None) => (None, None),
        };
        let info = Info {
            version: 1,
            program: format!("mdsd3 {}", mdsd3_words::VERSION),
            plan: self.sweep.hash(),
            key: &job.key,
            index: job.index,
            engine: plan.engine,
            gt: final_path(&place.gt),
            lq: final_path(&place.lq),
            lq_kind: plan.lq,
            split: self.sweep.dataset().part(job.scene),
            width: scene.fitted.rgb.width(),
            height: scene.fitted.rgb.height(),
            bits: plan.bits,
            crop: plan.crop_of(job.scene),
            scene_sha256: &scene.fitted.key.content_sha256(),
            photo_notes: &scene.fitted.notes,
            depth: scene.weather.as_ref().map(SceneWeather::depth_as_json),
            weather_notes: scene.weather.as_ref().map_or(&[], |weather| &weather.notes),
            weather_version: (plan.engine == EngineKind::Physical).then_some(WEATHER_VERSION),
            request: self.request(job, scene),
            model: &self.sweep.model,
            noise_key: (plan.engine == EngineKind::Mdsd3).then(|| NoiseKey {
                seed: job.seed,
                scene: format!("{:016x}", scene.key),
                lane: 0,
            }),
            autoencoder_floor_psnr_db: floor,
            physical,
        };
        let json = serde_json::to_vec_pretty(&info).map_err(not_json)?;
        self.writer.write(&layout.info(self.sweep.dataset(), job), &json)
    }

    /// The job as a run, with the files of its own photo's weather.
    fn request(&self, job: &Job, scene: &SceneInWork) -> RenderRequest {
        let weather = scene.weather.as_ref().map(|weather| weather.settings.clone());
        RenderRequest {
            weather: weather.unwrap_or_default(),
            ..self.sweep.request(job)
        }
    }

    /// The settings of one image. gt and its autoencoded twin are the same for every pair of a scene.
    fn settings(&self, job: &Job, scene: &SceneInWork, (which, format): (PairImage, ImageFormat)) -> RunSettings {
        let plan = &self.sweep.plan;
        let mut request = self.request(job, scene);
        let is_clean = matches!(which, PairImage::Gt | PairImage::VaeGt);
        if is_clean {
            request.weather = WeatherSettings::default();
            let defaults = RenderRequest::default();
            (request.sampling.mix, request.sampling.seed) = (Mix::new(), 0);
            (request.sampling.alpha, request.sampling.beta) = (defaults.sampling.alpha, defaults.sampling.beta);
        }
        let mut settings = RunSettings::new(request, self.sweep.model.clone(), scene.fitted.key.content_sha256());
        settings.weather_sha256 = scene.weather_sha256().filter(|_| !is_clean);
        settings.pair = Some(PairSettings {
            engine: plan.engine,
            image: which,
            crop: plan.crop_of(job.scene),
            bits: plan.bits,
            format,
            batch: (self.batch > 1).then_some(self.batch),
            weather_version: (plan.engine == EngineKind::Physical && !is_clean).then_some(WEATHER_VERSION),
        });
        settings
    }
}
