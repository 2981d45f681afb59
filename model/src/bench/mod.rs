//! What `mdsd3 bench` measures: seconds of a transformer evaluation with and without the clean path's cache, and of the
//! autoencoder, on random weights.
//!
//! | file | what |
//! |---|---|
//! | this one | settings, the measurement, its report |
//! | `training` | samples per second of the trainer |
//! | `weights` | random weights |

mod training;
mod weights;

use std::time::Instant;

use candle_core::{DType, Device, Tensor};

use crate::autoencoder::{KlAutoencoder, KlConfig, MiniAutoencoder};
use crate::config::{MiniAutoencoderConfig, MmditConfig};
use crate::device::Place;
use crate::error::ModelError;
use crate::io::skeleton::Skeleton;
pub use crate::kernels::OperationTime;
use crate::kernels::record;
use crate::mmdit::{Conditioning, Mmdit};
use crate::sampler::noise::gaussian;
use weights::random_weights;

/// Repetitions of one measurement stop early after this many seconds: an autoencoder at a large size takes minutes.
const MOST_SECONDS: f64 = 10.0;

/// Shape of the autoencoder beside the transformer.
#[derive(Debug, Clone)]
pub enum AutoencoderShape {
    /// This program's own, in the transformer's dtype.
    Mini(MiniAutoencoderConfig),
    /// SD3's, always in f32, as in a pipeline.
    Kl(KlConfig),
}

/// What to measure.
#[allow(clippy::struct_excessive_bools)] // independent switches
#[derive(Debug, Clone)]
pub struct BenchSettings {
    /// Shape of the transformer.
    pub transformer: MmditConfig,
    /// Shape of the autoencoder.
    pub autoencoder: AutoencoderShape,
    /// Side of the latents, in latent pixels.
    pub latent: usize,
    /// Context tokens.
    pub context: usize,
    /// Lanes and guidance branches that are evaluated at once.
    pub batch: usize,
    /// Whether the transformer has a clean path.
    pub clean: bool,
    /// Repetitions, of which the median counts.
    pub repeats: usize,
    /// Whether to measure the autoencoder.
    pub with_autoencoder: bool,
    /// Whether to measure a training step.
    pub train: bool,
    /// Whether to break an evaluation down into operations.
    pub profile: bool,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct BenchReport {
    /// Parameters of the transformer, clean path included.
    pub parameters: u64,
    /// Image and context tokens of one evaluation, over the whole batch.
    pub tokens: usize,
    /// Floating-point operations of the matrix products in one evaluation, clean path cached.
    pub flop: u64,
    /// Median seconds of an evaluation as sampling runs it: clean path cached.
    pub evaluation_secs: f64,
    /// Median seconds of an evaluation that computes the clean path itself; without one, as [`Self::evaluation_secs`].
    pub uncached_evaluation_secs: f64,
    /// Median seconds of encoding one image of `latent` latent pixels a side, and of decoding it.
    pub autoencoder_secs: Option<(f64, f64)>,
    /// Samples per second of full training.
    pub training_samples_per_sec: Option<f64>,
    /// One cached evaluation, operation by operation; empty unless asked for.
    pub operations: Vec<OperationTime>,
    /// Seconds of the evaluation that [`Self::operations`] is about, the work between them included.
    pub profiled_secs: f64,
    /// Threads of the matrix products and fused operations.
    pub threads: usize,
}

impl BenchSettings {
    /// Refuses sizes that the shapes can't take, naming the setting.
    ///
    /// # Errors
    /// Bad input that names the setting.
    pub fn check(&self) -> Result<(), ModelError> {
        let bad = |message: String| Err(ModelError::BadInput(message));
        let counts = [
            ("layers", self.transformer.num_layers),
            ("latent", self.latent),
            ("context", self.context),
            ("batch", self.batch),
            ("repeats", self.repeats),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return bad(format!("{name} is 0; give 1 or more"));
        }
        self.transformer.check()?;
        let (patch, side) = (self.transformer.patch_size, self.transformer.pos_embed_max_size);
        let multiple = match self.autoencoder {
            AutoencoderShape::Mini(_) => patch,
            // An odd level of the encoder can't be halved.
            AutoencoderShape::Kl(_) => patch.max(2),
        };
        if !self.latent.is_multiple_of(multiple) || self.latent > side * patch {
            return bad(format!(
                "latent {} doesn't suit this shape: a multiple of {multiple}, at most {}",
                self.latent,
                side * patch
            ));
        }
        Ok(())
    }

