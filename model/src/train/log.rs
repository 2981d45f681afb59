//! The loss log: one CSV row per report, appended across resumes.

use std::path::Path;

use super::table::Table;
use crate::error::ModelError;

/// Columns of `loss.csv`; `low`, `middle`, `high` split the loss at sigma 0.1 and 0.4, as the plain mean mostly shows
/// which noise levels were drawn.
const COLUMNS: [&str; 9] = [
    "phase",
    "step",
    "loss",
    "loss_sigma_low",
    "loss_sigma_middle",
    "loss_sigma_high",
    "gradient_norm",
    "learning_rate",
    "samples_per_sec",
];

/// Sums since the last row.
#[derive(Debug, Default, Clone)]
pub struct Sums {
    total: (f64, usize),
    bins: [(f64, usize); 3],
}

impl Sums {
    /// Adds one sample's loss at a noise level.
    pub fn add(&mut self, loss: f32, sigma: f32) {
        let bin = usize::from(sigma >= 0.1) + usize::from(sigma >= 0.4);
        for slot in [&mut self.total, &mut self.bins[bin]] {
            slot.0 += f64::from(loss);
            slot.1 += 1;
        }
    }

    /// Mean loss; `None` before the first sample.
    pub fn mean(&self) -> Option<f32> {
        (self.total.1 > 0).then(|| (self.total.0 / self.total.1 as f64) as f32)
    }
}

/// Where a row stands in the run.
pub struct Row<'a> {
    pub phase: &'a str,
    pub step: usize,
    pub gradient_norm: f32,
    pub learning_rate: f64,
    pub samples_per_sec: f32,
}

/// The log file.
pub struct LossLog(Table);

impl LossLog {
    pub fn new(folder: &Path) -> Self {
        Self(Table::new(folder.join("loss.csv"), &COLUMNS))
    }

    /// Appends a row, and the header when the file is new.
    pub fn append(&self, row: &Row, sums: &Sums) -> Result<(), ModelError> {
        let mean = |(sum, count): (f64, usize)| {
            if count == 0 {
                String::new()
            } else {
                format!("{:.6}", sum / count as f64)
            }
        };
        self.0.append(&[vec![
            row.phase.to_owned(),
            row.step.to_string(),
            mean(sums.total),
            mean(sums.bins[0]),
            mean(sums.bins[1]),
            mean(sums.bins[2]),
            format!("{:.5}", row.gradient_norm),
            format!("{:.3e}", row.learning_rate),
            format!("{:.2}", row.samples_per_sec),
        ]])
    }
}
