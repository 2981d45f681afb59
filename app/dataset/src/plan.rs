//! Plans: one TOML file that says which pairs a dataset holds.

mod kinds;
mod read;
mod write;

use std::path::{Path, PathBuf};

use mdsd3_model::io::find::Skipped;
use mdsd3_model::pair_layout::LayoutKind;
use mdsd3_render::RenderError;
use mdsd3_words::made::{EngineKind, ImageFormat};
use mdsd3_words::{CropAt, ModelSettings, RenderRequest, regular};
use serde::Serialize;
use sha2::{Digest, Sha256};

pub use kinds::{Copies, CropPlace, CropSpec, Extra, LqKind, Names};
pub use write::{GridRequest, grid_plan, scene_patterns};

use crate::check::bad;
use crate::mixes::{self, MixSpec};

/// The most jobs of a plan; beyond it a slip such as a grid of grids is likelier than a wish.
const MAX_JOBS: usize = 100_000_000;

/// The largest side in pixels.
pub(super) const MAX_SIDE_PX: u32 = 16_384;

/// The most pairs that are sampled in one batch.
pub(super) const MAX_BATCH: usize = 1024;

/// The most mixes of a plan, its grids multiplied out; each is kept in memory.
const MAX_MIXES: usize = 1_000_000;

/// A checked plan. Serialised, it is what its hash is taken of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// What makes the degraded image.
    pub engine: EngineKind,
    /// Where files go.
    pub layout: LayoutKind,
    /// Photos as found from the plan's folder, in order.
    pub scenes: Vec<String>,
    /// Mixes, grids not yet expanded.
    pub mixes: Vec<MixSpec>,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Weights of noise and scene in the initial latents.
    pub alpha_beta: Vec<[f32; 2]>,
    /// What all runs share: size, sampling and model; paths from the plan's folder. Photo, mix, alpha, beta and seed are
    /// each job's own.
    #[serde(serialize_with = "without_defaults")]
    pub run: RenderRequest,
    /// Whether a photo without a depth map refuses the plan.
    #[serde(skip_serializing_if = "is_false")]
    pub depth_required: bool,
    /// The square that is cut out of a photo before it is scaled to the run's size.
    pub crop: Option<CropSpec>,
    /// Names and shares of the parts, in the order of the file; one nameless part when there is no split.
    pub split: Vec<(String, f64)>,
    /// What lq is.
    pub lq: LqKind,
    /// File format of lq.
    pub lq_format: ImageFormat,
    /// Further images, sorted.
    pub extras: Vec<Extra>,
    /// Bits per channel, 8 or 16.
    pub bits: u8,
    /// How repeated gt are stored.
    pub pairs: Copies,
    /// Where file names come from.
    pub names: Names,
    /// Pairs in one tar of the `WebDataset` layout.
    pub shard_pairs: usize,
    /// Pairs that are sampled in one batch. It is part of the plan's identity: the last bits of a matrix product depend on
    /// its number of rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// The plan's folder.
    #[serde(skip)]
    pub folder: PathBuf,
    /// What its patterns match and isn't taken.
    #[serde(skip)]
    pub skipped: Vec<Skipped>,
}

