//! Seconds of a training step: flow matching's squared error on random latents, backward, one step of the optimiser.

use candle_core::{DType, Device, Tensor};

use super::{BenchSettings, Inputs, median_secs};
use crate::error::ModelError;
use crate::mmdit::Mmdit;
use crate::train::optimizer::{Optimizer, Rates};
use crate::train::variables::Variables;

/// Rates of the bundled model's recipe; they don't change the work.
const RATES: Rates = Rates {
    learning_rate: 1e-4,
    weight_decay: 0.01,
    clip: 1.0,
    ema: 0.999,
};

/// Samples per second of full training, in f32 on the processor.
pub(super) fn samples_per_second(settings: &BenchSettings) -> Result<f64, ModelError> {
    let device = Device::Cpu;
    let variables = Variables::new(0);
    let transformer = Mmdit::with_clean_path(&settings.transformer, variables.builder(), settings.clean)?;
    let mut optimizer = Optimizer::new(&variables)?;
    let inputs = Inputs::new(settings, &device, DType::F32)?;
    let scenes = Tensor::cat(&vec![&inputs.scene; settings.batch], 0)?;
    let mut step = || {
        let clean = settings
            .clean
            .then(|| transformer.clean_cache(&scenes, None))
            .transpose()?;
        let output = transformer.forward(&inputs.latents, &inputs.conditioning(clean.as_ref()))?;
        let loss = (output - &inputs.latents)?.sqr()?.mean_all()?;
        optimizer.apply(&loss.backward()?, RATES)?;
        Ok(loss)
    };
    step()?;
    Ok(settings.batch as f64 / median_secs(settings.repeats, &device, step)?)
}
