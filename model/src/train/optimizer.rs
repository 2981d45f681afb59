//! `AdamW` with gradient clipping and an exponential moving average, one threaded pass over host memory per step.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var};
use rayon::prelude::*;

use super::variables::Variables;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.99;
const EPSILON: f32 = 1e-8;
/// Numbers that one task looks at.
const CHECKED_AT_ONCE: usize = 1 << 16;

/// A variable with its moments.
pub struct Slot {
    pub name: String,
    var: Var,
    /// Master values.
    pub value: Vec<f32>,
    /// First moment.
    pub mean: Vec<f32>,
    /// Second moment.
    pub square: Vec<f32>,
    /// Moving average of the values: what is exported.
    pub average: Vec<f32>,
}

impl Slot {
    pub fn shape(&self) -> &[usize] {
        self.var.dims()
    }

    /// Writes the master values into the variable.
    pub fn publish(&self) -> Result<()> {
        let values = Tensor::from_slice(&self.value, self.var.dims(), &Device::Cpu)?;
        self.var
            .set(&values.to_dtype(self.var.dtype())?.to_device(self.var.device())?)
    }
}

/// Rates of one step.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    pub learning_rate: f64,
    pub weight_decay: f32,
    pub clip: f32,
    pub ema: f32,
}

/// `AdamW` (Loshchilov and Hutter 2019) over all variables.
pub struct Optimizer {
    pub slots: Vec<Slot>,
    /// Steps taken in this phase.
    pub step: usize,
}

impl Optimizer {
    /// The first variable that a step has driven out of the numbers.
    pub fn not_finite(&self) -> Option<&str> {
        let is_finite = |values: &[f32]| {
            values
                .par_chunks(CHECKED_AT_ONCE)
                .all(|part| part.iter().all(|x| x.is_finite()))
        };
        let is_bad = |slot: &&Slot| !is_finite(&slot.value) || !is_finite(&slot.average);
        self.slots.iter().find(is_bad).map(|slot| slot.name.as_str())
    }

    pub fn new(variables: &Variables) -> Result<Self> {
        Self::of(variables.all())
    }

    /// Over these variables, whose f32 values are kept on the host whatever dtype and device they have.
    pub fn of(variables: BTreeMap<String, Var>) -> Result<Self> {
        let slot = |(name, var): (String, Var)| -> Result<Slot> {
            let value: Vec<f32> = var.as_tensor().flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
            let zeros = vec![0.0; value.len()];
            Ok(Slot {
                name,
                var,
                mean: zeros.clone(),
                square: zeros,
                average: value.clone(),
                value,
            })
        };
        Ok(Self {
            slots: variables.into_iter().map(slot).collect::<Result<_>>()?,
            step: 0,
        })
    }

    /// Applies one step; returns the gradient norm before clipping.
    pub fn apply(&mut self, grads: &GradStore, rates: Rates) -> Result<f32> {
        let grads = self
            .slots
            .iter()
            .map(|slot| {
                grads
                    .get(&slot.var)
                    .map(|g| g.flatten_all()?.to_vec1::<f32>())
                    .transpose()
            })
            .collect::<Result<Vec<Option<Vec<f32>>>>>()?;
        self.apply_values(grads, rates)
    }

    /// As [`Self::apply`], from gradients on the host, one per slot.
    pub fn apply_values(&mut self, grads: Vec<Option<Vec<f32>>>, rates: Rates) -> Result<f32> {
        let norm = grads
            .par_iter()
            .flatten()
            .map(|g| g.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>())
            .sum::<f64>()
            .sqrt() as f32;
        self.step += 1;
        let update = Update::new(self.step, rates, norm);
        self.slots.par_iter_mut().zip(grads).try_for_each(|(slot, grad)| {
            if let Some(grad) = grad {
                update.apply(slot, &grad);
                slot.publish()?;
            }
            Ok::<_, candle_core::Error>(())
        })?;
        Ok(norm)
    }
}

/// Scalars of one step.
struct Update {
    scale: f32,
    rate: f32,
    decay: f32,
    correction_1: f32,
    correction_2: f32,
    ema: f32,
}

impl Update {
    fn new(step: usize, rates: Rates, norm: f32) -> Self {
        let step_i = step as i32;
        Self {
            scale: if norm > rates.clip { rates.clip / norm } else { 1.0 },
            rate: rates.learning_rate as f32,
            decay: 1.0 - rates.learning_rate as f32 * rates.weight_decay,
            correction_1: 1.0 / (1.0 - BETA_1.powi(step_i)),
            correction_2: 1.0 / (1.0 - BETA_2.powi(step_i)),
            ema: rates.ema.min((1 + step) as f32 / (10 + step) as f32),
        }
    }

    fn apply(&self, slot: &mut Slot, grad: &[f32]) {
        for (i, &g) in grad.iter().enumerate() {
            let g = g * self.scale;
            let (mean, square) = (&mut slot.mean[i], &mut slot.square[i]);
            *mean = BETA_1 * *mean + (1.0 - BETA_1) * g;
            *square = BETA_2 * *square + (1.0 - BETA_2) * g * g;
            let step = *mean * self.correction_1 / ((*square * self.correction_2).sqrt() + EPSILON);
            slot.value[i] = slot.value[i] * self.decay - self.rate * step;
            slot.average[i] = self.ema * slot.average[i] + (1.0 - self.ema) * slot.value[i];
        }
    }
}

/// Linear warm-up to `peak`, then a cosine to `last` at `steps`.
pub fn learning_rate(step: usize, steps: usize, warm_up: usize, peak: f64, last: f64) -> f64 {
    let warm = ((step + 1) as f64 / warm_up.max(1) as f64).min(1.0);
    let progress = (step as f64 / steps.max(1) as f64).min(1.0);
    warm * (last + (peak - last) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()))
}
