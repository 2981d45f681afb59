//! One mix run, step by step: what the worker thread and the command line both do.

use std::ops::ControlFlow;
use std::time::Instant;

use mdsd3_model::pipeline::{Lane, Scene, Step};

use crate::error::EngineError;
use crate::frames::{self, Decoded};
use crate::loaded::{Decoder, Latents, LoadedModel};
use crate::request::RenderRequest;
use crate::scene::FittedScene;

/// A denoising step that is complete.
#[derive(Clone)]
pub struct RenderStep {
    /// Index from 0.
    pub index: usize,
    /// Denoising steps of the run.
    pub steps: usize,
    /// Noise level the step was evaluated at, 1 (all noise) to 0 (none).
    pub sigma: f32,
    /// Seconds the step took, without the observer's time.
    pub step_secs: f32,
    /// The noisy latents it started from.
    pub x_t: Latents,
    /// The clean-data prediction.
    pub x0_hat: Latents,
}

/// Watches a run, and may stop it at every point it is asked.
pub trait RenderObserver {
    /// The request is valid and all noise levels are known (`steps + 1` values, ending in 0); nothing is computed yet.
    fn started(&mut self, _sigmas: &[f32], _decoder: &Decoder) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// The scene is encoded; the first step comes next.
    fn scene_encoded(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// A step is complete.
    fn step_done(&mut self, _step: RenderStep) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Watches nothing.
impl RenderObserver for () {}

/// A finished run.
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
    /// Seconds from the loaded model and photo to the decoded result.
    pub elapsed_secs: f32,
    /// SHA-256 of the photo's file in hexadecimal digits.
    pub scene_sha256: String,
}

/// Renders a checked request; `None` when the observer stopped it.
pub(crate) fn render(
    request: &RenderRequest,
    model: &mut LoadedModel,
    scene: &FittedScene,
    observer: &mut dyn RenderObserver,
) -> Result<Option<RenderOutput>, EngineError> {
    let start = Instant::now();
    let decoder = model.decoder();
    let sigmas = model.pipeline().sigmas(request.steps)?;
    if observer.started(&sigmas, &decoder).is_break() {
        return Ok(None);
    }
    model.set_adapter_strength(request.adapter_strength)?;
    let encode_start = Instant::now();
    let (encoded, scene_was_known) = model.encode(scene)?;
    let encode_secs = encode_start.elapsed().as_secs_f32();
    if observer.scene_encoded().is_break() {
        return Ok(None);
    }
    let Some((latents, step_secs)) = sample(request, model, &encoded, observer)? else {
        return Ok(None);
    };
    let decode_start = Instant::now();
    let result = frames::decode(&decoder, &latents)?;
    Ok(Some(RenderOutput {
        result,
        sigmas,
        step_secs,
        encode_secs,
        scene_was_known,
        decode_secs: decode_start.elapsed().as_secs_f32(),
        elapsed_secs: start.elapsed().as_secs_f32(),
        scene_sha256: scene.key.content_sha256(),
    }))
}

/// Samples one lane; the final latents and the seconds of each step.
pub(crate) fn sample(
    request: &RenderRequest,
    model: &LoadedModel,
    scene: &Scene,
    observer: &mut dyn RenderObserver,
) -> Result<Option<(Latents, Vec<f32>)>, EngineError> {
    let lanes = [Lane {
        mix: request.mix.clone(),
        noise_lane: 0,
    }];
    let settings = request.sample_settings();
    let mut all_secs = Vec::with_capacity(request.steps);
    let mut step_start = Instant::now();
    let mut on_step = |step: &Step| {
        let step_secs = step_start.elapsed().as_secs_f32();
        all_secs.push(step_secs);
        let flow = observer.step_done(RenderStep {
            index: step.index,
            steps: request.steps,
            sigma: step.sigma,
            step_secs,
            x_t: Latents(step.x_t.clone()),
            x0_hat: Latents(step.x0_hat.clone()),
        });
        step_start = Instant::now();
        flow
    };
    let latents = model.pipeline().sample(scene, &lanes, &settings, &mut on_step)?;
    Ok(latents.map(|latents| (Latents(latents), all_secs)))
}
