//! Pairs in folders, by the reading rules of each layout.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use mdsd3_words::Mix;

use super::super::recipe::DataLayout;
use super::source::{Item, Source, folders_in, images_in, name_of, stem_of};
use super::{imagefolder, webdataset};
use crate::error::ModelError;
use crate::pair_layout::LayoutKind;

/// Finds all items of a dataset's folder. Parts of a split (`train/`, `val/` ...) are read when their layouts are inside.
///
/// # Errors
/// Bad input when nothing is found, saying what was looked for.
pub fn items(root: &Path, layout: DataLayout, classes: &[String]) -> Result<Vec<Item>, ModelError> {
    if !root.is_dir() {
        return Err(ModelError::BadInput(format!(
            "{}: there is no such folder of training images",
            root.display()
        )));
    }
    let rules = Rules {
        classes,
        told: mixes_told(root),
        root,
    };
    let layout = if layout == DataLayout::Auto {
        detect(root).ok_or_else(|| nothing(root, "no layout that is known"))?
    } else {
        layout
    };
    let mut items = rules.read(root, layout)?;
    if items.is_empty() {
        // With a split everything is in a folder of the part's name; training reads the part called train.
        items = rules.read(&root.join("train"), layout)?;
    }
    if items.is_empty() {
        return Err(nothing(root, &format!("no pair in the layout {}", layout.name())));
    }
    Ok(items)
}

fn nothing(root: &Path, what: &str) -> ModelError {
    ModelError::BadInput(format!(
        "{}: {what}; data.layout may be {}",
        root.display(),
        DataLayout::names()
    ))
}

/// What a folder is laid out as.
fn detect(root: &Path) -> Option<DataLayout> {
    [root.to_owned(), root.join("train")]
        .iter()
        .find_map(|folder| detect_in(folder))
}

fn detect_in(folder: &Path) -> Option<DataLayout> {
    let has = |name: &str| folder.join(name).is_dir();
    if imagefolder::table(folder).is_some() {
        Some(DataLayout::Pairs(LayoutKind::Imagefolder))
    } else if !webdataset::tars(folder).is_empty() {
        Some(DataLayout::Pairs(LayoutKind::Webdataset))
    } else if has("gt") && has("lq") {
        Some(DataLayout::Pairs(LayoutKind::Basicsr))
    } else if has("clear") && has("hazy") {
        Some(DataLayout::Pairs(LayoutKind::Reside))
    } else if has("clear") {
        Some(DataLayout::Pairs(LayoutKind::Cdd11))
    } else if has("Dehaze") || has("Derain") {
        Some(DataLayout::Pairs(LayoutKind::Promptir))
    } else if !restormer_tasks(folder).is_empty() {
        Some(DataLayout::Pairs(LayoutKind::Restormer))
    } else if !images_in(folder).is_empty() {
        Some(DataLayout::Photos)
    } else {
        None
    }
}

struct Rules<'a> {
    classes: &'a [String],
    /// Severities by the degraded image's path below the root.
    told: HashMap<String, Mix>,
    root: &'a Path,
}

