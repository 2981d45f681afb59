//! The facade that the engine drives: a model that encodes scenes, samples mixes and decodes latents.
//!
//! | file | what |
//! |---|---|
//! | `mini` | this program's own model folders |
//! | `sd3` | Stable Diffusion 3 checkpoints, with or without an adapter |
//! | `codec` | the autoencoder, whichever it is |
//! | `context` | learned tokens, or encoded prompts |
//! | `images` | images to tensors and back |

mod codec;
mod context;
mod images;
mod mini;
mod sd3;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};
use image::Rgb32FImage;

use crate::adapter::Strength;
use crate::autoencoder::LatentProjection;
use crate::error::ModelError;
use crate::io::checkpoint::Weights;
use crate::io::layout::{ModelParts, transformer_files};
use crate::io::photo::scene_key;
use crate::mix::Mix;
use crate::mmdit::{CleanCache, Conditioning, HeadRatio, Mmdit, check_head_ratios, head_mask, set_heads};
use crate::sampler::curves::{RatioCurve, check_curves, mix_at};
use crate::sampler::initial::{initial_latents, noise_share};
use crate::sampler::moving_average::MovingAverage;
use crate::sampler::noise::gaussian;
use crate::sampler::prediction::Prediction;
use crate::sampler::{Integrator, euler_step, heun_velocity, schedule, velocity};
pub(crate) use codec::Codec;
pub(crate) use context::CLEAN_PROMPT;
pub use context::LearnedContext;
use context::{BatchContext, Context};
pub(crate) use images::first_rgb;
pub use images::{rgb_from_tensor, tensor_from_rgb};
pub use mini::files as own_files;
pub(crate) use mini::{find as find_mini, priors as mini_priors};
pub(crate) use sd3::config_with_classes;

/// The files that tell one model from another, in order: a Stable Diffusion 3 transformer's weights, or weights and
/// `config.json` of a model of this program.
pub fn identity_files(path: &Path) -> Result<Vec<PathBuf>, ModelError> {
    own_files(path).map_or_else(|| transformer_files(path), |own| Ok(own.into()))
}

/// Facts about a loaded pipeline.
#[derive(Debug, Clone)]
pub struct PipelineInfo {
    /// Human-readable name.
    pub name: String,
    /// Degradation classes in checkpoint order.
    pub classes: Vec<String>,
    /// Indices of the heads each class owns, same order.
    pub class_heads: Vec<Vec<usize>>,
    /// Attention heads per block.
    pub heads: usize,
    /// Transformer blocks.
    pub blocks: usize,
    /// Token width.
    pub width: usize,
    /// Parameters of all parts.
    pub parameters: u64,
    /// Image sides must be multiples of this many pixels.
    pub size_multiple: u32,
    /// Largest image side the positional table covers, in pixels.
    pub max_size: u32,
    /// What a user should know about this checkpoint that works all the same, one line each.
    pub notes: Vec<String>,
}

/// A scene the model has seen: latents and everything of the clean path, computed once.
pub struct Scene {
    /// `[1, channels, height/factor, width/factor]`, in f32.
    latents: Tensor,
    /// One, or two for steps to take in turn, whose grids of tokens lie differently; none without a clean path.
    clean: Vec<CleanCache>,
    key: u64,
}

impl Scene {
    /// The scene's latents: `[1, channels, height/factor, width/factor]`.
    pub fn latents(&self) -> &Tensor {
        &self.latents
    }
}

/// One lane: a mix on its noise.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Class ratios.
    pub mix: Mix,
    /// Noise key beside seed and scene; lanes that are compared share it.
    pub noise_lane: u32,
}

/// Settings that all lanes of a run share.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SampleSettings {
    /// Weight of the noise in the initial latents.
    pub alpha: f32,
    /// Weight of the scene in the initial latents.
    pub beta: f32,
    /// Whether the first step is at the noise level that alpha and beta amount to, instead of at 1; only their ratio counts then.
    pub start_at_noise_share: bool,
    /// Denoising steps, at least 1.
    pub steps: usize,
    /// Guidance against the clean branch; 1 takes one evaluation.
    pub guidance: f32,
    /// Noise seed.
    pub seed: u64,
    /// How one step follows the flow.
    pub integrator: Integrator,
    /// Factors on ratios over sigma; classes without one keep theirs.
    pub curves: Vec<RatioCurve>,
    /// Ratios of single heads, in place of their class's.
    pub head_ratios: Vec<HeadRatio>,
    /// Prompt of a text checkpoint, in place of the names of the classes with a ratio above 0.
    pub prompt: Option<String>,
    /// Prompt of the clean branch, in place of "clean" (nothing, for a checkpoint without classes).
    pub negative_prompt: Option<String>,
    /// Whether the clean-data prediction is replaced by its moving average per wavelet sub-band.
    pub moving_average: bool,
}

