//! One batch of lanes, from noise or a branch to latents.

use std::ops::ControlFlow;

use candle_core::Tensor;
use mdsd3_words::curves::{check_curves, mix_at};
use mdsd3_words::heads::{check_head_ratios, set_heads};
use mdsd3_words::{Mix, SamplerAid, Sampling};

use super::{Conditions, Lane, Pipeline, Scene, Start, Step};
use crate::error::ModelError;
use crate::mmdit::head_mask;
use crate::sampler::follow::{At, Course, follow};
use crate::sampler::initial::initial_latents;
use crate::sampler::noise::gaussian;
use crate::sampler::schedule;

/// The prompt of the clean branch (the notes' word for a scene without degradation).
pub(crate) const CLEAN_PROMPT: &str = "clean";

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

    /// The initial latents of lanes: `alpha * noise + beta * scene`, their noise keyed by (seed, scene, lane).
    ///
    /// # Shapes
    /// Result: `[lanes, channels, height/factor, width/factor]`.
    ///
    /// # Errors
    /// A device that has no memory left.
    pub fn initial(&self, scene: &Scene, lanes: &[Lane], settings: &Sampling) -> Result<Tensor, ModelError> {
        let (_, channels, height, width) = scene.latents.dims4()?;
        let values: Vec<f32> = lanes
            .iter()
            .flat_map(|l| {
                gaussian(
                    settings.seed,
                    scene.key,
                    u64::from(l.noise_lane),
                    channels * height * width,
                )
            })
            .collect();
        let noise = Tensor::from_vec(values, (lanes.len(), channels, height, width), &self.parts.device)?;
        let (alpha, beta) = settings.weights();
        Ok(initial_latents(&noise, &scene.latents, alpha, beta)?)
    }

    /// Samples all lanes in one batch, from noise that (seed, scene, lane) key. The observer sees every step; `Break` stops the
    /// run, which then returns `None`.
    ///
    /// # Shapes
    /// Result: `[lanes, channels, height/factor, width/factor]`.
    ///
    /// # Errors
    /// Bad input for settings that the model can't follow: classes or heads that it lacks, no step, no noise.
    pub fn sample(
        &self,
        scene: &Scene,
        lanes: &[Lane],
        settings: &Sampling,
        observer: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Option<Tensor>, ModelError> {
        let start = Start::at_first_step(self.initial(scene, lanes, settings)?);
        self.sample_from(start, scene, lanes, settings, observer)
    }

    /// As [`Self::sample`], from latents of the caller's; the steps before `start`'s are left out.
    ///
    /// # Shapes
    /// Result: as [`Self::sample`]'s.
    ///
    /// # Errors
    /// As [`Self::sample`].
    pub fn sample_from(
        &self,
        start: Start,
        scene: &Scene,
        lanes: &[Lane],
        settings: &Sampling,
        observer: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Option<Tensor>, ModelError> {
        let (info, denoiser) = (&self.parts.info, &self.parts.denoiser);
        // Without classes a mix is words of the prompt, and any word will do.
        let masked = !info.classes.is_empty();
        if masked {
            for lane in lanes {
                lane.mix.check_classes(&info.classes)?;
            }
            check_curves(&settings.curves, &info.classes)?;
            check_head_ratios(&settings.head_ratios, info.heads)?;
        }
        let course = Course {
            sigmas: &self.sigmas(settings)?,
            sampler: settings.sampler,
            moving_average: settings.sampler_aid == SamplerAid::MovingAverage,
        };
        let words = &denoiser.words(&prompts(lanes, settings, masked))?;
        let predict = |x: &Tensor, at: At| {
            let masks = &self.branches(lanes, settings, at.sigma)?;
            let on = Conditions {
                scene,
                words,
                at,
                masks,
            };
            let x0_hat = |x: &Tensor| denoiser.x0_hat(x, &on);
            Ok(guided(x, settings.guidance, x0_hat)?)
        };
        Ok(follow(start, &course, predict, |step| observer(&step))?.continue_value())
    }

    /// Head masks of one batch at a noise level: the lanes, and with guidance as many clean branches behind them.
    fn branches(&self, lanes: &[Lane], settings: &Sampling, sigma: f32) -> Result<Vec<Vec<f32>>, ModelError> {
        let info = &self.parts.info;
        let mask = |lane: &Lane| {
            let mix = mix_at(&lane.mix, &settings.curves, sigma)?;
            let mut mask = head_mask(&mix, &info.classes, info.heads);
            set_heads(&mut mask, &settings.head_ratios);
            Ok(mask)
        };
        let mut masks = lanes.iter().map(mask).collect::<Result<Vec<_>, ModelError>>()?;
        if is_guided(settings.guidance) {
            masks.extend(vec![vec![0.0; info.heads]; lanes.len()]);
        }
        Ok(masks)
    }
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

/// The prompts of one batch: the lanes', and with guidance as many of clean branches behind them. A checkpoint without classes
/// has no mask to silence its context, so there the branch is plain classifier-free guidance, whose prompt is empty.
fn prompts(lanes: &[Lane], settings: &Sampling, masked: bool) -> Vec<String> {
    let of_lane = |lane: &Lane| prompt_of(settings.prompt.as_deref(), &lane.mix);
    let mut prompts: Vec<String> = lanes.iter().map(of_lane).collect();
    if is_guided(settings.guidance) {
        let default = if masked { CLEAN_PROMPT } else { "" };
        let clean = settings.negative_prompt.clone().unwrap_or_else(|| default.to_owned());
        prompts.extend(vec![clean; lanes.len()]);
    }
    prompts
}
