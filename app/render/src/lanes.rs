//! Lanes: any number of mixes on one photo and the same noise, batched where they share their sampling settings.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use image::Rgb32FImage;
use mdsd3_model::pipeline::{self, BranchPoint, BranchStart, Latents, Pipeline, Scene};
use mdsd3_weather::Region;
use mdsd3_words::{Branch, CheckedRequest, RenderRequest};

use crate::error::RenderError;
use crate::frames::{self, Decoded};
use crate::kept_steps::{KeptSteps, StepLatents};
use crate::loaded::{Decoder, LoadedModel};
use crate::regions::{self, Parts};
use crate::run::{Batch, RenderObserver, RenderStep, lane_of};
use crate::scene::{FittedScene, SceneKey};
use crate::weather;

/// The most lanes in one batch: activations grow with it, and beyond a few lanes a batch is hardly faster than two.
const MAX_BATCH: usize = 8;

/// The result of one lane.
#[derive(Debug, Clone)]
pub struct LaneOutput {
    /// The image with its spectrum.
    pub result: Decoded,
    /// Noise levels: `steps + 1` values, ending in 0.
    pub sigmas: Vec<f32>,
    /// Seconds of each computed step of its batch.
    pub step_secs: Vec<f32>,
    /// Seconds of decoding the result.
    pub decode_secs: f32,
    /// SHA-256 over its masks; `None` without any.
    pub weather_sha256: Option<String>,
}

/// A finished run of several lanes.
#[derive(Debug, Clone)]
pub struct LanesOutput {
    /// One per request, same order.
    pub lanes: Vec<LaneOutput>,
    /// Seconds of encoding the scene and its clean path; about 0 when they were still known.
    pub encode_secs: f32,
    /// Whether they were still known from the run before.
    pub scene_was_known: bool,
    /// Seconds from the loaded model and photo to the last decoded result.
    pub elapsed_secs: f32,
    /// SHA-256 of the photo's file in hexadecimal digits.
    pub scene_sha256: String,
    /// What had to be converted or guessed when the photo was read.
    pub scene_notes: Vec<String>,
}

/// A finished run of one lane.
#[derive(Debug, Clone)]
pub struct RenderOutput {
    /// The result with its spectrum.
    pub result: Decoded,
    /// Noise levels: `steps + 1` values, ending in 0.
    pub sigmas: Vec<f32>,
    /// Seconds of each step.
    pub step_secs: Vec<f32>,
    /// Seconds of encoding the scene and its clean path; about 0 when they were still known.
    pub encode_secs: f32,
    /// Whether they were still known from the run before.
    pub scene_was_known: bool,
    /// Seconds of decoding the result.
    pub decode_secs: f32,
    /// SHA-256 over its masks; `None` without any.
    pub weather_sha256: Option<String>,
    /// Seconds from the loaded model and photo to the decoded result.
    pub elapsed_secs: f32,
    /// SHA-256 of the photo's file in hexadecimal digits.
    pub scene_sha256: String,
    /// What had to be converted or guessed when the photo was read.
    pub scene_notes: Vec<String>,
}

impl From<LanesOutput> for Option<RenderOutput> {
    /// The first lane.
    fn from(output: LanesOutput) -> Self {
        let LaneOutput {
            result,
            sigmas,
            step_secs,
            decode_secs,
            weather_sha256,
        } = output.lanes.into_iter().next()?;
        Some(RenderOutput {
            result,
            sigmas,
            step_secs,
            encode_secs: output.encode_secs,
            scene_was_known: output.scene_was_known,
            decode_secs,
            weather_sha256,
            elapsed_secs: output.elapsed_secs,
            scene_sha256: output.scene_sha256,
            scene_notes: output.scene_notes,
        })
    }
}

/// Refuses requests that can't be lanes of one run: they share everything that is loaded or computed once.
///
/// # Errors
/// [`RenderError::BadInput`] when there is no request or they differ in photo, size, model or adapter strength.
#[allow(clippy::float_cmp)] // a setting that people type, not a result
pub fn check_together<'a>(requests: &[&'a RenderRequest]) -> Result<&'a RenderRequest, RenderError> {
    let (first, others) = requests
        .split_first()
        .ok_or_else(|| RenderError::BadInput("a run needs at least one lane".to_owned()))?;
    let fits = |other: &&RenderRequest| {
        other.scene == first.scene
            && other.model == first.model
            && other.sampling.adapter_strength == first.sampling.adapter_strength
    };
    if others.iter().all(fits) {
        return Ok(*first);
    }
    Err(RenderError::BadInput(
        "the lanes of a run share photo, size, model and adapter strength; mix them one after the other".to_owned(),
    ))
}

