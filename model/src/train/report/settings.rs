//! What is written on the way, as both kinds of recipe say it.

use serde::{Deserialize, Serialize};

use crate::ranges::{MOST_STEPS, all_within, within};

/// What is written on the way; a step count of 0 switches validation or strips off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reporting {
    /// Steps between rows of the logs.
    pub every: usize,
    /// Steps between validations.
    pub validate_every: usize,
    /// Validation samples.
    pub validation_samples: usize,
    /// Noise levels of the validation.
    pub sigmas: Vec<f32>,
    /// Steps between sample strips.
    pub sample_every: usize,
    /// Scenes in a strip.
    pub samples: usize,
    /// Sampling steps of a strip.
    pub sample_steps: usize,
    /// Steps between saved states.
    pub save_every: usize,
    /// Saved states that are kept, beside the best of what is trained.
    pub keep: usize,
}

impl Default for Reporting {
    fn default() -> Self {
        Self {
            every: 10,
            validate_every: 100,
            validation_samples: 8,
            sigmas: vec![0.1, 0.3, 0.5, 0.7, 0.9],
            sample_every: 500,
            samples: 3,
            sample_steps: 20,
            save_every: 100,
            keep: 3,
        }
    }
}

impl Reporting {
    /// Refuses values outside their ranges, naming the key.
    ///
    /// # Errors
    /// The key, its value and the range, in words.
    pub fn check(&self) -> Result<(), String> {
        let steps = [
            ("report.every", self.every),
            ("report.save_every", self.save_every),
            ("report.keep", self.keep),
        ];
        all_within(&steps, 1..=MOST_STEPS)?;
        let counts = [
            ("report.validate_every", self.validate_every),
            ("report.sample_every", self.sample_every),
            ("report.validation_samples", self.validation_samples),
        ];
        all_within(&counts, 0..=MOST_STEPS)?;
        within("report.samples", self.samples, 0..=1000)?;
        within("report.sample_steps", self.sample_steps, 1..=1000)?;
        within("the number of report.sigmas", self.sigmas.len(), 0..=1000)?;
        match self.sigmas.iter().find(|s| !(**s > 0.0 && **s <= 1.0)) {
            Some(sigma) => Err(format!(
                "report.sigmas holds {sigma}: noise levels are above 0 and at most 1"
            )),
            None => Ok(()),
        }
    }
}