impl Rules<'_> {
    fn read(&self, folder: &Path, layout: DataLayout) -> Result<Vec<Item>, ModelError> {
        Ok(match layout {
            DataLayout::Auto => Vec::new(),
            DataLayout::Pairs(LayoutKind::Basicsr) => self.same_names(&folder.join("gt"), &folder.join("lq"), None),
            DataLayout::Pairs(LayoutKind::Restormer) => restormer_tasks(folder)
                .iter()
                .flat_map(|task| {
                    let mix = self.mix_of_name(&name_of(task));
                    self.same_names(&task.join("target"), &task.join("input"), mix.as_ref())
                })
                .collect(),
            DataLayout::Pairs(LayoutKind::Cdd11) => folders_in(folder)
                .iter()
                .filter_map(|kind| Some((kind, self.mix_of_name(&name_of(kind))?)))
                .flat_map(|(kind, mix)| self.same_names(&folder.join("clear"), kind, Some(&mix)))
                .collect(),
            DataLayout::Pairs(LayoutKind::Promptir) => self.promptir(folder),
            DataLayout::Pairs(LayoutKind::Reside) => self.by_prefix(&folder.join("clear"), &folder.join("hazy"), true),
            DataLayout::Pairs(LayoutKind::Imagefolder) => imagefolder::items(folder, self.classes)?,
            DataLayout::Pairs(LayoutKind::Webdataset) => webdataset::items(folder)?,
            DataLayout::Photos => images_in(folder).into_iter().map(photo).collect(),
        })
    }

    /// Pairs of equal names in two folders, whatever their extensions.
    fn same_names(&self, clean: &Path, degraded: &Path, mix: Option<&Mix>) -> Vec<Item> {
        let clean: BTreeMap<String, PathBuf> = by_stem(clean);
        images_in(degraded)
            .into_iter()
            .filter_map(|path| {
                let clean = clean.get(&stem_of(&path))?.clone();
                Some(self.pair(clean, path, mix.cloned()))
            })
            .collect()
    }

    /// `clear/0025.png` with `hazy/0025_0.8_3.png`: the clean name is what stands before one of the underscores.
    fn by_prefix(&self, clean: &Path, degraded: &Path, ratio_in_name: bool) -> Vec<Item> {
        let clean = by_stem(clean);
        let haze = |ratio: f32| {
            let mut mix = Mix::new();
            mix.set("haze", ratio).ok().map(|()| mix)
        };
        images_in(degraded)
            .into_iter()
            .filter_map(|path| {
                let stem = stem_of(&path);
                let cuts = stem.match_indices('_').map(|(at, _)| at);
                let (at, found) = cuts.rev().find_map(|at| Some((at, clean.get(&stem[..at])?)))?;
                let ratio = stem[at + 1..].split('_').next().and_then(|text| text.parse().ok());
                let mix = if ratio_in_name { ratio.and_then(haze) } else { haze(1.0) };
                Some(self.pair(found.clone(), path, mix))
            })
            .collect()
    }

    fn promptir(&self, folder: &Path) -> Vec<Item> {
        let haze = folder.join("Dehaze");
        let mut items = self.by_prefix(&haze.join("original"), &haze.join("synthetic"), false);
        let clean = by_stem(&folder.join("Derain").join("gt"));
        items.extend(
            images_in(&folder.join("Derain").join("rainy"))
                .into_iter()
                .filter_map(|path| {
                    let number = stem_of(&path).strip_prefix("rain-")?.to_owned();
                    let clean = clean.get(&format!("norain-{number}"))?.clone();
                    Some(self.pair(clean, path, self.mix_of_name("rain")))
                }),
        );
        items
    }

    /// A pair; what the dataset says of it goes before what its folder's name implies.
    fn pair(&self, clean: PathBuf, degraded: PathBuf, implied: Option<Mix>) -> Item {
        let below = degraded.strip_prefix(self.root).unwrap_or(&degraded);
        let key = below.to_string_lossy().replace('\\', "/");
        Item {
            mix: self.told.get(&key).cloned().or(implied),
            clean: Source::File(clean),
            degraded: Some(Source::File(degraded)),
            prompt: None,
        }
    }

    /// `HazeRain`, `haze_rain`: the classes in a folder's name, each at 1; `None` when it names anything else.
    fn mix_of_name(&self, name: &str) -> Option<Mix> {
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
        let mut mix = Mix::new();
        for word in words.iter().filter(|word| !word.is_empty()) {
            let class = self.classes.iter().find(|class| class.to_lowercase() == *word)?;
            mix.set(class, 1.0).ok()?;
        }
        (!mix.is_clean()).then_some(mix)
    }
}

fn photo(path: PathBuf) -> Item {
    Item {
        clean: Source::File(path),
        degraded: None,
        mix: None,
        prompt: None,
    }
}

fn by_stem(folder: &Path) -> BTreeMap<String, PathBuf> {
    images_in(folder)
        .into_iter()
        .map(|path| (stem_of(&path), path))
        .collect()
}

/// Folders with `input/` and `target/`: the folder itself, or those in it.
fn restormer_tasks(folder: &Path) -> Vec<PathBuf> {
    let is_task = |path: &PathBuf| path.join("input").is_dir() && path.join("target").is_dir();
    std::iter::once(folder.to_owned())
        .chain(folders_in(folder))
        .filter(is_task)
        .collect()
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
pub fn mix_of_info(info: &serde_json::Value) -> Option<Mix> {
    serde_json::from_value(info.get("request")?.get("mix")?.clone()).ok()
}
