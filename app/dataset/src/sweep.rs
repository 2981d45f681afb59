//! Sweeps: a plan's jobs, enumerated in one fixed order without ever being held in memory at once.

use std::io::{self, BufWriter, Write};
use std::path::Path;

pub use mdsd3_model::pair_layout::Job;
use mdsd3_model::pair_layout::{Dataset, LayoutKind, Place};
use mdsd3_render::RenderError;
use mdsd3_render::degrade;
use mdsd3_render::jpeg;
use mdsd3_render::loaded::LoadedModel;
use mdsd3_render::regions;
use mdsd3_weather::check_settings;
use mdsd3_words::hash::hex;
use mdsd3_words::made::{EngineKind, ImageFormat, RunSettings};
use mdsd3_words::weather::WEATHER_VERSION;
use mdsd3_words::{Mix, ModelIdentity, RenderRequest, Sampling, SceneSettings, WordsError};
use sha2::{Digest, Sha256};

use crate::check::bad;
use crate::mixes::{self, MixSpec};
use crate::plan::{Copies, Names, Plan};
use crate::{scenes, weather};

/// What the settings of one pair may take beyond another's: longer numbers, and what says that it is a pair's.
const JPEG_TEXT_MARGIN_BYTES: usize = 1024;

/// Longest name of a file, in bytes: 255 on common file systems, less what temporary names add.
const MAX_NAME_BYTES: usize = 230;

/// Part of every key: raised when the same plan begins to give other pixels.
const FORMAT: &str = "mdsd3 sweep v1";

/// A plan with its model: everything that decides the files.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The plan.
    pub plan: Plan,
    /// The weights; the physical engine has a name and no hash.
    pub model: ModelIdentity,
    /// Mixes with their grids expanded.
    mixes: Vec<MixSpec>,
    /// What names depend on.
    dataset: Dataset,
    hash: String,
}

impl Sweep {
    /// The rules of its layout.
    pub(crate) fn layout(&self) -> LayoutKind {
        self.plan.layout
    }

    /// What its layout needs to know.
    pub(crate) fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// A sweep by formulas.
    pub(crate) fn physical(plan: Plan) -> Result<Self, RenderError> {
        check_each_mix(&plan, &degrade::CLASSES)?;
        check_settings(&plan.run.weather)?;
        let model = ModelIdentity {
            name: "physical".to_owned(),
            sha256: String::new(),
        };
        Self::new(plan, model)
    }

    /// A sweep by a loaded model.
    pub(crate) fn with_model(plan: Plan, model: &LoadedModel) -> Result<Self, RenderError> {
        // A checkpoint without classes takes the mix's names as words of its prompt.
        if !model.summary().classes.is_empty() {
            for spec in plan.mixes.iter().flatten() {
                let mut mix = Mix::new();
                mix.set(&spec.0, 0.0).map_err(WordsError::from)?;
                degrade::check_classes(&mix, &model.summary().classes, "engine = \"physical\"")?;
            }
            check_each_mix(&plan, &model.summary().classes)?;
        }
        for [alpha, beta] in &plan.alpha_beta {
            let request = RenderRequest {
                sampling: Sampling {
                    alpha: *alpha,
                    beta: *beta,
                    ..plan.run.sampling.clone()
                },
                ..plan.run.clone()
            };
            regions::check_classes(&request, &model.summary().classes)?;
            request.check(model.summary())?;
        }
        Self::new(plan, model.identity().resolve()?)
    }

    fn new(plan: Plan, model: ModelIdentity) -> Result<Self, RenderError> {
        if let Some(crop) = plan.crop {
            scenes::check_crop(crop.side, (0..plan.scenes.len()).map(|scene| plan.scene_path(scene)))?;
        }
        weather::check(&plan)?;
        let labels = match plan.names {
            Names::Scene => scenes::labels_by_name(&plan.scenes)?,
            Names::Number => scenes::labels_by_number(plan.scenes.len()),
        };
        let hash = hash_of(&plan, &model, WEATHER_VERSION)?;
        let mixes: Vec<MixSpec> = plan.mixes.iter().flat_map(mixes::expand).collect();
        let sweep = Self {
            dataset: dataset(&plan, &mixes, labels),
            mixes,
            hash,
            plan,
            model,
        };
        sweep.layout().check(&sweep.dataset)?;
        sweep.check_jpeg_texts()?;
        sweep.check_names()?;
        Ok(sweep)
    }

