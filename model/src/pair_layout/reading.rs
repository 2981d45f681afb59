//! Finding pairs in folders.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::naming::LOW_LIGHT;
use super::source::{Item, Source, images_in, stem_of};
use mdsd3_words::Mix;

/// An image that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// What it is called.
    pub name: String,
    /// Why, the name included.
    pub reason: String,
}

/// A dataset that is being read.
#[derive(Debug)]
pub struct Reading<'a> {
    /// Classes that count.
    pub classes: &'a [String],
    root: PathBuf,
    /// Severities by the degraded image's path below the root.
    told: HashMap<String, Mix>,
    /// Images and members that belong to no pair: nothing is dropped without a word.
    pub unpaired: Vec<Skipped>,
}

impl<'a> Reading<'a> {
    /// Begins to read a dataset's folder.
    pub fn new(root: &Path, classes: &'a [String]) -> Self {
        Self {
            classes,
            root: root.to_owned(),
            told: mixes_told(root),
            unpaired: Vec::new(),
        }
    }

    /// Pairs of equal names in two folders, whatever their extensions.
    pub(super) fn same_names(&mut self, clean: &Path, degraded: &Path, mix: Option<&Mix>) -> Vec<Item> {
        self.pairs(clean, degraded, |stem, _| Some((stem.to_owned(), mix.cloned())))
    }

    /// `clear/0025.png` with `hazy/0025_0.8_3.png`: the clean name is what stands before one of the underscores. `mix` is told
    /// what stands behind it.
    pub(super) fn by_prefix(&mut self, clean: &Path, degraded: &Path, mix: impl Fn(&str) -> Option<Mix>) -> Vec<Item> {
        self.pairs(clean, degraded, |stem, clean| {
            let mut cuts = stem.match_indices('_').map(|(at, _)| at).rev();
            let at = cuts.find(|at| clean.contains_key(&stem[..*at]))?;
            Some((stem[..at].to_owned(), mix(&stem[at + 1..])))
        })
    }

    /// Every image of `degraded` with the image of `clean` whose name `name` derives from its own, and the mix that the name
    /// implies.
    pub(super) fn pairs(
        &mut self,
        clean: &Path,
        degraded: &Path,
        name: impl Fn(&str, &BTreeMap<String, PathBuf>) -> Option<(String, Option<Mix>)>,
    ) -> Vec<Item> {
        let by_stem = self.by_stem(clean);
        let mut unused: BTreeSet<&PathBuf> = by_stem.values().collect();
        let mut items = Vec::new();
        for path in images_in(degraded) {
            let found = name(&stem_of(&path), &by_stem).and_then(|(name, mix)| Some((by_stem.get(&name)?, mix)));
            if let Some((found, mix)) = found {
                unused.remove(found);
                items.push(self.pair(found.clone(), path, mix));
            } else {
                self.leave_out(&path.display(), &format!("no clean image in {}", clean.display()));
            }
        }
        for path in unused {
            self.leave_out(&path.display(), &format!("no degraded image in {}", degraded.display()));
        }
        items
    }

    fn by_stem(&mut self, folder: &Path) -> BTreeMap<String, PathBuf> {
        let mut by_stem = BTreeMap::new();
        for path in images_in(folder) {
            if let Some(other) = by_stem.insert(stem_of(&path), path) {
                self.leave_out(&other.display(), "another image has its name but for the extension");
            }
        }
        by_stem
    }

    /// Notes what belongs to no pair.
    pub(super) fn leave_out(&mut self, what: &dyn std::fmt::Display, why: &str) {
        self.unpaired.push(Skipped {
            name: what.to_string(),
            reason: format!("{what}: {why}"),
        });
    }

    /// A pair; what the dataset says of it goes before what its folder's name implies.
    fn pair(&self, clean: PathBuf, degraded: PathBuf, implied: Option<Mix>) -> Item {
        let below = degraded.strip_prefix(&self.root).unwrap_or(&degraded);
        let key = below.to_string_lossy().replace('\\', "/");
        Item {
            mix: self.told.get(&key).cloned().or(implied),
            clean: Source::File(clean),
            degraded: Some(Source::File(degraded)),
            prompt: None,
        }
    }

    /// `HazeRain`, `haze_rain`, `low_haze`: the classes in a folder's name, each at 1; `None` when it names anything else. CDD-11's
    /// `low` is `low_light` where there is no class of its own.
    pub(super) fn mix_of_name(&self, name: &str) -> Option<Mix> {
        if name.eq_ignore_ascii_case("clean") {
            return Some(Mix::new());
        }
        let mut words = Vec::new();
        for letter in name.chars() {
            if letter == '_' || letter == '-' || letter == '+' {
                words.push(String::new());
            } else {
                if letter.is_uppercase() || words.is_empty() {
                    words.push(String::new());
                }
                if let Some(word) = words.last_mut() {
                    word.extend(letter.to_lowercase());
                }
            }
        }
        words.retain(|word| !word.is_empty());
        let mut mix = Mix::new();
        let mut rest = words.as_slice();
        while !rest.is_empty() {
            // A class may be of several words.
            let (count, class) = (1..=rest.len()).rev().find_map(|count| {
                let class = self.class_of_words(&rest[..count].concat())?;
                Some((count, class))
            })?;
            mix.set(class, 1.0).ok()?;
            rest = &rest[count..];
        }
        (!mix.is_clean()).then_some(mix)
    }

    /// The class that is written so without capitals and what stands between its words.
    fn class_of_words(&self, words: &str) -> Option<&str> {
        let plain = |class: &str| class.to_lowercase().replace(['_', '-', '+'], "");
        let found = self.classes.iter().find(|class| plain(class) == words);
        let low_light = || self.classes.iter().find(|class| words == "low" && *class == LOW_LIGHT);
        found.or_else(low_light).map(String::as_str)
    }
}

/// Severities out of `info/*.json`, which this program writes beside every pair.
fn mixes_told(root: &Path) -> HashMap<String, Mix> {
    let Ok(entries) = std::fs::read_dir(root.join("info")) else {
        return HashMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let info: serde_json::Value = serde_json::from_slice(&std::fs::read(entry.path()).ok()?).ok()?;
            Some((info.get("lq")?.as_str()?.to_owned(), mix_of_info(&info)?))
        })
        .collect()
}

/// The mix in a pair's JSON.
pub(super) fn mix_of_info(info: &serde_json::Value) -> Option<Mix> {
    serde_json::from_value(info.get("request")?.get("mix")?.clone()).ok()
}
