//! The one way to sample: a batch of lanes, from noise or a branch to latents, handed out step by step.

use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::Tensor;
use mdsd3_words::curves::{check_curves, mix_at};
use mdsd3_words::heads::{check_head_ratios, set_heads};
use mdsd3_words::{Mix, SamplerAid, Sampling};

use super::{Conditions, Latents, Pipeline, Scene};
use crate::error::ModelError;
use crate::mmdit::head_mask;
use crate::sampler::follow::{At, Course, Start, Step, follow};
use crate::sampler::initial::initial_latents;
use crate::sampler::noise::gaussian;
use crate::sampler::schedule;

/// The prompt of the clean branch (the notes' word for a scene without degradation).
pub(crate) const CLEAN_PROMPT: &str = "clean";

/// Third part of the noise's key. All lanes of a scene and seed begin with the same noise, which is what makes them comparable.
const NOISE_LANE: u64 = 0;

/// Lanes that are sampled together. They differ in mix, seed, alpha and beta only, and begin at one noise level.
#[derive(Clone)]
pub struct Batch {
    /// How each lane is sampled.
    pub lanes: Vec<Sampling>,
    /// Where they take over from earlier runs; at their noise when absent.
    pub branch: Option<BranchPoint>,
    /// The batch is filled up to so many by repeating its last lane: a batch's size decides the last bits of what comes out.
    pub fill_to: usize,
}

impl Batch {
    /// Lanes that begin at their noise, and nothing to fill the batch.
    pub fn of(lanes: Vec<Sampling>) -> Self {
        Self {
            lanes,
            branch: None,
            fill_to: 0,
        }
    }
}

/// Where the lanes of a batch take over from earlier runs.
#[derive(Clone)]
pub struct BranchPoint {
    /// Index of the first step that is taken.
    pub step: usize,
    /// What each lane's earlier run had there.
    pub starts: Vec<BranchStart>,
}

impl BranchPoint {
    /// The same as batches of tensors, lane by lane of `places`.
    fn start(&self, places: &[usize]) -> Result<Start, ModelError> {
        let starts = || places.iter().map(|&place| &self.starts[place]);
        let before: Option<Vec<&Latents>> = starts().map(|start| start.previous_x0_hat.as_ref()).collect();
        Ok(Start {
            latents: Latents::join(starts().map(|start| &start.x_t))?,
            first_step: self.step,
            previous_x0_hat: before.map(Latents::join).transpose()?,
        })
    }
}

/// What a run had at a step, for another to take over.
#[derive(Clone)]
pub struct BranchStart {
    /// The latents that the step started from.
    pub x_t: Latents,
    /// The prediction of the step before; `None` at the first.
    pub previous_x0_hat: Option<Latents>,
}

/// A completed step of one lane.
#[derive(Clone)]
pub struct LaneStep {
    /// Place of the lane in its batch.
    pub lane: usize,
    /// Index from 0.
    pub index: usize,
    /// Steps of the run.
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

impl Pipeline {
    /// What the user should know about a prompt (theirs, or the names of the mix's classes), such as what is lost of it because
    /// CLIP reads 75 tokens; `None` when there is nothing, or when there are no text encoders.
    ///
    /// # Errors
    /// Bad input for text encoders that can't be read.
    pub fn prompt_note(&self, prompt: Option<&str>, mix: &Mix) -> Result<Option<String>, ModelError> {
        self.parts.denoiser.prompt_note(&prompt_of(prompt, mix))
    }

    /// The noise levels of a run: `steps + 1` values ending in 0.
    ///
    /// # Errors
    /// Bad input when there is no step, or no noise to start from.
    pub fn sigmas(&self, settings: &Sampling) -> Result<Vec<f32>, ModelError> {
        if settings.steps == 0 {
            return Err(ModelError::BadInput("steps is 0: a run takes at least 1 step".into()));
        }
        let first_sigma = settings.first_sigma();
        if first_sigma <= 0.0 {
            return Err(ModelError::BadInput(
                "alpha has no share beside beta: a run that starts there has no noise to take away; raise alpha".into(),
            ));
        }
        Ok(schedule::sigmas_from(first_sigma, settings.steps, self.parts.shift))
    }

