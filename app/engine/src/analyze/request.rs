//! What an analysis is asked for.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use mdsd3_model::mix::Mix;
use mdsd3_model::sampler::curves::RatioCurve;
use serde::Serialize;

use crate::error::EngineError;
use crate::request::{Fit, RenderRequest, SamplerAid};

/// The most seeds of an analysis; intervals shrink with their root only.
const MAX_SEEDS: u64 = 1000;

/// Classes joined by `+`, each with a ratio of its own or the common one: `haze`, `haze+rain`, `rain=0.5+haze`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LaneSpec {
    /// As it was given; the lane's name in tables, figures and folders.
    pub name: String,
    classes: Vec<(String, Option<f32>)>,
}

impl LaneSpec {
    /// Its mix, classes without a ratio of their own at `ratio`.
    pub fn mix(&self, ratio: f32) -> Result<Mix, EngineError> {
        let mut mix = Mix::new();
        for (class, own) in &self.classes {
            mix.set(class, own.unwrap_or(ratio))
                .map_err(|error| bad(format!("lane {}: {error}", self.name)))?;
        }
        Ok(mix)
    }
}

impl FromStr for LaneSpec {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        let name: String = text.split_whitespace().collect();
        let mut classes: Vec<(String, Option<f32>)> = Vec::new();
        for part in name.split('+') {
            let (class, ratio) = match part.split_once('=') {
                Some((class, number)) => (class, Some(number)),
                None => (part, None),
            };
            let ratio = ratio
                .map(|number| {
                    number
                        .parse()
                        .map_err(|_| bad(format!("lane {name}: {number:?} is not a ratio")))
                })
                .transpose()?;
            if class.is_empty() || classes.iter().any(|(known, _)| known == class) {
                return Err(bad(format!(
                    "lane {name:?} names no class or one twice: join classes by +, such as haze+rain"
                )));
            }
            classes.push((class.to_owned(), ratio));
        }
        Ok(Self { name, classes })
    }
}

impl fmt::Display for LaneSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What to analyse.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub struct AnalyzeRequest {
    /// Clean photos, each cropped to a square; the bundled demo photo when absent
    #[arg(value_name = "PHOTO")]
    pub photos: Vec<PathBuf>,
    /// Mixes to compare on the same noise: classes joined by +, each with =RATIO if not the common one
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "haze,rain,haze+rain",
        value_name = "LANE,..."
    )]
    pub lanes: Vec<LaneSpec>,
    /// Ratio of classes that have none of their own
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub ratio: f32,
    /// Number of seeds
    #[arg(long, default_value_t = 8, allow_negative_numbers = true)]
    pub seeds: u64,
    /// First seed
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub seed: u64,
    /// Weight of the noise in the initial latents
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub alpha: f32,
    /// Weight of the scene in the initial latents
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub beta: f32,
    /// Denoising steps
    #[arg(long, default_value_t = 20, allow_negative_numbers = true)]
    pub steps: usize,
    /// Guidance against the clean branch; 1 is none
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub guidance: f32,
    /// What steadies the prediction between steps
    #[arg(long, value_enum, default_value_t)]
    pub sampler_aid: SamplerAid,
    /// Factor on a class's ratio over sigma, such as haze=1:1,0.5:1,0.3:0; one per class
    #[arg(long = "curve", value_name = "CLASS=SIGMA:FACTOR,...")]
    pub curves: Vec<RatioCurve>,
    /// Side of the scenes in pixels
    #[arg(long, default_value_t = 256, allow_negative_numbers = true)]
    pub size: u32,
    /// Model folder or safetensors file; the bundled model when absent
    #[arg(long, value_name = "DIR|FILE")]
    pub model: Option<PathBuf>,
    /// Compute device: cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Compute dtype: f32, bf16 or f16
    #[arg(long, default_value = "f32")]
    pub dtype: String,
    /// Also run mixes of two classes with the moving average and with ratio curves, and compare them
    #[arg(long)]
    pub compare: bool,
    /// Also measure a grid of alpha and beta (with the first two seeds)
    #[arg(long)]
    pub alpha_beta: bool,
}

impl AnalyzeRequest {
    /// Checks what can be judged without a model.
    ///
    /// # Errors
    /// Bad input that names the setting.
    pub fn check_settings(&self) -> Result<(), EngineError> {
        if !(1..=MAX_SEEDS).contains(&self.seeds) || self.seed.checked_add(self.seeds).is_none() {
            return Err(bad(format!("seeds {} is outside 1 to {MAX_SEEDS}", self.seeds)));
        }
        for (index, lane) in self.lanes.iter().enumerate() {
            if lane.mix(self.ratio)?.is_clean() {
                return Err(bad(format!(
                    "lane {lane} has no class above 0: it is the clean branch that lanes are compared with"
                )));
            }
            if self.lanes[..index]
                .iter()
                .any(|other| super::folder_name(&other.name) == super::folder_name(&lane.name))
            {
                return Err(bad(format!("lane {lane} is given twice: keep one of them")));
            }
        }
        self.run(None, &self.lanes[0])?.check_settings()
    }

    /// The run of one lane on one photo, as the render command would describe it.
    pub(super) fn run(&self, photo: Option<PathBuf>, lane: &LaneSpec) -> Result<RenderRequest, EngineError> {
        Ok(RenderRequest {
            scene: photo,
            mix: lane.mix(self.ratio)?,
            alpha: self.alpha,
            beta: self.beta,
            steps: self.steps,
            guidance: self.guidance,
            seed: self.seed,
            sampler_aid: self.sampler_aid,
            curves: self.curves.clone(),
            size: self.size,
            fit: Fit::Square,
            model: self.model.clone(),
            device: self.device.clone(),
            dtype: self.dtype.clone(),
            ..RenderRequest::default()
        })
    }

    /// The photos; `None` stands for the bundled one.
    pub(super) fn scenes(&self) -> Vec<Option<PathBuf>> {
        if self.photos.is_empty() {
            vec![None]
        } else {
            self.photos.iter().cloned().map(Some).collect()
        }
    }
}

fn bad(message: String) -> EngineError {
    EngineError::BadInput(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_take_the_common_ratio_or_their_own() {
        let lane: LaneSpec = "rain=0.5 + haze".parse().expect("well formed");
        assert_eq!(lane.name, "rain=0.5+haze");
        assert_eq!(lane.mix(0.8).expect("in range").to_string(), "rain=0.5,haze=0.8");
        assert_eq!(super::super::folder_name(&lane.name), "rain_0_5_haze");
        assert!(lane.mix(7.0).expect_err("out of range").is_bad_input());
        for text in ["", "haze+", "haze+haze", "haze=x"] {
            assert!(text.parse::<LaneSpec>().expect_err(text).is_bad_input());
        }
    }
}
