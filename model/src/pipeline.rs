//! The facade that the engine drives: a model that encodes scenes, samples mixes and decodes latents.

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use image::Rgb32FImage;

use crate::autoencoder::MiniAutoencoder;
use crate::config::{MiniConfig, PredictionKind};
use crate::error::ModelError;
use crate::io::checkpoint::Weights;
use crate::io::photo::scene_key;
use crate::mix::Mix;
use crate::mmdit::{CleanCache, Conditioning, Mmdit, class_heads, head_mask};
use crate::sampler::curves::{RatioCurve, check_curves, mix_at};
use crate::sampler::initial::initial_latents;
use crate::sampler::moving_average::MovingAverage;
use crate::sampler::noise::gaussian;
use crate::sampler::prediction::{ClassPriors, Prediction};
use crate::sampler::{euler_step, schedule};

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
}

/// A scene the model has seen: latents and everything of the clean path, computed once.
pub struct Scene {
    /// `[1, channels, height/factor, width/factor]`
    latents: Tensor,
    clean: Option<CleanCache>,
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
#[derive(Debug, Clone, Default)]
pub struct SampleSettings {
    /// Weight of the noise in the initial latents.
    pub alpha: f32,
    /// Weight of the scene in the initial latents.
    pub beta: f32,
    /// Denoising steps, at least 1.
    pub steps: usize,
    /// Guidance against the clean branch; 1 takes one evaluation.
    pub guidance: f32,
    /// Noise seed.
    pub seed: u64,
    /// Factors on ratios over sigma; classes without one keep theirs.
    pub curves: Vec<RatioCurve>,
    /// Whether the clean-data prediction is replaced by its moving average per wavelet sub-band.
    pub moving_average: bool,
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
    /// Clean-data prediction, same shape.
    pub x0_hat: Tensor,
}

/// A pipeline: autoencoder, transformer, context tokens.
pub struct Pipeline {
    info: PipelineInfo,
    config: MiniConfig,
    autoencoder: MiniAutoencoder,
    transformer: Mmdit,
    context: LearnedContext,
    prediction: Prediction,
    device: Device,
    dtype: DType,
}

/// Learned tokens that stand in for encoded text: `[1, tokens, width]` and `[1, pooled width]`.
pub struct LearnedContext {
    /// Context tokens.
    pub tokens: Tensor,
    /// Pooled vector.
    pub pooled: Tensor,
}

impl LearnedContext {
    /// From a checkpoint's tensors or fresh variables.
    pub fn new(config: &MiniConfig, vb: VarBuilder) -> candle_core::Result<Self> {
        let init = candle_nn::Init::Randn { mean: 0.0, stdev: 1.0 };
        let transformer = &config.transformer;
        Ok(Self {
            tokens: vb.get_with_hints((1, config.context_tokens, transformer.joint_attention_dim), "tokens", init)?,
            pooled: vb.get_with_hints((1, transformer.pooled_projection_dim), "pooled", init)?,
        })
    }
}

impl Pipeline {
    /// Opens a model folder (`config.json` and `model.safetensors`), or that safetensors file in such a folder.
    ///
    /// # Errors
    /// Bad input when a file is missing or damaged, or tensors are missing, unknown or of the wrong shape.
    pub fn open(path: &Path, device: &Device, dtype: DType) -> Result<Self, ModelError> {
        let (folder, file) = if path.is_dir() {
            (path, path.join("model.safetensors"))
        } else if path.exists() {
            (path.parent().unwrap_or(Path::new(".")), path.to_owned())
        } else {
            return Err(ModelError::BadInput(format!("{}: no such model folder or file", path.display())));
        };
        let weights = Weights::open(&file)?;
        let config = folder.join("config.json");
        let json = std::fs::read_to_string(&config)
            .map_err(|e| ModelError::BadInput(format!("{}: cannot read the model's config ({e})", config.display())))?;
        Self::build(&json, &weights, device, dtype).map_err(|e| at_path(path, e))
    }

    /// Opens a model that is embedded in the program.
    pub fn from_parts(config_json: &str, weights: &[u8], device: &Device, dtype: DType) -> Result<Self, ModelError> {
        Self::build(config_json, &Weights::parse(weights, "the bundled model")?, device, dtype)
    }

