//! What an analysis is asked for.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use mdsd3_render::RenderError;
use mdsd3_words::{Mix, RenderRequest, Sampling, SceneSettings};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

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
    pub fn mix(&self, ratio: f32) -> Result<Mix, RenderError> {
        let mut mix = Mix::new();
        for (class, own) in &self.classes {
            mix.set(class, own.unwrap_or(ratio))
                .map_err(|error| bad(format!("lane {}: {error}", self.name)))?;
        }
        Ok(mix)
    }
}

impl FromStr for LaneSpec {
    type Err = RenderError;

    fn from_str(text: &str) -> Result<Self, RenderError> {
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
#[derive(Debug, Clone, PartialEq, Serialize, clap::Args)]
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
    /// Number of seeds, from --seed on
    #[arg(long, default_value_t = 8, allow_negative_numbers = true)]
    pub seeds: u64,
    /// Sampling, size and model of every run; its scene and mix are those of each photo and lane
    #[command(flatten)]
    #[serde(flatten, serialize_with = "without_scene_and_mix")]
    pub run: RenderRequest,
    /// Also run mixes of two classes with the moving average and with ratio curves, and compare them
    #[arg(long)]
    pub compare: bool,
    /// Also measure a grid of alpha and beta (with the first two seeds)
    #[arg(long)]
    pub alpha_beta: bool,
}

impl AnalyzeRequest {
    /// How a run's mix forms: each of its classes alone and all together at the run's ratios, on its photo, over `seeds`
    /// seeds from the run's own.
    ///
    /// # Errors
    /// Bad input when the mix has no class above 0.
    pub fn of_run(run: &RenderRequest, seeds: u64) -> Result<Self, RenderError> {
        let classes: Vec<(String, Option<f32>)> = run
            .sampling
            .mix
            .active()
            .map(|(class, ratio)| (class.to_owned(), Some(ratio)))
            .collect();
        if classes.is_empty() {
            return Err(bad("no class is above 0: raise one to see when it forms".to_owned()));
        }
        let lane = |classes: Vec<(String, Option<f32>)>| LaneSpec {
            name: classes
                .iter()
                .map(|(class, _)| class.as_str())
                .collect::<Vec<_>>()
                .join("+"),
            classes,
        };
        let mut lanes: Vec<LaneSpec> = classes.iter().map(|class| lane(vec![class.clone()])).collect();
        if classes.len() > 1 {
            lanes.push(lane(classes));
        }
        Ok(Self {
            photos: run.scene.path.clone().into_iter().collect(),
            lanes,
            ratio: 1.0,
            seeds,
            run: run.clone(),
            compare: false,
            alpha_beta: false,
        })
    }

    /// Checks what can be judged without a model.
    ///
    /// # Errors
    /// Bad input that names the setting.
    pub fn check_settings(&self) -> Result<(), RenderError> {
        if !(1..=MAX_SEEDS).contains(&self.seeds) || self.run.sampling.seed.checked_add(self.seeds).is_none() {
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
                .any(|other| folder_name(&other.name) == folder_name(&lane.name))
            {
                return Err(bad(format!("lane {lane} is given twice: keep one of them")));
            }
        }
        Ok(self.lane_run(None, &self.lanes[0])?.check_settings()?)
    }

    /// The run of one lane on one photo, as the render command would describe it.
    pub(super) fn lane_run(&self, photo: Option<PathBuf>, lane: &LaneSpec) -> Result<RenderRequest, RenderError> {
        Ok(RenderRequest {
            scene: SceneSettings {
                path: photo,
                ..self.run.scene.clone()
            },
            sampling: Sampling {
                mix: lane.mix(self.ratio)?,
                ..self.run.sampling.clone()
            },
            ..self.run.clone()
        })
    }

    /// How the runs of a seed are sampled, whatever their mix.
    pub(crate) fn sampling(&self, seed: u64) -> Sampling {
        Sampling {
            seed,
            ..self.run.batch_sampling()
        }
    }

