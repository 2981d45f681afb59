//! What names depend on, and the rules that layouts share.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::error::ModelError;
use mdsd3_words::Mix;

/// The class that CDD-11 calls `low`.
pub(super) const LOW_LIGHT: &str = "low_light";

/// Where pairs wait to be packed, in the dataset's folder; hidden, so that trainers pass over it.
pub const STAGING: &str = ".mdsd3/staging";

/// A dataset, as far as the names of its files and the lines of its lists depend on it.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// File-name part of each scene, no two alike: letters, digits and `-`.
    pub labels: Vec<String>,
    /// Parts of the split, in the plan's order; one nameless part when there is no split.
    pub parts: Vec<String>,
    /// Index of each scene's part.
    pub part_of: Vec<usize>,
    /// Classes of each mix that can be above 0.
    pub mixes: Vec<Vec<String>>,
    /// Pairs of each scene and mix.
    pub pairs_per_mix: usize,
    /// Classes of all mixes, in order of first mention.
    pub classes: Vec<String>,
    /// Extension of degraded images.
    pub lq_extension: &'static str,
    /// Pairs in one tar.
    pub shard_pairs: usize,
    /// Whether a clean image that several pairs share is stored once and linked.
    pub has_links: bool,
    /// Whether alpha and beta mean something.
    pub has_alpha_beta: bool,
    /// The largest seed.
    pub largest_seed: u64,
}

/// One pair to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Number in the plan, from 0.
    pub index: usize,
    /// Index of the scene.
    pub scene: usize,
    /// Index among the expanded mixes.
    pub mix_index: usize,
    /// Number among the pairs of its scene, from 0.
    pub variant: usize,
    /// The mix, ranges drawn.
    pub mix: Mix,
    /// Weight of the noise in the initial latents.
    pub alpha: f32,
    /// Weight of the scene in the initial latents.
    pub beta: f32,
    /// Seed.
    pub seed: u64,
    /// Hash of everything that decides the pixels, but for the photo's content: that is recorded when it is read, and
    /// compared when a sweep is resumed.
    pub key: String,
}

/// Where the two images of a pair go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The clean image.
    pub gt: String,
    /// The degraded one.
    pub lq: String,
}

/// A finished pair, as lists describe it.
#[derive(Debug, Clone)]
pub struct Done {
    /// What was made.
    pub job: Job,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// A file that is written when all pairs are there.
#[derive(Debug)]
pub struct List {
    /// Where.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A tar that is packed when all pairs are there.
#[derive(Debug)]
pub struct Pack {
    /// Where.
    pub path: String,
    /// The pairs in it, as indices into the finished pairs.
    pub pairs: Vec<usize>,
}

impl Dataset {
    /// Pairs of each scene.
    pub fn pairs_per_scene(&self) -> usize {
        self.mixes.len() * self.pairs_per_mix
    }

    /// File-name part of a job's scene.
    pub fn label(&self, job: &Job) -> &str {
        &self.labels[job.scene]
    }

    /// The part of the split that a scene is in; empty without a split.
    pub fn part(&self, scene: usize) -> &str {
        &self.parts[self.part_of[scene]]
    }

    /// The same for layouts that put everything into a part: `train` without a split.
    pub(super) fn part_or_train(&self, scene: usize) -> &str {
        train_without_split(self.part(scene))
    }

    /// The name of a pair without extension: the scene's, and the pair's number among the scene's.
    pub(super) fn stem(&self, job: &Job) -> String {
        numbered(self.label(job), job.variant, self.pairs_per_scene())
    }

    /// A path in the part of the split that the job's scene is in.
    pub(super) fn in_part(&self, job: &Job, path: &str) -> String {
        under(self.part(job.scene), path)
    }

    /// The classes of a mix, in `order`, others behind by name.
    pub(super) fn classes_in_order(&self, mix_index: usize, order: &[&str]) -> Vec<&str> {
        let mut classes: Vec<&str> = self.mixes[mix_index].iter().map(String::as_str).collect();
        let rank = |class: &&str| order.iter().position(|known| known == class).unwrap_or(order.len());
        classes.sort_by_key(|class| (rank(class), class.to_owned()));
        classes
    }

