//! What a run is, in the words that the CLI, the studio, a PNG's metadata and a sweep plan share.

use std::path::PathBuf;

use clap::ValueEnum;
use mdsd3_model::io::layout::ModelParts;
use mdsd3_model::mix::Mix;
use mdsd3_model::mmdit::{HeadRatio, check_head_ratios};
use mdsd3_model::pipeline::SampleSettings;
use mdsd3_model::sampler::Integrator;
use mdsd3_model::sampler::curves::{RatioCurve, check_curves};
use serde::{Deserialize, Serialize};

use crate::branch::Branch;
use crate::error::EngineError;
use crate::loaded::ModelKey;
use crate::protocol::ModelSummary;

/// The most denoising steps a run may take; beyond it Euler's error is far below 8-bit rounding.
pub const MAX_STEPS: usize = 1000;

/// The mix of a first start: both kinds of degradation that the method is about, visible at once.
pub const DEFAULT_MIX: &str = "rain=0.7,haze=0.6";

/// How a photo becomes a scene of the model's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Centre crop to a square of `size` pixels.
    #[default]
    Square,
    /// Keep the aspect ratio: the shorter side becomes `size` pixels, the longer one is cropped to the model's multiple.
    Aspect,
}

/// Numeric integrator of the sampling equation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
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

impl From<Sampler> for Integrator {
    fn from(sampler: Sampler) -> Self {
        match sampler {
            Sampler::Euler => Self::Euler,
            Sampler::Heun => Self::Heun,
        }
    }
}

/// What steadies or changes the prediction between steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SamplerAid {
    /// Nothing: the plain sampler.
    #[default]
    None,
    /// Moving average of the clean-data prediction per wavelet sub-band, after Qian et al. 2024 (arXiv:2403.17870).
    MovingAverage,
}

/// One mix run. Defaults are those of the studio's first start.
///
/// On the command line it has every option but photo and mix, which each command takes in its own way (`render` one of
/// each, `analyze` lists of both).
///
/// Fields that an older file lacks take their defaults; fields that this version doesn't know are refused, since ignoring
/// them would restore another run than the one that was saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub struct RenderRequest {
    /// Clean photo; the bundled demo photo when absent
    #[arg(skip)]
    #[serde(serialize_with = "path_as_text")]
    pub scene: Option<PathBuf>,
    /// Class ratios, such as haze=0.8,rain=0.5 (0 off, 1 as trained, up to 1.5)
    #[arg(skip = default_mix())]
    pub mix: Mix,
    /// Weight of the noise in the initial latents
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub alpha: f32,
    /// Weight of the scene in the initial latents
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub beta: f32,
    /// Start at sigma = alpha / (alpha + beta), from the scene under that much noise, as SDEdit and img2img do
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub start_at_noise_share: bool,
    /// Denoising steps
    #[arg(long, default_value_t = 20, allow_negative_numbers = true)]
    pub steps: usize,
    /// Guidance against the clean branch; 1 is none and takes one evaluation per step
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub guidance: f32,
    /// Seed of the noise
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub seed: u64,
    /// Integrator
    #[arg(long, value_enum, default_value_t)]
    pub sampler: Sampler,
    /// What steadies the prediction between steps
    #[arg(long, value_enum, default_value_t)]
    pub sampler_aid: SamplerAid,
    /// Factor on a class's ratio over sigma, such as haze=1:1,0.5:1,0.3:0; one per class
    #[arg(long = "curve", value_name = "CLASS=SIGMA:FACTOR,...")]
    pub curves: Vec<RatioCurve>,
    /// Ratio of a single attention head in place of its class's, such as 3=0.5; may be given several times
    #[arg(long = "head", value_name = "HEAD=RATIO")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub head_ratios: Vec<HeadRatio>,
    /// Side of the scene in pixels
    #[arg(long, default_value_t = 256, allow_negative_numbers = true)]
    pub size: u32,
    /// How the photo is fitted to that size
    #[arg(long, value_enum, default_value_t)]
    pub fit: Fit,
    /// Model folder or safetensors file; the bundled model when absent
    #[arg(long, value_name = "DIR|FILE")]
    #[serde(serialize_with = "path_as_text")]
    pub model: Option<PathBuf>,
    /// Prompt of a Stable Diffusion 3 checkpoint; the names of the classes with a ratio above 0 when absent
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Prompt of the clean branch under guidance; "clean" when absent, nothing for a checkpoint without classes
    #[arg(long, value_name = "TEXT")]
    pub negative_prompt: Option<String>,
    /// Autoencoder of a Stable Diffusion 3 checkpoint, in place of its own
    #[arg(long, value_name = "DIR|FILE")]
    pub vae: Option<PathBuf>,
    /// Tiny autoencoder (TAESD3) for previews
    #[arg(long, value_name = "DIR|FILE")]
    pub preview_vae: Option<PathBuf>,
    /// Text encoders, in place of the checkpoint's own
    #[arg(long, value_name = "DIR|FILE")]
    pub text_encoder: Option<PathBuf>,
    /// Folder with `tokenizer`, `tokenizer_2` and `tokenizer_3`
    #[arg(long, value_name = "DIR")]
    pub tokenizer: Option<PathBuf>,
    /// MDSD3 adapter over the checkpoint
    #[arg(long, value_name = "FILE")]
    pub adapter: Option<PathBuf>,
    /// Factor on the adapter's low-rank updates: 0 leaves them out, 1 is as trained
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub adapter_strength: f32,
    /// Attention heads, for a file whose shapes do not tell them
    #[arg(long, value_name = "N")]
    pub heads: Option<usize>,
    /// Compute device: cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Compute dtype: f32, bf16 or f16; on a processor f32, or bf16 where it has AVX-512 with bf16
    #[arg(long, default_value = "f32")]
    pub dtype: String,
    /// The run that this one takes over from at a step; a run of its own when absent
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<Box<Branch>>,
}