    /// Samples lanes in one batch, each on the noise that its seed and the scene key; the latents that they end in, or what the
    /// observer broke off with.
    ///
    /// The observer gets every step, all lanes of it. It is the one way in which renders, datasets and studies sample.
    ///
    /// # Errors
    /// Bad input for lanes that differ in more than [`Batch`] allows, and for settings that the model can't follow: classes or
    /// heads that it lacks, no step, no noise.
    pub fn sample<B>(
        &self,
        scene: &Scene,
        batch: &Batch,
        mut on_step: impl FnMut(Vec<LaneStep>) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B, Vec<Latents>>, ModelError> {
        let Some(shared) = batch.lanes.last() else {
            return Ok(ControlFlow::Continue(Vec::new()));
        };
        self.check(batch, shared)?;
        let count = batch.lanes.len();
        let places: Vec<usize> = (0..count.max(batch.fill_to))
            .map(|place| place.min(count - 1))
            .collect();
        let lanes: Vec<&Sampling> = places.iter().map(|&place| &batch.lanes[place]).collect();
        let start = match &batch.branch {
            Some(branch) => branch.start(&places)?,
            None => Start::at_first_step(self.initial(scene, &lanes)?),
        };
        let course = Course {
            sigmas: &self.sigmas(shared)?,
            sampler: shared.sampler,
            moving_average: shared.sampler_aid == SamplerAid::MovingAverage,
        };
        let denoiser = &self.parts.denoiser;
        let words = &denoiser.words(&self.prompts(&lanes))?;
        let predict = |x: &Tensor, at: At| {
            let masks = &self.branches(&lanes, at.sigma)?;
            let on = Conditions {
                scene,
                words,
                at,
                masks,
            };
            Ok(guided(x, shared.guidance, |x| denoiser.x0_hat(x, &on))?)
        };
        let mut step_start = Instant::now();
        let watched = |step: Step| {
            let step_secs = step_start.elapsed().as_secs_f32();
            let flow = match lane_steps(&step, (count, shared.steps), step_secs) {
                Ok(steps) => match on_step(steps) {
                    ControlFlow::Continue(()) => ControlFlow::Continue(()),
                    ControlFlow::Break(with) => ControlFlow::Break(Ok(with)),
                },
                Err(error) => ControlFlow::Break(Err(error)),
            };
            step_start = Instant::now();
            flow
        };
        match follow(start, &course, predict, watched)? {
            ControlFlow::Continue(end) => {
                let mut lanes = Latents::split(&end)?;
                lanes.truncate(count);
                Ok(ControlFlow::Continue(lanes))
            }
            ControlFlow::Break(with) => with.map(ControlFlow::Break),
        }
    }

    /// Refuses lanes that can't be one batch, and settings that this model can't follow.
    fn check(&self, batch: &Batch, shared: &Sampling) -> Result<(), ModelError> {
        let bad = |message: &str| Err(ModelError::BadInput(message.to_owned()));
        if !batch.lanes.iter().all(|lane| share_a_batch(lane, shared)) {
            return bad(
                "lanes of one batch may differ in mix, seed, alpha and beta only, and begin at one noise level",
            );
        }
        if let Some(branch) = &batch.branch
            && branch.starts.len() != batch.lanes.len()
        {
            return bad("a batch of branches needs the start of each");
        }
        let info = &self.parts.info;
        // Without classes a mix is words of the prompt, and any word will do.
        if info.classes.is_empty() {
            return Ok(());
        }
        for lane in &batch.lanes {
            lane.mix.check_classes(&info.classes)?;
        }
        check_curves(&shared.curves, &info.classes)?;
        Ok(check_head_ratios(&shared.head_ratios, info.heads)?)
    }

    /// `alpha * noise + beta * scene` of each lane.
    ///
    /// # Shapes
    /// Result: `[lanes, channels, height/factor, width/factor]`.
    fn initial(&self, scene: &Scene, lanes: &[&Sampling]) -> Result<Tensor, ModelError> {
        let shape = scene.latents.shape();
        let of_lane = |lane: &&Sampling| {
            let noise = gaussian(lane.seed, scene.key, NOISE_LANE, shape.elem_count());
            let noise = Tensor::from_vec(noise, shape, &self.parts.place.device)?;
            let (alpha, beta) = lane.weights();
            initial_latents(&noise, &scene.latents, alpha, beta)
        };
        let each = lanes.iter().map(of_lane).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Tensor::cat(&each, 0)?)
    }

