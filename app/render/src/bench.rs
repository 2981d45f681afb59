//! How fast a machine is: the model's shapes on random weights, for `mdsd3 bench`.

use mdsd3_model::autoencoder::KlConfig;
use mdsd3_model::bench::{self, AutoencoderShape, BenchSettings, OperationTime};
use mdsd3_model::config::MmditConfig;
use mdsd3_model::device::Place;
use mdsd3_words::device::{ComputeDevice, ComputeDtype};
use serde::Serialize;

use crate::bundled;
use crate::error::RenderError;
use crate::memory;

/// A model whose shapes are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The bundled model.
    #[default]
    Mini,
    /// Stable Diffusion 3 medium with its KL autoencoder.
    Sd3Medium,
}

/// What to measure; what is absent is the preset's own.
#[allow(clippy::struct_excessive_bools)] // independent switches of a command line
#[derive(Debug, Clone, clap::Args)]
pub struct BenchRequest {
    /// Shapes to measure
    #[arg(long, value_enum, default_value_t)]
    pub preset: Preset,
    /// Transformer blocks; the preset's when absent
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
    /// Side of the latents in latent pixels; 64 when absent (256 px for mini, 512 px for sd3-medium)
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub latent: usize,
    /// Context tokens; the bundled model's own or 154 when absent
    #[arg(long, value_name = "N")]
    pub context: Option<usize>,
    /// Lanes and guidance branches evaluated at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub batch: usize,
    /// Repetitions, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub repeats: usize,
    /// With the clean path (the default)
    #[arg(long, overrides_with = "no_clean")]
    pub clean: bool,
    /// Plain Stable Diffusion 3, without the clean path and head mask
    #[arg(long)]
    pub no_clean: bool,
    /// Leave the autoencoder out
    #[arg(long)]
    pub skip_autoencoder: bool,
    /// Measure a training step of the whole transformer too, in f32 on the processor
    #[arg(long)]
    pub train: bool,
    /// Break an evaluation down into operations
    #[arg(long)]
    pub profile: bool,
    /// Compute device: cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Compute dtype: f32, bf16 or f16
    #[arg(long, default_value = "f32")]
    pub dtype: String,
}

/// One line of the breakdown.
#[derive(Debug, Clone, Serialize)]
pub struct OperationReport {
    /// The operation; "other" is everything between the operations.
    pub operation: &'static str,
    /// How often it ran in one evaluation.
    pub calls: u64,
    /// Seconds of all its calls.
    pub seconds: f64,
    /// Its part of the evaluation, 0 to 1.
    pub share: f64,
    /// Achieved billions of floating-point operations per second; 0 for passes over memory.
    pub gflop_per_second: f64,
}

/// What was measured, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct BenchReport {
    /// The preset.
    pub preset: Preset,
    /// Transformer blocks.
    pub layers: usize,
    /// Side of the latents in latent pixels.
    pub latent: usize,
    /// Context tokens.
    pub context: usize,
    /// Lanes and branches.
    pub batch: usize,
    /// Device in words.
    pub device: String,
    /// Dtype in words.
    pub dtype: String,
    /// Threads of the processor's operations.
    pub threads: usize,
    /// Whether there is a clean path.
    pub clean: bool,
    /// Parameters of the transformer.
    pub parameters: u64,
    /// Median seconds of an evaluation as sampling runs it, the clean path cached.
    pub seconds_per_evaluation: f64,
    /// Median seconds of an evaluation that computes the clean path; the same number without a clean path.
    pub seconds_per_evaluation_uncached: f64,
    /// Median seconds of encoding one image, unless left out.
    pub encoder_seconds: Option<f64>,
    /// Median seconds of decoding one image, unless left out.
    pub decoder_seconds: Option<f64>,
    /// Samples per second of training, if asked for.
    pub training_samples_per_second: Option<f64>,
    /// Image and context tokens per second.
    pub tokens_per_second: f64,
    /// Billions of floating-point operations in the matrix products of an evaluation.
    pub gflop_per_evaluation: f64,
    /// Achieved billions of them per second.
    pub gflop_per_second: f64,
    /// The most resident memory of this process so far.
    pub peak_bytes: Option<u64>,
    /// The breakdown, slowest first; empty unless asked for.
    pub profile: Vec<OperationReport>,
}

