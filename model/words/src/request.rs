//! One mix run, in the words that the command line, the studio, a PNG's metadata and a plan share.

use std::ops::Deref;
use std::path::Path;

use crate::branch::Branch;
use crate::error::{WordsError, bad};
use crate::model::{ModelSettings, ModelSummary};
use crate::sampling::Sampling;
use crate::scene::SceneSettings;
use crate::weather::WeatherSettings;

settings! {
    /// One mix run. Defaults are those of the studio's first start.
    ///
    /// On the command line it has every option but photo, mix and weather, which each command takes in its own way (`render` one
    /// photo and mix, `analyze` lists of both, `degrade` all of the weather).
    ///
    /// Fields that an older file lacks take their defaults; fields that this version doesn't know are refused, since ignoring
    /// them would restore another run than the one that was saved.
    #[derive(Debug, Clone, PartialEq, clap::Args)]
    pub struct RenderRequest {
        groups {
            /// Its photo.
            #[command(flatten)]
            pub scene: SceneSettings;
            /// How it is sampled.
            #[command(flatten)]
            pub sampling: Sampling;
            /// By which model.
            #[command(flatten)]
            pub model: ModelSettings;
            /// What its weather is made of.
            #[arg(skip)]
            pub weather: WeatherSettings;
        }
        /// The run that this one takes over from at a step; a run of its own when absent
        #[arg(skip)]
        pub branch: Option<Box<Branch>>, "branch", if_set;
    }
}

/// A run that its model can do as it stands: only [`RenderRequest::check`] makes one, so nothing behind it checks again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CheckedRequest<'a>(&'a RenderRequest);

impl<'a> CheckedRequest<'a> {
    /// The run.
    pub fn request(self) -> &'a RenderRequest {
        self.0
    }
}

impl Deref for CheckedRequest<'_> {
    type Target = RenderRequest;

    fn deref(&self) -> &RenderRequest {
        self.0
    }
}

impl RenderRequest {
    /// Checks everything that can be judged without a model, before one is loaded: numbers, device and dtype.
    ///
    /// # Errors
    /// [`WordsError::BadInput`] that names the setting, its value and the range.
    pub fn check_settings(&self) -> Result<(), WordsError> {
        self.sampling.check_numbers()?;
        if self.first_sigma() <= 0.0 {
            return Err(bad(format!(
                "alpha {} has no share of noise beside beta {}, so a start at the noise share has nothing to take away; \
                 raise alpha",
                self.sampling.alpha, self.sampling.beta
            )));
        }
        if let Some(branch) = &self.branch {
            branch.check(self)?;
        }
        self.weather.check()?;
        self.model.check()
    }

    /// Checks everything, in the one place that the command line, the worker and the studio share.
    ///
    /// # Errors
    /// [`WordsError::BadInput`] that names the setting, its value, and what would be accepted.
    pub fn check(&self, model: &ModelSummary) -> Result<CheckedRequest<'_>, WordsError> {
        self.check_settings()?;
        self.sampling.check_against(model)?;
        self.scene.check_against(model)?;
        Ok(CheckedRequest(self))
    }

    /// The same of a physical baseline, whose classes are `formulas` whatever the checkpoint has.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_by_formula(&self, model: &ModelSummary, formulas: &[&str]) -> Result<CheckedRequest<'_>, WordsError> {
        self.check_settings()?;
        self.sampling.mix.check_classes(formulas)?;
        self.scene.check_against(model)?;
        Ok(CheckedRequest(self))
    }

    /// The run whose initial latents this one begins with: itself, or the first of the runs that it branches from.
    pub fn start(&self) -> &Self {
        let mut start = self;
        while let Some(branch) = &start.branch {
            start = &branch.from;
        }
        start
    }

    /// Noise level of the first step: 1, or the noise's share of the initial latents. A branch has its run's.
    pub fn first_sigma(&self) -> f32 {
        self.start().sampling.first_sigma()
    }

    /// What lanes of one batch agree on: everything but the mix, with the initial weights of the run that it begins with.
    pub fn batch_sampling(&self) -> Sampling {
        let start = &self.start().sampling;
        Sampling {
            mix: crate::Mix::new(),
            alpha: start.alpha,
            beta: start.beta,
            start_at_noise_share: start.start_at_noise_share,
            ..self.sampling.clone()
        }
    }

    /// Whether two runs start from the same latents on the same schedule, so that their steps can be compared pixel by pixel.
    pub fn starts_as(&self, other: &Self) -> bool {
        let (one, other) = (self.start(), other.start());
        one.scene == other.scene && one.model == other.model && one.sampling.starts_as(&other.sampling)
    }

    /// Sets the photo and the model of a run and of all runs that it branches from: where they have moved, they moved for all.
    pub fn lead_to(&mut self, scene: Option<&Path>, model: &ModelSettings) {
        self.scene.path = scene.map(Path::to_owned);
        self.model.clone_from(model);
        if let Some(branch) = &mut self.branch {
            branch.from.lead_to(scene, model);
        }
    }
}

#[cfg(test)]
mod tests;