impl SampleSettings {
    /// Noise level of the first step: 1, or the noise's share `alpha / (alpha + beta)`.
    pub fn first_sigma(&self) -> f32 {
        if self.start_at_noise_share {
            noise_share(self.alpha, self.beta)
        } else {
            1.0
        }
    }

    /// Weights of noise and scene in the initial latents: alpha and beta, or, where only their ratio counts, the noise level
    /// that they amount to and the rest: the scene as the first step expects it (SDEdit, Meng et al. 2022, arXiv:2108.01073).
    fn weights(&self) -> (f32, f32) {
        if self.start_at_noise_share {
            let sigma = self.first_sigma();
            (sigma, 1.0 - sigma)
        } else {
            (self.alpha, self.beta)
        }
    }
}

/// Where sampling takes up: at the first step with initial latents, or at a later one with what an earlier run had there.
#[derive(Debug, Clone)]
pub struct Start {
    /// Latents that the first step starts from: `[lanes, channels, height/factor, width/factor]`.
    pub latents: Tensor,
    /// Index of that step.
    pub first_step: usize,
    /// Clean-data prediction of the step before, same shape: what a moving average goes on from.
    pub previous_x0_hat: Option<Tensor>,
}

impl Start {
    /// At the first step.
    pub fn at_first_step(latents: Tensor) -> Self {
        Self {
            latents,
            first_step: 0,
            previous_x0_hat: None,
        }
    }
}

/// A completed step, handed to the observer.
pub struct Step {
    /// Index from 0.
    pub index: usize,
    /// Noise level the step was evaluated at.
    pub sigma: f32,
    /// Noise level it ends at.
    pub next_sigma: f32,
    /// Latents the step started from: `[lanes, channels, height/factor, width/factor]`.
    pub x_t: Tensor,
    /// Clean-data prediction where the step starts, same shape.
    pub x0_hat: Tensor,
}

/// A pipeline: autoencoder, transformer, context.
///
/// Latents are f32 whatever the networks compute in: late steps divide by small noise levels, which would blow up the rounding
/// of half precision.
pub struct Pipeline {
    info: PipelineInfo,
    /// Shift of the noise levels.
    shift: f64,
    /// Whether the grid of tokens moves by half a token every second step.
    alternating_grid: bool,
    autoencoder: Codec,
    /// A faster decoder for previews.
    preview: Option<Codec>,
    /// Colours of the last scene's latents, for previews where decoding is slow and there is no faster decoder.
    projection: Mutex<Option<LatentProjection>>,
    transformer: Mmdit,
    context: Context,
    prediction: Prediction,
    /// Factor on an adapter's low-rank updates.
    strength: Option<Strength>,
    device: Device,
    dtype: DType,
}

impl Pipeline {
    /// Opens a model: a folder of this program (`config.json` and `model.safetensors`) or the safetensors file in one, a
    /// diffusers folder, or a single-file checkpoint.
    ///
    /// # Errors
    /// Bad input when a file is missing or damaged, tensors are missing, unknown or of the wrong shape, or the checkpoint
    /// is of another family.
    pub fn open(path: &Path, device: &Device, dtype: DType) -> Result<Self, ModelError> {
        Self::open_with(path, &ModelParts::default(), device, dtype)
    }

    /// As [`Self::open`], some parts coming from their own paths.
    pub fn open_with(path: &Path, parts: &ModelParts, device: &Device, dtype: DType) -> Result<Self, ModelError> {
        if !path.exists() {
            return Err(ModelError::BadInput(format!(
                "{}: no such model folder or file",
                path.display()
            )));
        }
        let Some(mini) = mini::open(path, device, dtype)? else {
            return sd3::open(path, parts, device, dtype);
        };
        if *parts != ModelParts::default() {
            return Err(ModelError::BadInput(format!(
                "{}: this model is complete in itself; parts and adapters (--vae, --text-encoder, --tokenizer, --adapter, --heads) are for Stable Diffusion 3 checkpoints",
                path.display()
            )));
        }
        Ok(mini)
    }