fn default_mix() -> Mix {
    DEFAULT_MIX
        .parse()
        .expect("the default mix is well formed; a test parses it")
}

impl Default for RenderRequest {
    fn default() -> Self {
        Self {
            scene: None,
            mix: default_mix(),
            alpha: 1.0,
            beta: 0.0,
            start_at_noise_share: false,
            steps: 20,
            guidance: 1.0,
            seed: 0,
            sampler: Sampler::Euler,
            sampler_aid: SamplerAid::None,
            curves: Vec::new(),
            head_ratios: Vec::new(),
            size: 256,
            fit: Fit::Square,
            model: None,
            prompt: None,
            negative_prompt: None,
            vae: None,
            preview_vae: None,
            text_encoder: None,
            tokenizer: None,
            adapter: None,
            adapter_strength: 1.0,
            heads: None,
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            branch: None,
        }
    }
}

impl RenderRequest {
    /// Checks everything that can be judged without a model: numbers, device and dtype. Ratios need no check: a [`Mix`]
    /// can't hold a bad one.
    ///
    /// # Errors
    /// [`EngineError::BadInput`] that names the setting, its value and the range.
    pub fn check_settings(&self) -> Result<(), EngineError> {
        if self.steps == 0 || self.steps > MAX_STEPS {
            return Err(bad(format!("steps {} is outside 1 to {MAX_STEPS}", self.steps)));
        }
        for (name, value) in [("alpha", self.alpha), ("beta", self.beta), ("guidance", self.guidance)] {
            if !value.is_finite() || value < 0.0 {
                return Err(bad(format!("{name} {value} is not a number of 0 or more")));
            }
        }
        if !self.adapter_strength.is_finite() {
            return Err(bad(format!(
                "adapter strength {} is not a number",
                self.adapter_strength
            )));
        }
        if self.alpha == 0.0 && self.beta == 0.0 {
            return Err(bad(
                "alpha and beta are both 0: nothing to start from; raise one of them".to_owned(),
            ));
        }
        if self.first_sigma() <= 0.0 {
            return Err(bad(format!(
                "alpha {} has no share of noise beside beta {}, so a start at the noise share has nothing to take away; \
                 raise alpha",
                self.alpha, self.beta
            )));
        }
        if let Some(branch) = &self.branch {
            branch.check(self)?;
        }
        self.model_key().check()
    }

    /// Checks everything, in the one place that the CLI, the worker and the studio share.
    ///
    /// # Errors
    /// [`EngineError::BadInput`] that names the setting, its value, and what would be accepted.
    pub fn check(&self, model: &ModelSummary) -> Result<(), EngineError> {
        self.check_settings()?;
        // A checkpoint without classes takes the mix's names as words of its prompt.
        if !model.classes.is_empty() {
            self.mix.check_classes(&model.classes)?;
            check_curves(&self.curves, &model.classes)?;
            check_head_ratios(&self.head_ratios, model.heads)?;
        }
        check_size(self.size, model.size_multiple, model.max_size)
    }

