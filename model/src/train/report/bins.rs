//! Losses by timestep.

use super::StepNumbers;
use crate::sampler::schedule;
use crate::train::steps::BatchLosses;

/// Equal parts of the timesteps 0 to 1000.
pub const BINS: usize = 5;

/// `0_200` for the first part.
pub fn bin_name(bin: usize) -> String {
    let width = 1000 / BINS;
    format!("{}_{}", bin * width, (bin + 1) * width)
}

#[derive(Debug, Default, Clone, Copy)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: f32) {
        self.sum += f64::from(value);
        self.count += 1;
    }

    fn get(self) -> Option<f32> {
        (self.count > 0).then(|| (self.sum / self.count as f64) as f32)
    }
}

/// Sums since the last report.
#[derive(Debug, Default, Clone)]
pub struct Bins {
    total: Mean,
    flow: Mean,
    focal: Mean,
    by_timestep: [Mean; BINS],
}

impl Bins {
    /// Adds a batch.
    pub fn add(&mut self, losses: &BatchLosses) {
        self.total.add(losses.total);
        for (&sigma, &loss) in losses.sigmas.iter().zip(&losses.flow) {
            let bin = (schedule::timestep(sigma) as usize * BINS / 1000).min(BINS - 1);
            self.by_timestep[bin].add(loss);
            self.flow.add(loss);
        }
        for &loss in &losses.focal {
            self.focal.add(loss);
        }
    }

    /// Mean of what was minimised.
    pub fn loss(&self) -> Option<f32> {
        self.total.get()
    }

    /// Samples since the last report.
    pub fn samples(&self) -> usize {
        self.flow.count
    }

    /// The means, the rest of the numbers left at 0.
    pub fn numbers(&self, step: usize) -> StepNumbers {
        StepNumbers {
            step,
            loss: self.total.get().unwrap_or_default(),
            flow: self.flow.get().unwrap_or_default(),
            focal: self.focal.get(),
            bins: self.by_timestep.iter().map(|bin| bin.get()).collect(),
            gradient_norm: 0.0,
            learning_rate: 0.0,
            samples_per_sec: 0.0,
        }
    }
}