    /// The card by which `datasets.load_dataset("FOLDER")` knows the parts, whatever they and the photos are called: without it
    /// the library guesses from names, and takes a photo called `test` for a test set. `files` is the pattern of a part's files;
    /// parts without a pair are left out, as a pattern that finds nothing is an error there.
    pub(super) fn card(&self, done: &[Done], files: impl Fn(&str) -> String) -> List {
        let mut text = "---\nconfigs:\n- config_name: default\n  data_files:\n".to_owned();
        for (index, part) in self.parts.iter().enumerate() {
            if done.iter().any(|pair| self.part_of[pair.job.scene] == index) {
                let part = train_without_split(part);
                // Writing to a String can't fail.
                let _ = writeln!(text, "  - split: {}\n    path: {:?}", split_name(part), files(part));
            }
        }
        text += "---\n\nPairs made by `mdsd3 sweep`; `datasets.load_dataset` reads this folder by its path.\n";
        List {
            path: "README.md".to_owned(),
            bytes: text.into_bytes(),
        }
    }

    /// Refuses what the `datasets` library has no place for.
    pub(super) fn check_for_datasets_library(&self) -> Result<(), ModelError> {
        let mut owners: BTreeMap<String, &str> = BTreeMap::new();
        for part in &self.parts {
            if let Some(other) = owners.insert(split_name(part), part) {
                return Err(bad(format!(
                    "split: {other} and {part} are one split to the datasets library; rename one"
                )));
            }
        }
        if i64::try_from(self.largest_seed).is_err() {
            return Err(bad(format!(
                "seeds: {} is above {}, the largest whole number of the datasets library; choose smaller ones",
                self.largest_seed,
                i64::MAX
            )));
        }
        Ok(())
    }

    /// One list per part of the split that has lines: `file` in it, with the lines of that part's pairs.
    pub(super) fn list_per_part(
        &self,
        done: &[Done],
        file: &str,
        mut line: impl FnMut(&Done) -> Result<Option<String>, ModelError>,
    ) -> Result<Vec<List>, ModelError> {
        let mut lists = Vec::new();
        for part in &self.parts {
            let mut text = String::new();
            for pair in done.iter().filter(|pair| self.part(pair.job.scene) == part) {
                if let Some(line) = line(pair)? {
                    text.push_str(&line);
                    text.push('\n');
                }
            }
            // Readers take a part's folder with an empty list for damaged.
            if !text.is_empty() {
                lists.push(List {
                    path: under(part, file),
                    bytes: text.into_bytes(),
                });
            }
        }
        Ok(lists)
    }
}

fn train_without_split(part: &str) -> &str {
    if part.is_empty() { "train" } else { part }
}

/// The name of a part in the `datasets` library: letters, digits and `_`, and one of its own where it has one.
fn split_name(part: &str) -> String {
    match part {
        "val" | "valid" | "dev" => "validation".to_owned(),
        "training" => "train".to_owned(),
        "testing" | "eval" | "evaluation" => "test".to_owned(),
        part => part.replace('-', "_"),
    }
}

/// The path under which a file of a pair ends up: what waits to be packed is known by its name in the tar.
pub fn final_path(path: &str) -> &str {
    path.strip_prefix(STAGING)
        .map_or(path, |name| name.trim_start_matches('/'))
}

/// `label_003`: wide enough that names sort by number; the label alone when there is but one.
pub(super) fn numbered(label: &str, number: usize, count: usize) -> String {
    if count == 1 {
        return label.to_owned();
    }
    let digits = (count - 1).to_string().len();
    format!("{label}_{number:0digits$}")
}

/// `part/path`, or the path alone without a split.
pub(super) fn under(part: &str, path: &str) -> String {
    if part.is_empty() {
        path.to_owned()
    } else {
        format!("{part}/{path}")
    }
}

/// The file name of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A refusal.
pub(super) fn bad(message: impl Into<String>) -> ModelError {
    ModelError::BadInput(message.into())
}
