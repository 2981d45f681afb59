//! Restormer: `train/Rain/{input,target}/NAME.png`, one folder per combination of classes; the part is `train` without a
//! split.

use std::path::{Path, PathBuf};

use super::naming::{Dataset, Job, Place, under};
use super::reading::Reading;
use super::rules::Layout;
use super::source::{Item, folders_in, name_of};
use crate::error::ModelError;

pub(super) struct Restormer;

impl Layout for Restormer {
    fn name(&self) -> &'static str {
        "restormer"
    }

    fn label(&self) -> &'static str {
        "Restormer"
    }

    fn place(&self, dataset: &Dataset, job: &Job) -> Place {
        let part = dataset.part_or_train(job.scene);
        let (task, name) = (task(dataset, job), dataset.stem(job));
        Place {
            gt: under(part, &format!("{task}/target/{name}.png")),
            lq: under(part, &format!("{task}/input/{name}.png")),
        }
    }

    fn is_in(&self, folder: &Path) -> bool {
        !tasks(folder).is_empty()
    }

    fn read(&self, folder: &Path, reading: &mut Reading<'_>) -> Result<Vec<Item>, ModelError> {
        let mut items = Vec::new();
        for task in tasks(folder) {
            let mix = reading.mix_of_name(&name_of(&task));
            items.extend(reading.same_names(&task.join("target"), &task.join("input"), mix.as_ref()));
        }
        Ok(items)
    }
}

/// Folders with `input/` and `target/`: the folder itself, or those in it.
fn tasks(folder: &Path) -> Vec<PathBuf> {
    let is_task = |path: &PathBuf| path.join("input").is_dir() && path.join("target").is_dir();
    std::iter::once(folder.to_owned())
        .chain(folders_in(folder))
        .filter(is_task)
        .collect()
}

/// `Rain`, `HazeRain`; `Clean` for the empty mix.
fn task(dataset: &Dataset, job: &Job) -> String {
    let classes = dataset.classes_in_order(job.mix_index, &[]);
    let capitalized = |class: &&str| {
        let (first, rest) = class.split_at(class.chars().next().map_or(0, char::len_utf8));
        format!("{}{rest}", first.to_uppercase())
    };
    if classes.is_empty() {
        return "Clean".to_owned();
    }
    classes.iter().map(capitalized).collect()
}