    /// The model the run needs.
    pub fn model_key(&self) -> ModelKey {
        ModelKey {
            path: self.model.clone(),
            parts: ModelParts {
                vae: self.vae.clone(),
                preview_vae: self.preview_vae.clone(),
                text_encoder: self.text_encoder.clone(),
                tokenizer: self.tokenizer.clone(),
                adapter: self.adapter.clone(),
                heads: self.heads,
            },
            device: self.device.clone(),
            dtype: self.dtype.clone(),
        }
    }

    /// Sets the model that the run needs.
    pub fn set_model_key(&mut self, key: &ModelKey) {
        let ModelKey {
            path,
            parts,
            device,
            dtype,
        } = key.clone();
        self.model = path;
        (self.vae, self.preview_vae) = (parts.vae, parts.preview_vae);
        (self.text_encoder, self.tokenizer) = (parts.text_encoder, parts.tokenizer);
        (self.adapter, self.heads) = (parts.adapter, parts.heads);
        (self.device, self.dtype) = (device, dtype);
    }

    /// What the model's sampler needs of it.
    pub(crate) fn sample_settings(&self) -> SampleSettings {
        let start = self.start();
        SampleSettings {
            alpha: start.alpha,
            beta: start.beta,
            start_at_noise_share: start.start_at_noise_share,
            steps: self.steps,
            guidance: self.guidance,
            seed: self.seed,
            integrator: self.sampler.into(),
            curves: self.curves.clone(),
            head_ratios: self.head_ratios.clone(),
            prompt: self.prompt.clone(),
            negative_prompt: self.negative_prompt.clone(),
            moving_average: self.sampler_aid == SamplerAid::MovingAverage,
        }
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
        self.sample_settings().first_sigma()
    }

    /// The regime of the initial noise equation that alpha and beta choose.
    pub fn regime(&self) -> Regime {
        Regime::of(self.alpha, self.beta)
    }
}

/// Writes a path as text. Names that are no Unicode keep what can be shown of them: a run's settings stay readable, though
/// its photo can't be found again by them.
#[allow(clippy::ref_option)] // serde passes the field as it is
fn path_as_text<S: serde::Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(serializer)
}

/// Checks a side in pixels against what a model takes, and names the nearest sizes that it takes.
fn check_size(size_px: u32, multiple_px: u32, max_px: u32) -> Result<(), EngineError> {
    let largest = max_px / multiple_px * multiple_px;
    if size_px > largest {
        return Err(bad(format!(
            "size {size_px} is too large for this model; its largest is {largest}"
        )));
    }
    if size_px > 0 && size_px.is_multiple_of(multiple_px) {
        return Ok(());
    }
    let below = size_px / multiple_px * multiple_px;
    let above = below + multiple_px;
    let nearest = match (below > 0, above <= largest) {
        (true, true) => format!("{below} or {above}"),
        (true, false) => below.to_string(),
        (false, _) => above.to_string(),
    };
    Err(bad(format!(
        "size {size_px} is not a multiple of {multiple_px}, which this model needs; nearest: {nearest}"
    )))
}

fn bad(message: String) -> EngineError {
    EngineError::BadInput(message)
}

/// Where alpha + beta of the initial noise equation `latents = alpha * noise + beta * scene` stands against 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regime {
    /// alpha + beta < 1.
    Damped,
    /// alpha + beta = 1.
    Balanced,
    /// alpha + beta > 1.
    Boosted,
}

impl Regime {
    /// The regime of a pair; sums within 1e-4 of 1 count as 1, since sliders and decimal fractions don't meet it exactly.
    pub fn of(alpha: f32, beta: f32) -> Self {
        let excess = f64::from(alpha) + f64::from(beta) - 1.0;
        if excess.abs() <= 1e-4 {
            Self::Balanced
        } else if excess < 0.0 {
            Self::Damped
        } else {
            Self::Boosted
        }
    }