    /// Head masks of one batch at a noise level: the lanes, and with guidance as many clean branches behind them.
    fn branches(&self, lanes: &[&Sampling], sigma: f32) -> Result<Vec<Vec<f32>>, ModelError> {
        let info = &self.parts.info;
        let mask = |lane: &&Sampling| {
            let mix = mix_at(&lane.mix, &lane.curves, sigma)?;
            let mut mask = head_mask(&mix, &info.classes, info.heads);
            set_heads(&mut mask, &lane.head_ratios);
            Ok(mask)
        };
        let mut masks = lanes.iter().map(mask).collect::<Result<Vec<_>, ModelError>>()?;
        if lanes.iter().any(|lane| is_guided(lane.guidance)) {
            masks.extend(vec![vec![0.0; info.heads]; lanes.len()]);
        }
        Ok(masks)
    }

    /// The prompts of one batch: the lanes', and with guidance as many of clean branches behind them. A checkpoint without
    /// classes has no mask to silence its context, so there the branch is plain classifier-free guidance, whose prompt is empty.
    fn prompts(&self, lanes: &[&Sampling]) -> Vec<String> {
        let default = if self.parts.info.classes.is_empty() {
            ""
        } else {
            CLEAN_PROMPT
        };
        let of_lane = |lane: &&Sampling| prompt_of(lane.prompt.as_deref(), &lane.mix);
        let clean = |lane: &&Sampling| lane.negative_prompt.clone().unwrap_or_else(|| default.to_owned());
        let guided = lanes.iter().filter(|lane| is_guided(lane.guidance));
        lanes.iter().map(of_lane).chain(guided.map(clean)).collect()
    }
}

/// Whether two lanes can be sampled in one batch.
#[allow(clippy::float_cmp)] // settings that people type, not results
fn share_a_batch(one: &Sampling, other: &Sampling) -> bool {
    let own = Sampling {
        mix: one.mix.clone(),
        seed: one.seed,
        alpha: one.alpha,
        beta: one.beta,
        ..other.clone()
    };
    own == *one && one.first_sigma() == other.first_sigma()
}

/// A step of a batch, lane by lane; those that only fill it are left out.
fn lane_steps(step: &Step, (lanes, steps): (usize, usize), step_secs: f32) -> Result<Vec<LaneStep>, ModelError> {
    let parts = Latents::split(&step.x_t)?
        .into_iter()
        .zip(Latents::split(&step.x0_hat)?);
    let of_lane = |(lane, (x_t, x0_hat))| LaneStep {
        lane,
        index: step.index,
        steps,
        sigma: step.sigma,
        step_secs,
        x_t,
        x0_hat,
    };
    Ok(parts.take(lanes).enumerate().map(of_lane).collect())
}

/// A prediction under guidance: `v = v_clean + w (v_mix - v_clean)` with both branches in one batch, the mix's first. As
/// `x0_hat` is affine in v at a given `x_t`, guiding it is guiding v.
fn guided(
    x: &Tensor,
    guidance: f32,
    x0_hat: impl FnOnce(&Tensor) -> candle_core::Result<Tensor>,
) -> candle_core::Result<Tensor> {
    if !is_guided(guidance) {
        return x0_hat(x);
    }
    let lanes = x.dim(0)?;
    let both = x0_hat(&Tensor::cat(&[x, x], 0)?)?;
    let (mix, clean) = (both.narrow(0, 0, lanes)?, both.narrow(0, lanes, lanes)?);
    &clean + ((mix - &clean)? * f64::from(guidance))?
}

/// Guidance of exactly 1 is the mix branch alone.
#[allow(clippy::float_cmp)] // 1 is a setting that people type, not a result
fn is_guided(guidance: f32) -> bool {
    guidance != 1.0
}

/// What the user typed, or the names of the classes with a ratio above 0.
fn prompt_of(prompt: Option<&str>, mix: &Mix) -> String {
    let named = || mix.active().map(|(class, _)| class).collect::<Vec<_>>().join(" ");
    prompt.map_or_else(named, str::to_owned)
}