impl Plan {
    /// Reads a plan and resolves its scenes.
    ///
    /// # Errors
    /// [`RenderError::BadInput`] with the file and the key that is wrong, and what would be right.
    pub fn read(path: &Path) -> Result<Self, RenderError> {
        let shown = path.display().to_string();
        let text = regular::read_text(path).map_err(|source| RenderError::reading(path, source))?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&text, &shown, folder)
    }

    /// Reads a plan from its text; `shown` is how messages call it, `folder` is where its scenes are looked for.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str, shown: &str, folder: PathBuf) -> Result<Self, RenderError> {
        let plan = read::parse(text, shown, folder)?;
        plan.check_values(shown)?;
        Ok(plan)
    }

    /// The photo of a scene, as this process finds it.
    pub fn scene_path(&self, scene: usize) -> PathBuf {
        self.folder.join(&self.scenes[scene])
    }

    /// The model, as this process finds it.
    pub fn model_key(&self) -> ModelSettings {
        let mut key = self.run.model.clone();
        for path in key.paths_mut() {
            *path = self.folder.join(&path);
        }
        key
    }

    /// Whether what each class did is saved with its pairs.
    pub(super) fn wants_layers(&self) -> bool {
        self.extras.contains(&Extra::Layers)
    }

    /// The classes the plan names, in order of first mention.
    pub fn classes(&self) -> Vec<String> {
        let mut classes: Vec<String> = Vec::new();
        for (class, _) in self.mixes.iter().flatten() {
            if !classes.contains(class) {
                classes.push(class.clone());
            }
        }
        classes
    }

    /// The square to cut out of a scene's photo.
    pub(super) fn crop_of(&self, scene: usize) -> Option<CropAt> {
        let CropSpec { side, place } = self.crop?;
        Some(match place {
            CropPlace::Center => CropAt::center(side),
            CropPlace::Random => {
                let digest = Sha256::digest(format!("mdsd3 crop v1\n{}", self.scenes[scene]));
                let word = |from: usize| u16::from_be_bytes([digest[from], digest[from + 1]]);
                CropAt {
                    side_px: side,
                    share: [word(0), word(2)],
                }
            }
        })
    }

    fn check_values(&self, shown: &str) -> Result<(), RenderError> {
        let wrong = |what: String| Err(bad(format!("{shown}: {what}")));
        let empty = [
            ("scenes", self.scenes.is_empty()),
            ("mixes", self.mixes.is_empty()),
            ("seeds", self.seeds.is_empty()),
            ("alpha_beta", self.alpha_beta.is_empty()),
        ];
        if let Some((key, _)) = empty.iter().find(|(_, is_empty)| *is_empty) {
            return wrong(format!("the plan has no jobs: {key} is empty"));
        }
        if self.bits != 8 && self.bits != 16 {
            return wrong(format!("save: bits {} is neither 8 nor 16", self.bits));
        }
        if self.lq_format == ImageFormat::Jpeg && !self.layout.takes_jpeg() {
            return wrong("save: this layout's readers want PNG; remove lq_format".to_owned());
        }
        if self.bits == 16 && self.lq_format == ImageFormat::Jpeg {
            return wrong("save: JPEG has 8 bits; remove bits, or set lq_format = \"png\"".to_owned());
        }
        let sides = [Some(self.run.scene.size), self.crop.map(|crop| crop.side)];
        if sides.into_iter().flatten().any(|side| side == 0 || side > MAX_SIDE_PX) {
            return wrong(format!("size and crop are sides in pixels: give 1 to {MAX_SIDE_PX}"));
        }
        if self.shard_pairs == 0 {
            return wrong("shard_pairs counts pairs: give 1 or more".to_owned());
        }
        if self.batch.is_some_and(|batch| !(1..=MAX_BATCH).contains(&batch)) {
            return wrong(format!("batch counts pairs: give 1 to {MAX_BATCH}"));
        }
        self.check_number_of_jobs(shown)
    }

    fn check_number_of_jobs(&self, shown: &str) -> Result<(), RenderError> {
        // Counted before they are multiplied out: a slip of the pen makes more of them than there is memory.
        let mixes = self.mixes.iter().map(mixes::count).fold(0_usize, usize::saturating_add);
        if mixes > MAX_MIXES {
            return Err(bad(format!(
                "{shown}: mixes: their grids make more than {MAX_MIXES} mixes; check them, or draw ratios by {{ uniform = [low, high] }}"
            )));
        }
        let factors = [self.scenes.len(), self.seeds.len(), self.alpha_beta.len()];
        let jobs = factors.into_iter().fold(mixes, usize::saturating_mul);
        if jobs > MAX_JOBS {
            return Err(bad(format!(
                "{shown}: the plan has more than {MAX_JOBS} jobs; check its grids and seeds"
            )));
        }
        Ok(())
    }
}

/// For serde: what is as in every older plan is left out.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes the field as it is
fn is_false(value: &bool) -> bool {
    !value
}

/// Settings at their defaults are left out, so that a program that knows more settings gives an old plan its old hash.
fn without_defaults<S: serde::Serializer>(run: &RenderRequest, serializer: S) -> Result<S::Ok, S::Error> {
    use serde::ser::Error;
    write::changed(run).map_err(S::Error::custom)?.serialize(serializer)
}

#[cfg(test)]
mod tests;