    fn build(config_json: &str, weights: &Weights, device: &Device, dtype: DType) -> Result<Self, ModelError> {
        let config = MiniConfig::parse(config_json)?;
        let vb = weights.builder(dtype, device);
        // What the builder reports is about the file's tensors, so it is the input that is at fault.
        let bad = |e: candle_core::Error| ModelError::BadInput(e.to_string());
        let autoencoder = MiniAutoencoder::new(&config.autoencoder, vb.pp("autoencoder")).map_err(bad)?;
        let transformer = Mmdit::new(&config.transformer, vb.pp("transformer")).map_err(bad)?;
        let context = LearnedContext::new(&config, vb.pp("context")).map_err(bad)?;
        let prediction = match config.prediction {
            PredictionKind::Velocity => Prediction::Velocity,
            PredictionKind::SceneResidual => {
                let shape = (config.transformer.classes.len(), config.transformer.out_channels);
                let vb = weights.builder(DType::F32, &Device::Cpu).pp("prediction");
                let read = |name: &str| vb.get(shape, name).map_err(bad);
                Prediction::SceneResidual(ClassPriors::from_tensors(&read("gain")?, &read("offset")?, &read("variance")?)?)
            }
        };
        weights.check_all_used()?;
        let info = info(&config, weights.parameters());
        Ok(Self { info, config, autoencoder, transformer, context, prediction, device: device.clone(), dtype })
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
        let pixels = tensor_from_rgb(rgb, &self.device)?.to_dtype(self.dtype)?;
        let latents = self.autoencoder.encode(&pixels)?;
        let clean = self.transformer.has_clean_path().then(|| self.transformer.clean_cache(&latents, None)).transpose()?;
        Ok(Scene { latents, clean, key: scene_key(rgb) })
    }

    /// The noise levels of a run: `steps + 1` values ending in 0.
    pub fn sigmas(&self, steps: usize) -> Result<Vec<f32>, ModelError> {
        if steps == 0 {
            return Err(ModelError::BadInput("steps is 0: a run takes at least 1 step".into()));
        }
        Ok(schedule::sigmas(steps, self.config.shift))
    }

    /// Samples all lanes in one batch. The observer sees every step; `Break` stops the run, which then returns `None`.
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
        let sigmas = self.sigmas(settings.steps)?;
        for lane in lanes {
            lane.mix.check_classes(&self.info.classes)?;
        }
        check_curves(&settings.curves, &self.info.classes)?;
        let noise = self.noise(scene, lanes, settings.seed)?;
        let mut x = initial_latents(&noise, &scene.latents, settings.alpha, settings.beta)?;
        let mut average = settings.moving_average.then(MovingAverage::default);
        for (index, pair) in sigmas.windows(2).enumerate() {
            let (sigma, next_sigma) = (pair[0], pair[1]);
            let branches = self.branches(lanes, settings, sigma)?;
            let mut x0_hat = self.guided_x0_hat(&x, scene, sigma, &branches, settings.guidance)?;
            if let Some(average) = &mut average {
                x0_hat = average.update(&x0_hat, index, settings.steps)?;
            }
            let velocity = ((&x - &x0_hat)? / f64::from(sigma))?;
            let next = euler_step(&x, &velocity, sigma, next_sigma)?;
            let step = Step { index, sigma, next_sigma, x_t: std::mem::replace(&mut x, next), x0_hat };
            if observer(&step).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(x))
    }

    /// Decodes latents `[batch, channels, h, w]` to one image per batch entry, sRGB in 0..=1.
    pub fn rgb_from_latents(&self, latents: &Tensor) -> Result<Vec<Rgb32FImage>, ModelError> {
        rgb_from_tensor(&self.autoencoder.decode(latents)?)
    }

    /// `[lanes, channels, h, w]`, each lane keyed by (seed, scene, lane).
    fn noise(&self, scene: &Scene, lanes: &[Lane], seed: u64) -> Result<Tensor, ModelError> {
        let (_, channels, height, width) = scene.latents.dims4()?;
        let values: Vec<f32> =
            lanes.iter().flat_map(|l| gaussian(seed, scene.key, u64::from(l.noise_lane), channels * height * width)).collect();
        Ok(Tensor::from_vec(values, (lanes.len(), channels, height, width), &self.device)?.to_dtype(self.dtype)?)
    }