/// Renders checked requests side by side, each with its regions; `None` when the observer stopped the run.
pub(crate) fn render(
    (requests, regions): (&[CheckedRequest<'_>], &[Vec<Region>]),
    model: &mut LoadedModel,
    scene: &FittedScene,
    kept: &mut KeptSteps,
    observer: &mut dyn RenderObserver,
) -> Result<Option<LanesOutput>, RenderError> {
    let start = Instant::now();
    let decoder = model.decoder();
    let batches = batches(requests, model.pipeline())?;
    if observer.started(&batches, &decoder).is_break() {
        return Ok(None);
    }
    if let Some(first) = requests.first() {
        model.set_adapter_strength(first.sampling.adapter_strength)?;
    }
    let encode_start = Instant::now();
    let (encoded, scene_was_known) = model.encode(scene)?;
    let encode_secs = encode_start.elapsed().as_secs_f32();
    if observer.scene_encoded().is_break() {
        return Ok(None);
    }
    let mut run = Run {
        requests,
        pipeline: Arc::clone(model.pipeline()),
        encoded: &encoded,
        scene: scene.key,
        kept,
        observer,
    };
    let mut outputs = Vec::with_capacity(requests.len());
    for batch in &batches {
        let Some((latents, step_secs)) = run.batch(batch)? else {
            return Ok(None);
        };
        for (&lane, latents) in batch.lanes.iter().zip(&latents) {
            let Some(others) = run.other_parts(lane, &regions[lane])? else {
                return Ok(None);
            };
            let decode_start = Instant::now();
            let rgb = decode_parts(
                &decoder,
                (requests[lane].request(), &regions[lane]),
                (&encoded, &others, latents),
            )?;
            let result = frames::from_rgb(&rgb)?;
            run.observer.lane_done(lane, &result);
            let output = LaneOutput {
                result,
                sigmas: batch.sigmas.clone(),
                step_secs: step_secs.clone(),
                decode_secs: decode_start.elapsed().as_secs_f32(),
                weather_sha256: weather::sha256_of_masks(&requests[lane].weather)?,
            };
            outputs.push((lane, output));
        }
    }
    outputs.sort_by_key(|(lane, _)| *lane);
    Ok(Some(LanesOutput {
        lanes: outputs.into_iter().map(|(_, output)| output).collect(),
        encode_secs,
        scene_was_known,
        elapsed_secs: start.elapsed().as_secs_f32(),
        scene_sha256: scene.key.content_sha256(),
        scene_notes: scene.notes.clone(),
    }))
}

/// Lanes that share sampling settings and their first step, in the order of their first lane.
fn batches(requests: &[CheckedRequest<'_>], pipeline: &Pipeline) -> Result<Vec<Batch>, RenderError> {
    let mut keys = Vec::new();
    let mut batches: Vec<Batch> = Vec::new();
    for (lane, request) in requests.iter().enumerate() {
        let branch_step = request.branch.as_ref().map(|branch| branch.step);
        let key = (request.batch_sampling(), branch_step);
        let fitting = keys.iter().zip(&mut batches);
        let room = |(other, batch): &(_, &mut Batch)| *other == &key && batch.lanes.len() < MAX_BATCH;
        if let Some((_, batch)) = fitting.into_iter().find(room) {
            batch.lanes.push(lane);
            continue;
        }
        keys.push(key);
        batches.push(Batch {
            lanes: vec![lane],
            sigmas: pipeline.sigmas(&request.batch_sampling())?,
            first_step: branch_step.unwrap_or(0),
        });
    }
    Ok(batches)
}

/// The latents that the lanes of a batch end in, and the seconds of each step.
type Ended = (Vec<Latents>, Vec<f32>);

/// What the batches of a run share.
struct Run<'a> {
    requests: &'a [CheckedRequest<'a>],
    pipeline: Arc<Pipeline>,
    encoded: &'a Scene,
    scene: SceneKey,
    kept: &'a mut KeptSteps,
    observer: &'a mut dyn RenderObserver,
}

impl Run<'_> {
    /// Samples a batch and keeps its steps, also when it is stopped: what was computed can be branched from.
    fn batch(&mut self, batch: &Batch) -> Result<Option<Ended>, RenderError> {
        let requests: Vec<&RenderRequest> = batch.lanes.iter().map(|&lane| self.requests[lane].request()).collect();
        let Some(lanes) = self.start(&requests)? else {
            return Ok(None);
        };
        let mut step_secs = Vec::new();
        let mut kept: Vec<Vec<StepLatents>> = vec![Vec::new(); requests.len()];
        let observer = &mut *self.observer;
        let on_step = |steps: Vec<RenderStep>| {
            step_secs.extend(steps.first().map(|step| step.step_secs));
            let mut flow = ControlFlow::Continue(());
            // All lanes of a step are reported, also when one of them stops the run.
            for step in steps {
                kept[step.lane].push(kept_part(&step));
                let lane = batch.lanes[step.lane];
                if observer.step_done(RenderStep { lane, ..step }).is_break() {
                    flow = ControlFlow::Break(());
                }
            }
            flow
        };
        let ended = self.pipeline.sample(self.encoded, &lanes, on_step)?.continue_value();
        for (request, steps) in requests.iter().zip(kept) {
            self.kept.keep(request, self.scene, batch.first_step, steps);
        }
        Ok(ended.map(|latents| (latents, step_secs)))
    }

    /// The latents of the mixes that a lane with regions is put together from beside its own; `None` when it was stopped.
    fn other_parts(&mut self, lane: usize, regions: &[Region]) -> Result<Option<Vec<Latents>>, RenderError> {
        let request = self.requests[lane].request();
        let Some(parts) = Parts::of(&request.sampling.mix, regions)? else {
            return Ok(Some(Vec::new()));
        };
        let mut others = Vec::new();
        for mix in parts.others() {
            let part = regions::run_of(request, mix);
            let Some(batch) = self.start(&[&part])? else {
                return Ok(None);
            };
            let observer = &mut *self.observer;
            let ended = self.pipeline.sample(self.encoded, &batch, |_| observer.poll())?;
            let Some(latents) = ended.continue_value() else {
                return Ok(None);
            };
            others.extend(latents);
        }
        Ok(Some(others))
    }

    /// Lanes of one batch where they take up: at their noise, or at the runs they branch from. `None` when it was stopped.
    fn start(&mut self, requests: &[&RenderRequest]) -> Result<Option<pipeline::Batch>, RenderError> {
        let mut batch = pipeline::Batch::of(requests.iter().map(|request| lane_of(request)).collect());
        for branch in requests.iter().filter_map(|request| request.branch.as_ref()) {
            let Some(start) = self.branch_start(branch)? else {
                return Ok(None);
            };
            let point = BranchPoint {
                step: branch.step,
                starts: Vec::new(),
            };
            batch.branch.get_or_insert(point).starts.push(start);
        }
        Ok(Some(batch))
    }

    /// The latents that a branch takes over; computed again when its run is no longer kept.
    fn branch_start(&mut self, branch: &Branch) -> Result<Option<BranchStart>, RenderError> {
        if let Some(start) = self.kept.start_of(branch, self.scene) {
            return Ok(Some(start));
        }
        let origin = branch.origin();
        let Some(batch) = self.start(&[origin])? else {
            return Ok(None);
        };
        let mut kept = Vec::new();
        let observer = &mut *self.observer;
        let on_step = |steps: Vec<RenderStep>| {
            kept.extend(steps.iter().map(kept_part));
            if steps.iter().any(|step| step.index == branch.step) {
                return ControlFlow::Break(());
            }
            observer.poll()
        };
        let _ = self.pipeline.sample(self.encoded, &batch, on_step)?;
        let first_step = batch.branch.map_or(0, |point| point.step);
        self.kept.keep(origin, self.scene, first_step, kept);
        Ok(self.kept.start_of(branch, self.scene))
    }
}

/// A lane's image: its latents decoded, and blended with its other parts where it has regions.
fn decode_parts(
    decoder: &Decoder,
    (request, regions): (&RenderRequest, &[Region]),
    (encoded, others, latents): (&Scene, &[Latents], &Latents),
) -> Result<Rgb32FImage, RenderError> {
    let whole = decoder.rgb_from_latents(latents)?;
    let Some(parts) = Parts::of(&request.sampling.mix, regions)? else {
        return Ok(whole);
    };
    let others = others.iter().map(|latents| decoder.rgb_from_latents(latents));
    let others: Vec<Rgb32FImage> = others.collect::<Result<_, _>>()?;
    let scene = match parts.base {
        Some(_) => None,
        None => Some(decoder.rgb_from_latents(&encoded.latents())?),
    };
    Ok(parts.blend(scene.as_ref(), &others, &whole))
}

fn kept_part(step: &RenderStep) -> StepLatents {
    StepLatents {
        x_t: step.x_t.clone(),
        x0_hat: step.x0_hat.clone(),
    }
}