    /// The seeds, first to last.
    pub(super) fn seeds(&self) -> Range<u64> {
        self.run.sampling.seed..self.run.sampling.seed + self.seeds
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

/// Leaves out what differs from run to run, or the report would show a photo and a mix that were never rendered.
fn without_scene_and_mix<S: Serializer>(run: &RenderRequest, serializer: S) -> Result<S::Ok, S::Error> {
    let mut value = serde_json::to_value(run).map_err(S::Error::custom)?;
    if let Value::Object(fields) = &mut value {
        fields.remove("scene");
        fields.remove("mix");
    }
    value.serialize(serializer)
}

/// A lane's name with `_` for everything but letters, digits and `-`.
pub(crate) fn folder_name(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' })
        .collect()
}

fn bad(message: String) -> RenderError {
    RenderError::BadInput(message)
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Wrapper {
        #[command(flatten)]
        request: AnalyzeRequest,
    }

    /// The request of a command line.
    pub fn parsed(args: &[&str]) -> AnalyzeRequest {
        Wrapper::try_parse_from(["analyze"].iter().chain(args))
            .expect("well formed")
            .request
    }

    #[test]
    fn a_lane_runs_with_every_option_of_a_render() {
        let request = parsed(&[
            "a.png",
            "--lanes",
            "rain",
            "--vae",
            "v.safetensors",
            "--beta",
            "0.3",
            "--ratio",
            "0.5",
        ]);
        let run = request.lane_run(None, &request.lanes[0]).expect("in range");
        assert_eq!(
            (run.sampling.mix.to_string(), run.sampling.beta),
            ("rain=0.5".to_owned(), 0.3)
        );
        assert_eq!(run.model.parts.vae, Some(PathBuf::from("v.safetensors")));
        let settings = serde_json::to_value(&request).expect("plain data");
        assert_eq!(
            (&settings["vae"], settings.get("mix")),
            (&Value::from("v.safetensors"), None)
        );
    }

    #[test]
    fn a_run_is_analysed_class_by_class_at_its_own_ratios() {
        let run = RenderRequest {
            scene: SceneSettings {
                path: Some("a.png".into()),
                ..SceneSettings::default()
            },
            sampling: Sampling {
                mix: "haze=0.8,rain=0.5,snow=0".parse().expect("well formed"),
                seed: 7,
                ..Sampling::default()
            },
            ..RenderRequest::default()
        };
        let request = AnalyzeRequest::of_run(&run, 3).expect("two classes");
        let mixes: Vec<String> = request
            .lanes
            .iter()
            .map(|lane| format!("{lane}: {}", lane.mix(request.ratio).expect("in range")))
            .collect();
        assert_eq!(
            mixes,
            ["haze: haze=0.8", "rain: rain=0.5", "haze+rain: haze=0.8,rain=0.5"]
        );
        assert_eq!(
            (request.seeds(), request.scenes()),
            (7..10, vec![run.scene.path.clone()])
        );
        let clean = RenderRequest {
            sampling: Sampling {
                mix: Mix::new(),
                ..run.sampling
            },
            ..run
        };
        assert!(
            AnalyzeRequest::of_run(&clean, 3)
                .expect_err("nothing to analyse")
                .is_bad_input()
        );
    }

    #[test]
    fn lanes_take_the_common_ratio_or_their_own() {
        let lane: LaneSpec = "rain=0.5 + haze".parse().expect("well formed");
        assert_eq!(lane.name, "rain=0.5+haze");
        assert_eq!(lane.mix(0.8).expect("in range").to_string(), "rain=0.5,haze=0.8");
        assert_eq!(folder_name(&lane.name), "rain_0_5_haze");
        assert!(lane.mix(7.0).expect_err("out of range").is_bad_input());
        for text in ["", "haze+", "haze+haze", "haze=x"] {
            assert!(text.parse::<LaneSpec>().expect_err(text).is_bad_input());
        }
    }
}