/// Measures; `stage` hears what comes next, in words.
///
/// # Errors
/// [`RenderError::BadInput`] for sizes that a shape can't take, for weights that don't fit in memory, and for devices that
/// aren't there.
pub fn run(request: &BenchRequest, stage: &mut dyn FnMut(&'static str)) -> Result<BenchReport, RenderError> {
    let device: ComputeDevice = request.device.parse()?;
    let dtype: ComputeDtype = request.dtype.parse()?;
    let settings = settings(request)?;
    settings.check()?;
    if device == ComputeDevice::Cpu {
        check_memory(settings.parameters()?, dtype)?;
    }
    let measured = bench::run(&settings, &Place::open(device, dtype)?, stage)?;
    let per_second = |count: f64| count / measured.evaluation_secs;
    Ok(BenchReport {
        preset: request.preset,
        layers: settings.transformer.num_layers,
        latent: settings.latent,
        context: settings.context,
        batch: settings.batch,
        device: device.to_string(),
        dtype: dtype.to_string(),
        threads: measured.threads,
        clean: settings.clean,
        parameters: measured.parameters,
        seconds_per_evaluation: measured.evaluation_secs,
        seconds_per_evaluation_uncached: measured.uncached_evaluation_secs,
        encoder_seconds: measured.autoencoder_secs.map(|(encoder, _)| encoder),
        decoder_seconds: measured.autoencoder_secs.map(|(_, decoder)| decoder),
        training_samples_per_second: measured.training_samples_per_sec,
        tokens_per_second: per_second(measured.tokens as f64),
        gflop_per_evaluation: measured.flop as f64 / 1e9,
        gflop_per_second: per_second(measured.flop as f64 / 1e9),
        peak_bytes: memory::peak_resident_bytes(),
        profile: breakdown(&measured.operations, measured.profiled_secs),
    })
}

fn settings(request: &BenchRequest) -> Result<BenchSettings, RenderError> {
    let (mut transformer, autoencoder, context) = match request.preset {
        Preset::Mini => {
            let config = bundled::model_config()?;
            let autoencoder = AutoencoderShape::Mini(config.autoencoder);
            (config.transformer, autoencoder, config.context_tokens)
        }
        // Both CLIP encoders' 77 tokens and as many of T5's.
        Preset::Sd3Medium => (MmditConfig::sd3_medium(), AutoencoderShape::Kl(KlConfig::sd3()), 154),
    };
    transformer.num_layers = request.layers.unwrap_or(transformer.num_layers);
    Ok(BenchSettings {
        transformer,
        autoencoder,
        latent: request.latent,
        context: request.context.unwrap_or(context),
        batch: request.batch,
        clean: !request.no_clean,
        repeats: request.repeats,
        profile: request.profile,
        with_autoencoder: !request.skip_autoencoder,
        train: request.train,
    })
}

/// Refuses weights that would not fit, rather than being killed half way.
fn check_memory(parameters: u64, dtype: ComputeDtype) -> Result<(), RenderError> {
    let needed = parameters * dtype.bytes();
    match memory::machine_bytes() {
        Some((_, available)) if needed > available => Err(RenderError::BadInput(format!(
            "the weights alone take {:.1} GB in {dtype} and {:.1} GB of memory are available; lower --layers",
            needed as f64 / 1e9,
            available as f64 / 1e9
        ))),
        _ => Ok(()),
    }
}

/// The operations, slowest first, and what is left over.
fn breakdown(operations: &[OperationTime], total_secs: f64) -> Vec<OperationReport> {
    let line = |operation, calls, seconds: f64, flop: u64| OperationReport {
        operation,
        calls,
        seconds,
        share: seconds / total_secs,
        gflop_per_second: flop as f64 / 1e9 / seconds,
    };
    let mut lines: Vec<_> = operations
        .iter()
        .map(|o| line(o.name, o.calls, o.seconds, o.flop))
        .collect();
    if !lines.is_empty() {
        let known: f64 = operations.iter().map(|o| o.seconds).sum();
        lines.push(line("other", 1, (total_secs - known).max(0.0), 0));
    }
    lines.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_beyond_memory_are_refused() {
        check_memory(1000, ComputeDtype::F32).expect("4 kB fit");
        if memory::machine_bytes().is_some() {
            let error = check_memory(1 << 50, ComputeDtype::Bf16).expect_err("2 petabytes don't");
            assert!(
                error.is_bad_input() && error.to_string().contains("--layers"),
                "{error}"
            );
        }
    }
}