    /// Opens a model that is embedded in the program.
    pub fn from_parts(config_json: &str, weights: &[u8], device: &Device, dtype: DType) -> Result<Self, ModelError> {
        mini::build(
            config_json,
            &Weights::parse(weights, "the bundled model")?,
            device,
            dtype,
        )
    }

    /// Sets the factor on an adapter's low-rank updates: 0 leaves them out, 1 is as trained. Scenes encoded before keep
    /// what they were encoded with.
    ///
    /// # Errors
    /// Bad input when there is no adapter.
    pub fn set_adapter_strength(&self, strength: f32) -> Result<(), ModelError> {
        match &self.strength {
            Some(factor) => factor.set(strength),
            None => Err(ModelError::BadInput(
                "this model has no adapter, whose strength could be set; give one with --adapter".into(),
            )),
        }
    }

    /// Facts about this pipeline.
    pub fn info(&self) -> &PipelineInfo {
        &self.info
    }

    /// Encodes a fitted scene and runs the clean path; values sRGB in 0..=1, sides multiples of `size_multiple`.
    pub fn encode_scene(&self, rgb: &Rgb32FImage) -> Result<Scene, ModelError> {
        let (width, height) = rgb.dimensions();
        let multiple = self.info.size_multiple;
        if !width.is_multiple_of(multiple) || !height.is_multiple_of(multiple) {
            return Err(ModelError::BadInput(format!(
                "a scene of {width}x{height} px does not suit this model: sides must be multiples of {multiple} px"
            )));
        }
        if width.max(height) > self.info.max_size {
            return Err(ModelError::BadInput(format!(
                "a scene of {width}x{height} px is too large for this model: at most {} px a side",
                self.info.max_size
            )));
        }
        let pixels = tensor_from_rgb(rgb, &self.device)?;
        let latents = self.autoencoder.encode(&pixels, self.dtype)?.to_dtype(DType::F32)?;
        if self.preview.is_none() && self.autoencoder.is_slow() {
            let fitted = LatentProjection::fit(&latents, &pixels)?;
            *self.projection.lock().unwrap_or_else(PoisonError::into_inner) = Some(fitted);
        }
        let transformer = &self.transformer;
        let clean = if transformer.has_clean_path() {
            transformer.clean_caches(&latents.to_dtype(self.dtype)?, None, self.alternating_grid)?
        } else {
            Vec::new()
        };
        Ok(Scene {
            latents,
            clean,
            key: scene_key(rgb),
        })
    }

    /// What is lost of a prompt (the user's, or the names of the mix's classes) because CLIP reads 75 tokens; `None` when
    /// nothing is, or when there are no text encoders.
    pub fn prompt_note(&self, prompt: Option<&str>, mix: &Mix) -> Result<Option<String>, ModelError> {
        let Context::Text(encoders) = &self.context else {
            return Ok(None);
        };
        let dropped = encoders.dropped_tokens(&context::prompt_of(prompt, mix))?;
        Ok((dropped > 0).then(|| {
            format!("the prompt is {dropped} tokens too long for CLIP, which reads its beginning only; shorten it")
        }))
    }

    /// The noise levels of a run: `steps + 1` values ending in 0.
    ///
    /// # Errors
    /// Bad input when there is no step, or no noise to start from.
    pub fn sigmas(&self, settings: &SampleSettings) -> Result<Vec<f32>, ModelError> {
        if settings.steps == 0 {
            return Err(ModelError::BadInput("steps is 0: a run takes at least 1 step".into()));
        }
        let first_sigma = settings.first_sigma();
        if first_sigma <= 0.0 {
            return Err(ModelError::BadInput(
                "alpha has no share beside beta: a run that starts there has no noise to take away; raise alpha".into(),
            ));
        }
        Ok(schedule::sigmas_from(first_sigma, settings.steps, self.shift))
    }