    /// Its condition, as the studio and the CLI name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Damped => "alpha + beta < 1",
            Self::Balanced => "alpha + beta = 1",
            Self::Boosted => "alpha + beta > 1",
        }
    }

    /// What it does to a result, in one line.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Damped => "less energy than the sampler expects: smoother, weaker degradation",
            Self::Balanced => "keeps the scale of the latents; degradation weakens as noise gives way to the scene",
            Self::Boosted => {
                "keeps the noise at strength beside the scene: degradation stays strong, colours follow the scene"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Wrapper {
        #[command(flatten)]
        request: RenderRequest,
    }

    fn model() -> ModelSummary {
        ModelSummary {
            name: "test model".to_owned(),
            path: None,
            classes: vec!["rain".to_owned(), "haze".to_owned()],
            class_heads: vec![vec![0], vec![1]],
            heads: 2,
            blocks: 1,
            width: 8,
            parameters: 1,
            size_multiple: 16,
            max_size: 512,
            dtype: "f32".to_owned(),
            device: "cpu".to_owned(),
            notes: Vec::new(),
            ..ModelSummary::default()
        }
    }

    fn refusal(change: impl FnOnce(&mut RenderRequest)) -> String {
        let mut request = RenderRequest::default();
        change(&mut request);
        let error = request.check(&model()).expect_err("the request should be refused");
        assert!(error.is_bad_input());
        assert_eq!(error.to_string().lines().count(), 1);
        error.to_string()
    }

    #[test]
    fn defaults_of_clap_and_of_the_struct_agree() {
        let parsed = Wrapper::try_parse_from(["mdsd3"])
            .expect("no argument is needed")
            .request;
        assert_eq!(parsed, RenderRequest::default());
        parsed.check(&model()).expect("the defaults are valid");
    }

    #[test]
    fn every_bad_setting_is_refused_by_name() {
        assert!(refusal(|r| r.steps = 0).contains("steps 0"));
        assert!(refusal(|r| r.steps = 1001).contains("steps 1001"));
        assert!(refusal(|r| r.alpha = f32::NAN).contains("alpha NaN"));
        assert!(refusal(|r| r.beta = -0.1).contains("beta -0.1"));
        assert!(refusal(|r| r.alpha = 0.0).contains("both 0"));
        assert!(refusal(|r| (r.alpha, r.beta, r.start_at_noise_share) = (0.0, 1.0, true)).contains("raise alpha"));
        assert!(refusal(|r| r.guidance = f32::INFINITY).contains("guidance"));
        assert!(refusal(|r| r.device = "tpu".to_owned()).contains("tpu"));
        assert!(refusal(|r| r.dtype = "f64".to_owned()).contains("f64"));
        assert!(refusal(|r| r.head_ratios = vec!["2=1".parse().expect("well formed")]).contains("head 2"));
        assert!(refusal(|r| r.curves = vec!["fog=1:1".parse().expect("well formed")]).contains("fog"));
        assert!(refusal(|r| r.mix = "fog=0.5".parse().expect("well formed")).contains("fog"));
    }

    #[test]
    fn a_bad_size_names_its_nearest_valid_neighbours() {
        assert!(refusal(|r| r.size = 250).ends_with("nearest: 240 or 256"));
        assert!(refusal(|r| r.size = 0).ends_with("nearest: 16"));
        assert!(refusal(|r| r.size = 520).contains("largest is 512"));
        assert!(refusal(|r| r.size = 4096).contains("largest is 512"));
    }

    #[test]
    fn json_keeps_every_field_and_refuses_unknown_ones() {
        let request = RenderRequest {
            beta: 0.3,
            start_at_noise_share: true,
            seed: u64::MAX,
            sampler_aid: SamplerAid::MovingAverage,
            curves: vec!["haze=1:1,0.5:1,0.3:0".parse().expect("well formed")],
            fit: Fit::Aspect,
            ..RenderRequest::default()
        };
        let json = serde_json::to_string(&request).expect("plain data");
        assert_eq!(
            serde_json::from_str::<RenderRequest>(&json).expect("just written"),
            request
        );
        assert!(json.contains(r#""curves":["haze=1:1,0.5:1,0.3:0"]"#), "{json}");
        assert!(serde_json::from_str::<RenderRequest>(r#"{"stepz": 3}"#).is_err());
        let older: RenderRequest =
            serde_json::from_str(r#"{"steps": 3}"#).expect("fields an older file lacks are defaults");
        assert_eq!((older.sampler_aid, older.curves.len()), (SamplerAid::None, 0));
    }

    #[test]
    fn the_regime_tolerates_decimal_fractions() {
        assert_eq!(Regime::of(0.7, 0.3), Regime::Balanced);
        assert_eq!(Regime::of(0.1, 0.2), Regime::Damped);
        assert_eq!(Regime::of(1.0, 0.2), Regime::Boosted);
    }
}
