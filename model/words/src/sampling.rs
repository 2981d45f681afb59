//! How a mix is sampled.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::balance::noise_share;
use crate::curves::{RatioCurve, check_curves};
use crate::error::{WordsError, bad};
use crate::heads::{HeadRatio, check_head_ratios};
use crate::mix::Mix;
use crate::model::ModelSummary;

/// The most denoising steps a run may take; beyond it Euler's error is far below 8-bit rounding.
pub const MAX_STEPS: usize = 1000;

/// The largest weights of noise and scene in the initial latents, the strongest guidance and the largest factor on an adapter: far
/// beyond what the studio offers, and short of where results are no longer numbers.
pub const MAX_WEIGHT: f32 = 100.0;

/// The mix of a first start: both kinds of degradation that the method is about, visible at once.
pub const DEFAULT_MIX: &str = "rain=0.7,haze=0.6";

/// How the flow is followed from one noise level to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// Flow-match Euler, one evaluation per step.
    #[default]
    Euler,
    /// Heun's method of second order, two evaluations per step.
    Heun,
}

impl Sampler {
    /// Its name, as files and the command line spell it.
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Evaluations of the network that a run of so many steps takes, guidance aside: Heun's last step ends without noise and
    /// takes one.
    pub fn evaluations(self, steps: usize) -> usize {
        match self {
            Self::Euler => steps,
            Self::Heun => (2 * steps).saturating_sub(1),
        }
    }
}

/// What steadies or changes the prediction between steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SamplerAid {
    /// Nothing: the plain sampler.
    #[default]
    None,
    /// Moving average of the clean-data prediction per wavelet sub-band, after Qian et al. 2024 (arXiv:2403.17870).
    MovingAverage,
}

settings! {
    /// How a mix is sampled: everything of a run but its photo and its model.
    ///
    /// The mix is no option here: each command takes it in its own way (`render` one, `analyze` lists).
    #[derive(Debug, Clone, PartialEq, clap::Args)]
    pub struct Sampling {
        /// Class ratios, such as haze=0.8,rain=0.5 (0 off, 1 as trained, up to 1.5)
        #[arg(skip = default_mix())]
        pub mix: Mix => default_mix(), "ratios";
        /// Weight of the noise in the initial latents
        #[arg(long, allow_negative_numbers = true)]
        pub alpha: f32 = 1.0, "initial noise";
        /// Weight of the scene in the initial latents
        #[arg(long, allow_negative_numbers = true)]
        pub beta: f32 = 0.0, "initial noise";
        /// Start at sigma = alpha / (alpha + beta), from the scene under that much noise, as SDEdit and img2img do
        #[arg(long)]
        pub start_at_noise_share: bool, "initial noise", if_set;
        /// Denoising steps
        #[arg(long, allow_negative_numbers = true)]
        pub steps: usize = 20, "steps";
        /// Guidance against the clean branch; 1 is none and takes one evaluation per step
        #[arg(long, allow_negative_numbers = true)]
        pub guidance: f32 = 1.0, "guidance";
        /// Seed of the noise
        #[arg(long, allow_negative_numbers = true)]
        pub seed: u64 = 0, "seed";
        /// Integrator
        #[arg(long, value_enum)]
        pub sampler: Sampler = Sampler::Euler, "sampler";
        /// What steadies the prediction between steps
        #[arg(long, value_enum)]
        pub sampler_aid: SamplerAid = SamplerAid::None, "sampler";
        /// Factor on a class's ratio over sigma, such as haze=1:1,0.5:1,0.3:0; one per class
        #[arg(long = "curve", value_name = "CLASS=SIGMA:FACTOR,...")]
        pub curves: Vec<RatioCurve>, "curves";
        /// Ratio of a single attention head in place of its class's, such as 3=0.5; may be given several times
        #[arg(long = "head", value_name = "HEAD=RATIO")]
        pub head_ratios: Vec<HeadRatio>, "heads", if_set;
        /// Prompt of a Stable Diffusion 3 checkpoint; the names of the classes with a ratio above 0 when absent
        #[arg(long, value_name = "TEXT")]
        pub prompt: Option<String>, "prompt";
        /// Prompt of the clean branch under guidance; "clean" when absent, nothing for a checkpoint without classes
        #[arg(long, value_name = "TEXT")]
        pub negative_prompt: Option<String>, "prompt";
        /// Factor on the adapter's low-rank updates: 0 leaves them out, 1 is as trained
        #[arg(long, allow_negative_numbers = true)]
        pub adapter_strength: f32 = 1.0, "adapter strength";
    }
}

fn default_mix() -> Mix {
    DEFAULT_MIX
        .parse()
        .expect("the default mix is well formed; a test parses it")
}

impl Sampling {
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
    pub fn weights(&self) -> (f32, f32) {
        if self.start_at_noise_share {
            let sigma = self.first_sigma();
            (sigma, 1.0 - sigma)
        } else {
            (self.alpha, self.beta)
        }
    }

    /// Whether two runs on one photo and model begin with the same latents and follow the same noise levels.
    #[allow(clippy::float_cmp)] // settings that people type, not results
    pub fn starts_as(&self, other: &Self) -> bool {
        self.seed == other.seed
            && (self.alpha, self.beta) == (other.alpha, other.beta)
            && self.first_sigma() == other.first_sigma()
            && self.steps == other.steps
    }

    /// Checks what can be judged without a model. Ratios need no check: a [`Mix`] can't hold a bad one.
    pub(crate) fn check_numbers(&self) -> Result<(), WordsError> {
        if self.steps == 0 || self.steps > MAX_STEPS {
            return Err(bad(format!("steps {} is outside 1 to {MAX_STEPS}", self.steps)));
        }
        for (name, value) in [("alpha", self.alpha), ("beta", self.beta), ("guidance", self.guidance)] {
            if !(0.0..=MAX_WEIGHT).contains(&value) {
                return Err(bad(format!("{name} {value} is not a number from 0 to {MAX_WEIGHT}")));
            }
        }
        if !(-MAX_WEIGHT..=MAX_WEIGHT).contains(&self.adapter_strength) {
            return Err(bad(format!(
                "adapter strength {} is not a number from -{MAX_WEIGHT} to {MAX_WEIGHT}",
                self.adapter_strength
            )));
        }
        if self.alpha == 0.0 && self.beta == 0.0 {
            return Err(bad(
                "alpha and beta are both 0: nothing to start from; raise one of them".to_owned(),
            ));
        }
        Ok(())
    }

    /// Checks classes and heads against a model's.
    pub(crate) fn check_against(&self, model: &ModelSummary) -> Result<(), WordsError> {
        // A checkpoint without classes takes the mix's names as words of its prompt.
        if model.classes.is_empty() {
            return Ok(());
        }
        self.mix.check_classes(&model.classes)?;
        check_curves(&self.curves, &model.classes)?;
        check_head_ratios(&self.head_ratios, model.heads)
    }
}