    /// Head masks of one batch at a noise level: the lanes, and with guidance as many clean branches behind them.
    fn branches(&self, lanes: &[Lane], settings: &SampleSettings, sigma: f32) -> Result<Vec<Vec<f32>>, ModelError> {
        let heads = self.info.heads;
        let mask = |lane: &Lane| Ok(head_mask(&mix_at(&lane.mix, &settings.curves, sigma)?, &self.info.classes, heads));
        let mut masks = lanes.iter().map(mask).collect::<Result<Vec<_>, ModelError>>()?;
        if is_guided(settings.guidance) {
            masks.extend(vec![vec![0.0; heads]; lanes.len()]);
        }
        Ok(masks)
    }

    /// `x0_hat` under guidance: `v = v_clean + w (v_mix - v_clean)` with both branches in one batch. As `x0_hat` is
    /// affine in v at a given `x_t`, guiding it is guiding v.
    fn guided_x0_hat(&self, x: &Tensor, scene: &Scene, sigma: f32, masks: &[Vec<f32>], guidance: f32) -> candle_core::Result<Tensor> {
        let lanes = x.dim(0)?;
        if !is_guided(guidance) {
            return self.x0_hat(x, scene, sigma, masks);
        }
        let both = self.x0_hat(&Tensor::cat(&[x, x], 0)?, scene, sigma, masks)?;
        let (mix, clean) = (both.narrow(0, 0, lanes)?, both.narrow(0, lanes, lanes)?);
        &clean + ((mix - &clean)? * f64::from(guidance))?
    }

    fn x0_hat(&self, x: &Tensor, scene: &Scene, sigma: f32, masks: &[Vec<f32>]) -> candle_core::Result<Tensor> {
        let batch = x.dim(0)?;
        let mask = Tensor::from_vec(masks.concat(), (batch, self.info.heads), &self.device)?.to_dtype(self.dtype)?;
        let timestep = Tensor::full(schedule::timestep(sigma), batch, &self.device)?;
        let (_, tokens, width) = self.context.tokens.dims3()?;
        let on = Conditioning {
            timestep: &timestep,
            context: &self.context.tokens.broadcast_as((batch, tokens, width))?.contiguous()?,
            pooled: &self.context.pooled.broadcast_as((batch, self.context.pooled.dim(1)?))?.contiguous()?,
            mask: Some(&mask),
            clean: scene.clean.as_ref(),
            origin: None,
        };
        self.prediction.x0_hat(x, &scene.latents, &vec![sigma; batch], masks, |input| self.transformer.forward(input, &on))
    }
}

/// Guidance of exactly 1 is the mix branch alone.
#[allow(clippy::float_cmp)] // 1 is a setting that people type, not a result
fn is_guided(guidance: f32) -> bool {
    guidance != 1.0
}

fn info(config: &MiniConfig, parameters: u64) -> PipelineInfo {
    let t = &config.transformer;
    let multiple = config.autoencoder.factor * t.patch_size;
    PipelineInfo {
        name: config.name.clone(),
        classes: t.classes.clone(),
        class_heads: class_heads(t.classes.len(), t.num_attention_heads).into_iter().map(Iterator::collect).collect(),
        heads: t.num_attention_heads,
        blocks: t.num_layers,
        width: t.width(),
        parameters,
        size_multiple: multiple as u32,
        max_size: (multiple * t.pos_embed_max_size) as u32,
    }
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

/// `[1, 3, height, width]` in -1..=1 from sRGB in 0..=1.
pub fn tensor_from_rgb(rgb: &Rgb32FImage, device: &Device) -> Result<Tensor, ModelError> {
    let (width, height) = rgb.dimensions();
    let pixels = Tensor::from_slice(rgb.as_raw(), (1, height as usize, width as usize, 3), device)?;
    Ok(((pixels.permute((0, 3, 1, 2))?.contiguous()? * 2.0)? - 1.0)?)
}

/// One image per batch entry, sRGB in 0..=1, from `[batch, 3, height, width]` in -1..=1.
pub fn rgb_from_tensor(pixels: &Tensor) -> Result<Vec<Rgb32FImage>, ModelError> {
    let (batch, _, height, width) = pixels.dims4()?;
    let pixels = ((pixels.to_dtype(DType::F32)? + 1.0)? * 0.5)?.clamp(0f32, 1f32)?.permute((0, 2, 3, 1))?.contiguous()?;
    (0..batch)
        .map(|i| {
            let values = pixels.get(i)?.flatten_all()?.to_vec1::<f32>()?;
            Rgb32FImage::from_raw(width as u32, height as u32, values)
                .ok_or_else(|| ModelError::BadInput(format!("decoded image {i} has no pixels")))
        })
        .collect()
}