    /// Refuses photos whose files would have longer names than file systems take.
    fn check_names(&self) -> Result<(), RenderError> {
        let is_too_long = |path: &&String| path.split('/').any(|name| name.len() > MAX_NAME_BYTES);
        // All jobs of a scene have names of one length.
        for job in (0..self.plan.scenes.len()).filter_map(|scene| self.jobs_of(scene).next()) {
            let job = job?;
            let Place { gt, lq } = self.layout().place(&self.dataset, &job);
            let paths = [gt, lq, self.layout().info(&self.dataset, &job)];
            if let Some(path) = paths.iter().find(is_too_long) {
                return Err(bad(format!(
                    "scenes: {}: its files would be called {path}, a longer name than file systems take; rename the photo, or \
                     set names = \"number\"",
                    self.plan.scenes[job.scene]
                )));
            }
        }
        Ok(())
    }

    /// Refuses settings that don't fit a comment of a JPEG.
    fn check_jpeg_texts(&self) -> Result<(), RenderError> {
        let longest = (0..self.plan.scenes.len()).max_by_key(|scene| self.plan.scenes[*scene].len());
        let (ImageFormat::Jpeg, Some(scene)) = (self.plan.lq_format, longest) else {
            return Ok(());
        };
        let settings = RunSettings::new(self.request(&self.job(scene, 0)?), self.model.clone(), "0".repeat(64));
        let json = serde_json::to_string(&settings).map_err(|error| bad(format!("settings have no JSON ({error})")))?;
        let bytes = json.len().max(settings.in_words().len()) + JPEG_TEXT_MARGIN_BYTES;
        if bytes > jpeg::LONGEST_TEXT_BYTES {
            return Err(bad(format!(
                "save: a pair's settings take some {bytes} bytes and a JPEG has room for {}; shorten prompt and curves, or set lq_format = \"png\"",
                jpeg::LONGEST_TEXT_BYTES
            )));
        }
        Ok(())
    }

    /// Hash of the plan, its scenes' names and the model; names the dataset.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Refuses a dataset of this plan that was begun with an earlier version of the weather's formulas.
    ///
    /// # Arguments
    /// - `hash`: what the dataset in `folder` says that its plan's is
    pub(crate) fn check_weather_version(&self, folder: &Path, hash: &str) -> Result<(), RenderError> {
        let is_it = |version: &u32| hash_of(&self.plan, &self.model, *version).is_ok_and(|other| other == hash);
        match (1..WEATHER_VERSION).find(is_it) {
            None => Ok(()),
            Some(version) => Err(bad(format!(
                "{}: was begun with version {version} of the weather's formulas, and this program has version {WEATHER_VERSION}, which makes \
                 other images of the same plan; choose another folder, so that no dataset mixes the two",
                folder.display()
            ))),
        }
    }

    /// Number of jobs.
    pub fn len(&self) -> usize {
        self.plan.scenes.len() * self.jobs_per_scene()
    }

    /// Whether there are no jobs; a checked plan has some.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pairs of each scene.
    pub fn jobs_per_scene(&self) -> usize {
        self.dataset.pairs_per_scene()
    }

