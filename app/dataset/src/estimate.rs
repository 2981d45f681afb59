//! What a sweep will take: measured on its first usable photo.

use std::time::Instant;

use mdsd3_render::RenderError;
use mdsd3_render::loaded::{Decoder, LoadedModel};
use mdsd3_render::scene::SceneLoader;
use mdsd3_render::weather::WeatherLoader;
use mdsd3_words::RenderRequest;
use mdsd3_words::made::{PairImage, PairSettings, RunSettings};

use crate::layers;
use crate::pair::{self, Made, Maker, SceneInWork};
use crate::plan::{Extra, LqKind};
use crate::sweep::{Job, Sweep};
use crate::{weather, work};

/// Steps that are measured when a run has more; an evaluation costs the same whichever step it is of.
const MEASURED_STEPS: usize = 2;
/// The most photos that are tried.
const MAX_TRIES: usize = 10;

/// Disk and time of a sweep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Seconds between one pair and the next: of sampling or of encoding, whichever is slower. Flushing files to disk, which no
    /// dry run can measure, comes on top when it is slower still.
    pub secs_per_pair: f64,
    /// Bytes of one pair's files.
    pub bytes_per_pair: f64,
}

/// Makes one pair in memory; `None` when none of the first photos can be used.
pub fn measure(sweep: &Sweep, model: Option<LoadedModel>) -> Result<Option<Estimate>, RenderError> {
    let mut maker = model.map_or(Maker::Physical, |model| Maker::Model(Box::new(model)));
    let plan = &sweep.plan;
    for scene in 0..plan.scenes.len().min(MAX_TRIES) {
        let path = plan.scene_path(scene);
        let loaded = SceneLoader::default().load_cropped(
            Some(&path),
            plan.crop_of(scene),
            plan.run.scene.size,
            plan.run.scene.fit,
            maker.size_multiple(),
        );
        let Ok(fitted) = loaded else { continue };
        let Ok(weather) = weather::of_scene(plan, scene, &fitted, &mut WeatherLoader::default()) else {
            continue;
        };
        let jobs = first_batch(sweep, scene, maker.batch_size(plan))?;
        return measure_pair(
            sweep,
            &mut maker,
            &SceneInWork::new(fitted, weather, plan.wants_layers()),
            &jobs,
        );
    }
    Ok(None)
}

/// The first jobs that a batch takes; a scene may have millions, which are not made for it.
fn first_batch(sweep: &Sweep, scene: usize, size: usize) -> Result<Vec<Job>, RenderError> {
    let mut start = None;
    let is_alike = |job: &Result<Job, RenderError>| match job {
        Ok(job) => {
            let own = work::start_of(sweep, job);
            *start.get_or_insert(own) == own
        }
        Err(_) => true,
    };
    sweep.jobs_of(scene).filter(is_alike).take(size).collect()
}

fn measure_pair(
    sweep: &Sweep,
    maker: &mut Maker,
    scene: &SceneInWork,
    jobs: &[Job],
) -> Result<Option<Estimate>, RenderError> {
    let plan = &sweep.plan;
    let fill_to = maker.batch_size(plan);
    let measured_steps = plan.run.sampling.steps.min(MEASURED_STEPS);
    let requests: Vec<RenderRequest> = jobs
        .iter()
        .map(|job| {
            let mut request = sweep.request(job);
            request.sampling.steps = measured_steps;
            request
        })
        .collect();
    let (Some(job), Some(request)) = (jobs.first(), requests.first().cloned()) else {
        return Ok(None);
    };
    if maker.decoder().is_some() {
        // The scene is encoded once for all of its pairs.
        maker.make(&request, scene, fill_to)?;
    }
    let start = Instant::now();
    let Some(made) = maker.make_batch(&requests, scene, false, fill_to)?.into_iter().next() else {
        return Ok(None);
    };
    let scale = if sweep.needs_model() {
        let evaluations = |steps| plan.run.sampling.sampler.evaluations(steps) as f64;
        evaluations(plan.run.sampling.steps) / evaluations(measured_steps)
    } else {
        1.0
    };
    let sample_secs = start.elapsed().as_secs_f64() * scale / jobs.len() as f64;
    let (encode_secs, bytes_per_pair) = encode_pair(sweep, (job, request), scene, (&made, maker.decoder().as_ref()))?;
    Ok(Some(Estimate {
        secs_per_pair: sample_secs.max(encode_secs),
        bytes_per_pair,
    }))
}

/// Seconds that all encoders together take for a pair, and the bytes of its files.
fn encode_pair(
    sweep: &Sweep,
    (job, request): (&Job, RenderRequest),
    scene: &SceneInWork,
    (made, decoder): (&Made, Option<&Decoder>),
) -> Result<(f64, f64), RenderError> {
    let plan = &sweep.plan;
    let lq = match plan.lq {
        LqKind::Composited => PairImage::Composited,
        LqKind::Decoded => PairImage::Decoded,
    };
    let mut settings = RunSettings::new(request, sweep.model.clone(), scene.fitted.key.content_sha256());
    settings.pair = Some(PairSettings {
        engine: plan.engine,
        image: lq,
        crop: plan.crop_of(job.scene),
        bits: plan.bits,
        format: plan.lq_format,
        batch: None,
        weather_version: None,
    });
    let length = |which| {
        Ok::<_, RenderError>(pair::encode(&pair::image(which, (scene, &job.mix), made, decoder)?, &settings)?.len())
    };
    let start = Instant::now();
    let (gt_bytes, lq_bytes) = (length(PairImage::Gt)? as f64, length(lq)? as f64);
    let encode_secs = start.elapsed().as_secs_f64() / work::encoders() as f64;
    let images = plan.extras.iter().map(|extra| match extra {
        Extra::Steps => plan.run.sampling.steps,
        Extra::Layers => 0,
        _ => 1,
    });
    let layers = if plan.wants_layers() {
        layers::files(scene, (&job.mix, made), decoder)?
    } else {
        Vec::new()
    };
    let layer_bytes = layers.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    // A kilobyte or two of JSON beside them.
    let bytes_per_pair = gt_bytes + lq_bytes * (1 + images.sum::<usize>()) as f64 + layer_bytes as f64 + 2048.0;
    Ok((encode_secs, bytes_per_pair))
}