    /// The initial latents of lanes: `alpha * noise + beta * scene`, their noise keyed by (seed, scene, lane).
    ///
    /// # Shapes
    /// Result: `[lanes, channels, height/factor, width/factor]`.
    pub fn initial(&self, scene: &Scene, lanes: &[Lane], settings: &SampleSettings) -> Result<Tensor, ModelError> {
        let noise = self.noise(scene, lanes, settings.seed)?;
        let (alpha, beta) = settings.weights();
        Ok(initial_latents(&noise, &scene.latents, alpha, beta)?)
    }

    /// Samples all lanes in one batch, from noise that (seed, scene, lane) key. The observer sees every step; `Break` stops the run, which then returns `None`.
    ///
    /// # Shapes
    /// Result: `[lanes, channels, height/factor, width/factor]`.
    pub fn sample(
        &self,
        scene: &Scene,
        lanes: &[Lane],
        settings: &SampleSettings,
        observer: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Option<Tensor>, ModelError> {
        let start = Start::at_first_step(self.initial(scene, lanes, settings)?);
        self.sample_from(start, scene, lanes, settings, observer)
    }

    /// As [`Self::sample`], from latents of the caller's; the steps before `start`'s are left out.
    pub fn sample_from(
        &self,
        start: Start,
        scene: &Scene,
        lanes: &[Lane],
        settings: &SampleSettings,
        observer: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Option<Tensor>, ModelError> {
        let sigmas = self.sigmas(settings)?;
        // Without classes a mix is words of the prompt, and any word will do.
        let masked = !self.info.classes.is_empty();
        if masked {
            for lane in lanes {
                lane.mix.check_classes(&self.info.classes)?;
            }
            check_curves(&settings.curves, &self.info.classes)?;
            check_head_ratios(&settings.head_ratios, self.info.heads)?;
        }
        let context = self
            .context
            .batch(lanes, settings, masked, (self.dtype, &self.device))?;
        let mut x = start.latents;
        let mut average = settings
            .moving_average
            .then(|| MovingAverage::resume(start.previous_x0_hat.as_ref()))
            .transpose()?;
        for (index, pair) in sigmas.windows(2).enumerate().skip(start.first_step) {
            let (sigma, next_sigma) = (pair[0], pair[1]);
            let predict = |x: &Tensor, at: At| -> Result<Tensor, ModelError> {
                let branches = self.branches(lanes, settings, at.sigma)?;
                Ok(self.guided_x0_hat(x, (scene, &context), at, &branches, settings.guidance)?)
            };
            let ahead = At {
                step: index + 1,
                sigma: next_sigma,
            };
            let mut x0_hat = predict(&x, At { step: index, sigma })?;
            if let Some(average) = &mut average {
                x0_hat = average.update(&x0_hat, index, settings.steps)?;
            }
            let mut along = velocity(&x, &x0_hat, sigma)?;
            if settings.integrator == Integrator::Heun && next_sigma > 0.0 {
                along = heun_velocity(&x, &along, (sigma, next_sigma), |x| predict(x, ahead))?;
            }
            let next = euler_step(&x, &along, sigma, next_sigma)?;
            let step = Step {
                index,
                sigma,
                next_sigma,
                x_t: std::mem::replace(&mut x, next),
                x0_hat,
            };
            if observer(&step).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(x))
    }

    /// Decodes latents `[batch, channels, h, w]` to one image per batch entry, sRGB in 0..=1.
    pub fn rgb_from_latents(&self, latents: &Tensor) -> Result<Vec<Rgb32FImage>, ModelError> {
        rgb_from_tensor(&self.autoencoder.decode(latents, self.dtype)?)
    }

    /// A quick look at latents: through the preview decoder, or as the colours that the last scene's latents had, at
    /// latent resolution; decoded as they are where that is quick.
    pub fn preview_from_latents(&self, latents: &Tensor) -> Result<Vec<Rgb32FImage>, ModelError> {
        if let Some(preview) = &self.preview {
            return rgb_from_tensor(&preview.decode(latents, self.dtype)?);
        }
        let projection = self.projection.lock().unwrap_or_else(PoisonError::into_inner);
        match projection.as_ref() {
            None => self.rgb_from_latents(latents),
            Some(projection) => {
                let small = projection.rgb(&latents.to_dtype(DType::F32)?)?;
                let (_, _, height, width) = small.dims4()?;
                let factor = self.autoencoder.factor();
                rgb_from_tensor(&small.upsample_nearest2d(height * factor, width * factor)?)
            }
        }
    }

    /// `[lanes, channels, h, w]`, each lane keyed by (seed, scene, lane).
    fn noise(&self, scene: &Scene, lanes: &[Lane], seed: u64) -> Result<Tensor, ModelError> {
        let (_, channels, height, width) = scene.latents.dims4()?;
        let values: Vec<f32> = lanes
            .iter()
            .flat_map(|l| gaussian(seed, scene.key, u64::from(l.noise_lane), channels * height * width))
            .collect();
        Ok(Tensor::from_vec(
            values,
            (lanes.len(), channels, height, width),
            &self.device,
        )?)
    }

    /// Head masks of one batch at a noise level: the lanes, and with guidance as many clean branches behind them.
    fn branches(&self, lanes: &[Lane], settings: &SampleSettings, sigma: f32) -> Result<Vec<Vec<f32>>, ModelError> {
        let heads = self.info.heads;
        let mask = |lane: &Lane| {
            let mix = mix_at(&lane.mix, &settings.curves, sigma)?;
            let mut mask = head_mask(&mix, &self.info.classes, heads);
            set_heads(&mut mask, &settings.head_ratios);
            Ok(mask)
        };
        let mut masks = lanes.iter().map(mask).collect::<Result<Vec<_>, ModelError>>()?;
        if is_guided(settings.guidance) {
            masks.extend(vec![vec![0.0; heads]; lanes.len()]);
        }
        Ok(masks)
    }

    /// `x0_hat` under guidance: `v = v_clean + w (v_mix - v_clean)` with both branches in one batch. As `x0_hat` is
    /// affine in v at a given `x_t`, guiding it is guiding v.
    fn guided_x0_hat(
        &self,
        x: &Tensor,
        on: (&Scene, &BatchContext),
        at: At,
        masks: &[Vec<f32>],
        guidance: f32,
    ) -> candle_core::Result<Tensor> {
        let lanes = x.dim(0)?;
        if !is_guided(guidance) {
            return self.x0_hat(x, on, at, masks);
        }
        let both = self.x0_hat(&Tensor::cat(&[x, x], 0)?, on, at, masks)?;
        let (mix, clean) = (both.narrow(0, 0, lanes)?, both.narrow(0, lanes, lanes)?);
        &clean + ((mix - &clean)? * f64::from(guidance))?
    }

    fn x0_hat(
        &self,
        x: &Tensor,
        (scene, context): (&Scene, &BatchContext),
        at: At,
        masks: &[Vec<f32>],
    ) -> candle_core::Result<Tensor> {
        let batch = x.dim(0)?;
        let mask = Tensor::from_vec(masks.concat(), (batch, self.info.heads), &self.device)?.to_dtype(self.dtype)?;
        let on = Conditioning {
            timestep: &Tensor::full(schedule::timestep(at.sigma), 1, &self.device)?,
            context: &context.tokens,
            pooled: &context.pooled,
            mask: (!self.info.classes.is_empty()).then_some(&mask),
            clean: scene.clean.get(at.step % scene.clean.len().max(1)),
            origin: None,
        };
        self.prediction
            .x0_hat(x, &scene.latents, &vec![at.sigma; batch], masks, |input| {
                let output = self.transformer.forward(&input.to_dtype(self.dtype)?, &on)?;
                output.to_dtype(DType::F32)
            })
    }
}

/// Where an evaluation is: the step that it belongs to, or leads to, and its noise level.
#[derive(Clone, Copy)]
struct At {
    step: usize,
    sigma: f32,
}

/// Guidance of exactly 1 is the mix branch alone.
#[allow(clippy::float_cmp)] // 1 is a setting that people type, not a result
fn is_guided(guidance: f32) -> bool {
    guidance != 1.0
}

fn at_path(path: &Path, error: ModelError) -> ModelError {
    match error {
        // What the file's reader reports names the file already.
        ModelError::BadInput(message) if !message.starts_with(&*path.to_string_lossy()) => {
            ModelError::BadInput(format!("{}: {message}", path.display()))
        }
        other => other,
    }
}