    /// The jobs of one scene: scenes come first, then mixes, then alpha and beta, then seeds.
    pub fn jobs_of(&self, scene: usize) -> impl Iterator<Item = Result<Job, RenderError>> + '_ {
        (0..self.jobs_per_scene()).map(move |variant| self.job(scene, variant))
    }

    /// Parts of the split that no photo falls into.
    pub fn empty_parts(&self) -> impl Iterator<Item = &str> {
        let named = self
            .dataset
            .parts
            .iter()
            .enumerate()
            .filter(|(_, part)| !part.is_empty());
        named
            .filter(|(index, _)| !self.dataset.part_of.contains(index))
            .map(|(_, part)| part.as_str())
    }

    /// All jobs in order.
    pub fn jobs(&self) -> impl Iterator<Item = Result<Job, RenderError>> + '_ {
        (0..self.plan.scenes.len()).flat_map(|scene| self.jobs_of(scene))
    }

    fn job(&self, scene: usize, variant: usize) -> Result<Job, RenderError> {
        let seeds = self.plan.seeds.len();
        let per_mix = self.dataset.pairs_per_mix;
        let (mix_index, rest) = (variant / per_mix, variant % per_mix);
        let [alpha, beta] = self.plan.alpha_beta[rest / seeds];
        let seed = self.plan.seeds[rest % seeds];
        let name = &self.plan.scenes[scene];
        let words = format!("{name}\n{mix_index}\n{alpha} {beta}\n{seed}");
        Ok(Job {
            index: scene * self.jobs_per_scene() + variant,
            scene,
            mix_index,
            variant,
            mix: mixes::mix(&self.mixes[mix_index], &words)?,
            alpha,
            beta,
            seed,
            key: hex(&Sha256::digest(format!("{}\n{words}", self.hash))[..16]),
        })
    }

    /// The job as a run of the command line.
    pub fn request(&self, job: &Job) -> RenderRequest {
        let run = &self.plan.run;
        RenderRequest {
            scene: SceneSettings {
                path: Some(self.plan.scenes[job.scene].clone().into()),
                ..run.scene.clone()
            },
            sampling: Sampling {
                mix: job.mix.clone(),
                alpha: job.alpha,
                beta: job.beta,
                seed: job.seed,
                ..run.sampling.clone()
            },
            ..run.clone()
        }
    }

    /// Whether the network is needed.
    pub fn needs_model(&self) -> bool {
        self.plan.engine == EngineKind::Mdsd3
    }
}

/// Written straight into the hash: the text of ten million seeds is a hundred megabytes.
///
/// What the network makes doesn't depend on the version of the formulas, and the first version had no number.
fn hash_of(plan: &Plan, model: &ModelIdentity, weather_version: u32) -> Result<String, RenderError> {
    let write = || -> io::Result<Sha256> {
        let mut hasher = BufWriter::new(Sha256::new());
        write!(hasher, "{FORMAT}\n{}\n", model.sha256)?;
        if plan.engine == EngineKind::Physical && weather_version > 1 {
            writeln!(hasher, "weather {weather_version}")?;
        }
        serde_json::to_writer(&mut hasher, plan)?;
        hasher.into_inner().map_err(io::IntoInnerError::into_error)
    };
    let hasher = write().map_err(|error| bad(format!("the plan can't be hashed ({error})")))?;
    Ok(hex(&hasher.finalize()))
}

fn dataset(plan: &Plan, mixes: &[MixSpec], labels: Vec<String>) -> Dataset {
    Dataset {
        labels,
        parts: plan.split.iter().map(|(part, _)| part.clone()).collect(),
        part_of: parts(plan),
        mixes: mixes
            .iter()
            .map(|spec| mixes::classes(spec).map(str::to_owned).collect())
            .collect(),
        pairs_per_mix: plan.alpha_beta.len() * plan.seeds.len(),
        classes: plan.classes(),
        lq_extension: plan.lq_format.extension(),
        shard_pairs: plan.shard_pairs,
        has_links: plan.pairs != Copies::Duplicate,
        has_alpha_beta: plan.engine == EngineKind::Mdsd3,
        largest_seed: plan.seeds.iter().copied().max().unwrap_or_default(),
    }
}

/// Refuses classes that the engine doesn't have.
fn check_each_mix<S: AsRef<str>>(plan: &Plan, known: &[S]) -> Result<(), RenderError> {
    for class in plan.classes() {
        let mut mix = Mix::new();
        mix.set(&class, 0.0).map_err(WordsError::from)?;
        mix.check_classes(known)?;
    }
    Ok(())
}

/// Deals scenes out to the parts of the split: by the hash of their names, so that neighbours in a folder spread, and by
/// exact shares. All pairs of a scene are in one part: a test photo is never seen in training.
fn parts(plan: &Plan) -> Vec<usize> {
    let mut order: Vec<usize> = (0..plan.scenes.len()).collect();
    order.sort_by_cached_key(|scene| Sha256::digest(format!("mdsd3 split v1\n{}", plan.scenes[*scene])));
    let mut parts = vec![0; order.len()];
    let (mut begin, mut share_before) = (0, 0.0);
    for (part, (_, share)) in plan.split.iter().enumerate() {
        share_before += share;
        let end = ((share_before * order.len() as f64).round() as usize).min(order.len());
        for scene in &order[begin..end.max(begin)] {
            parts[*scene] = part;
        }
        begin = end.max(begin);
    }
    parts
}

#[cfg(test)]
mod tests;