    /// Parameters of the transformer, counted without making it.
    ///
    /// # Errors
    /// Shapes that no transformer can have.
    pub fn parameters(&self) -> Result<u64, ModelError> {
        let skeleton = Skeleton::new(None);
        Mmdit::with_clean_path(&self.transformer, skeleton.builder(), self.clean)?;
        let shapes = skeleton.shapes();
        // Positions are a table, not something that was learned.
        let learned = shapes.iter().filter(|(name, _)| !name.ends_with(".pos_embed"));
        Ok(learned.map(|(_, shape)| shape.iter().product::<usize>() as u64).sum())
    }
}

/// Measures; `stage` hears what comes next, in words.
///
/// # Errors
/// Bad input for settings that [`BenchSettings::check`] refuses.
pub fn run(
    settings: &BenchSettings,
    place: &Place,
    stage: &mut dyn FnMut(&'static str),
) -> Result<BenchReport, ModelError> {
    let (device, dtype) = (&place.device, place.dtype);
    settings.check()?;
    stage("making weights");
    let weights = random_weights(settings.clean, dtype, device);
    let transformer = Mmdit::new(&settings.transformer, weights)?;
    let inputs = Inputs::new(settings, device, dtype)?;
    stage("measuring the transformer");
    let Cached {
        flop,
        evaluation_secs,
        operations,
        profiled_secs,
    } = inputs.cached(&transformer, settings)?;
    let uncached_evaluation_secs = if settings.clean {
        stage("measuring the transformer without the cache");
        inputs.uncached(&transformer, settings)?
    } else {
        evaluation_secs
    };
    drop(transformer);
    let mut autoencoder_secs = None;
    if settings.with_autoencoder {
        stage("measuring the autoencoder");
        autoencoder_secs = Some(autoencoder(settings, device, dtype)?);
    }
    let mut training_samples_per_sec = None;
    if settings.train {
        stage("measuring a training step");
        training_samples_per_sec = Some(training::samples_per_second(settings)?);
    }
    let image_tokens = (settings.latent / settings.transformer.patch_size).pow(2);
    Ok(BenchReport {
        parameters: settings.parameters()?,
        tokens: settings.batch * (image_tokens + settings.context),
        flop,
        evaluation_secs,
        uncached_evaluation_secs,
        autoencoder_secs,
        training_samples_per_sec,
        operations,
        profiled_secs,
        threads: rayon::current_num_threads(),
    })
}

/// What was measured of evaluations with the clean path cached.
struct Cached {
    flop: u64,
    evaluation_secs: f64,
    operations: Vec<OperationTime>,
    profiled_secs: f64,
}

/// Random tensors of the settings' sizes.
struct Inputs {
    latents: Tensor,
    scene: Tensor,
    context: Tensor,
    pooled: Tensor,
    timestep: Tensor,
    mask: Tensor,
}

impl Inputs {
    fn new(settings: &BenchSettings, device: &Device, dtype: DType) -> Result<Self, ModelError> {
        let config = &settings.transformer;
        let (batch, side) = (settings.batch, settings.latent);
        let random = |lane: u64, shape: &[usize]| -> Result<Tensor, ModelError> {
            let values = gaussian(0, 0, lane, shape.iter().product());
            Ok(Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?)
        };
        Ok(Self {
            latents: random(0, &[batch, config.in_channels, side, side])?,
            scene: random(1, &[1, config.in_channels, side, side])?,
            context: random(2, &[batch, settings.context, config.joint_attention_dim])?,
            pooled: random(3, &[batch, config.pooled_projection_dim])?,
            timestep: Tensor::full(500f32, batch, device)?,
            mask: Tensor::full(0.5f32, (batch, config.num_attention_heads), device)?.to_dtype(dtype)?,
        })
    }

    fn cached(&self, transformer: &Mmdit, settings: &BenchSettings) -> Result<Cached, ModelError> {
        let clean = transformer
            .has_clean_path()
            .then(|| transformer.clean_cache(&self.scene, None))
            .transpose()?;
        let evaluate = || transformer.forward(&self.latents, &self.conditioning(clean.as_ref()));
        // The first evaluation pays for memory that the system hands out; it counts the work instead.
        let (first, counted) = record(evaluate);
        first?;
        let evaluation_secs = median_secs(settings.repeats, self.latents.device(), evaluate)?;
        let mut profiled = (Ok(()), Vec::new());
        let start = Instant::now();
        if settings.profile {
            profiled = record(|| evaluate().map(|_| ()));
        }
        let profiled_secs = start.elapsed().as_secs_f64();
        profiled.0?;
        Ok(Cached {
            flop: counted.iter().map(|operation| operation.flop).sum(),
            evaluation_secs,
            operations: profiled.1,
            profiled_secs,
        })
    }

    fn uncached(&self, transformer: &Mmdit, settings: &BenchSettings) -> Result<f64, ModelError> {
        let evaluate = || {
            let clean = transformer.clean_cache(&self.scene, None)?;
            transformer.forward(&self.latents, &self.conditioning(Some(&clean)))
        };
        Ok(median_secs(settings.repeats, self.latents.device(), evaluate)?)
    }

    fn conditioning<'a>(&'a self, clean: Option<&'a crate::mmdit::CleanCache>) -> Conditioning<'a> {
        Conditioning {
            timestep: &self.timestep,
            context: &self.context,
            pooled: &self.pooled,
            mask: clean.is_some().then_some(&self.mask),
            clean,
            origin: None,
        }
    }
}

/// Median seconds of encoding and of decoding one image.
fn autoencoder(settings: &BenchSettings, device: &Device, dtype: DType) -> Result<(f64, f64), ModelError> {
    let random = |channels: usize, side: usize, dtype: DType| -> Result<Tensor, ModelError> {
        let values = gaussian(0, 1, channels as u64, channels * side * side);
        Ok(Tensor::from_vec(values, (1, channels, side, side), device)?.to_dtype(dtype)?)
    };
    let (side, repeats) = (settings.latent, settings.repeats);
    match &settings.autoencoder {
        AutoencoderShape::Mini(config) => {
            let codec = MiniAutoencoder::new(config, random_weights(false, dtype, device))?;
            let pixels = random(3, side * config.factor, dtype)?;
            let latents = random(config.latent_channels, side, dtype)?;
            Ok((
                median_secs(repeats, device, || codec.encode(&pixels))?,
                median_secs(repeats, device, || codec.decode(&latents))?,
            ))
        }
        AutoencoderShape::Kl(config) => {
            let codec = KlAutoencoder::new(config, &random_weights(false, DType::F32, device))?;
            let pixels = random(3, side * config.factor(), DType::F32)?;
            let latents = random(config.latent_channels, side, DType::F32)?;
            Ok((
                median_secs(repeats, device, || codec.encode(&pixels))?,
                median_secs(repeats, device, || codec.decode(&latents))?,
            ))
        }
    }
}

/// Median seconds of up to `repeats` runs, the device's work included.
fn median_secs(
    repeats: usize,
    device: &Device,
    mut f: impl FnMut() -> candle_core::Result<Tensor>,
) -> candle_core::Result<f64> {
    let began = Instant::now();
    let mut secs = Vec::with_capacity(repeats);
    while secs.len() < repeats && (secs.is_empty() || began.elapsed().as_secs_f64() < MOST_SECONDS) {
        let start = Instant::now();
        f()?;
        device.synchronize()?;
        secs.push(start.elapsed().as_secs_f64());
    }
    secs.sort_by(f64::total_cmp);
    Ok(secs[secs.len() / 2])
}
