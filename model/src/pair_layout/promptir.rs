//! `PromptIR` and `AirNet`: `Dehaze/{original/S.png,synthetic/S_1.png}`, `Derain/{gt/norain-N.png,rainy/rain-N.png}` and the
//! lists of degraded images under `data_dir`. They read haze alone and rain alone; they draw noise themselves.

use std::path::Path;

use super::naming::{Dataset, Done, Job, List, Place, bad};
use super::reading::Reading;
use super::rules::Layout;
use super::source::Item;
use crate::error::ModelError;

pub(super) struct Promptir;

#[derive(Clone, Copy, PartialEq)]
enum Task {
    Dehaze,
    Derain,
}

impl Layout for Promptir {
    fn name(&self) -> &'static str {
        "promptir"
    }

    fn label(&self) -> &'static str {
        "PromptIR, AirNet"
    }

    fn check(&self, dataset: &Dataset) -> Result<(), ModelError> {
        match (0..dataset.mixes.len()).find(|index| task(dataset, *index).is_none()) {
            None => Ok(()),
            Some(index) => Err(bad(format!(
                "layout promptir has places for haze alone and rain alone, not for {:?}; split the plan, or use basicsr",
                dataset.classes_in_order(index, &[]).join("+")
            ))),
        }
    }

    fn place(&self, dataset: &Dataset, job: &Job) -> Place {
        let (gt, lq) = if task(dataset, job.mix_index) == Some(Task::Dehaze) {
            let (label, name) = (dataset.label(job), dataset.stem(job));
            (
                format!("Dehaze/original/{label}.png"),
                format!("Dehaze/synthetic/{}.png", hazy_name(&name)),
            )
        } else {
            let number = job.index + 1;
            (
                format!("Derain/gt/norain-{number}.png"),
                format!("Derain/rainy/rain-{number}.png"),
            )
        };
        Place {
            gt: dataset.in_part(job, &gt),
            lq: dataset.in_part(job, &lq),
        }
    }

    fn lists(&self, dataset: &Dataset, done: &[Done]) -> Result<Vec<List>, ModelError> {
        let list = |of: Task, file: &str, folder: &str| {
            dataset.list_per_part(done, file, |pair| {
                let place = self.place(dataset, &pair.job).lq;
                let is_of = task(dataset, pair.job.mix_index) == Some(of);
                // The trainer puts the task's folder before each line.
                Ok(place
                    .split_once(folder)
                    .map(|(_, name)| name.to_owned())
                    .filter(|_| is_of))
            })
        };
        let mut lists = list(Task::Dehaze, "data_dir/hazy/hazy_outside.txt", "Dehaze/")?;
        lists.extend(list(Task::Derain, "data_dir/rainy/rainTrain.txt", "Derain/")?);
        Ok(lists)
    }

    fn is_in(&self, folder: &Path) -> bool {
        folder.join("Dehaze").is_dir() || folder.join("Derain").is_dir()
    }

    fn read(&self, folder: &Path, reading: &mut Reading<'_>) -> Result<Vec<Item>, ModelError> {
        let (hazy, rainy) = (folder.join("Dehaze"), folder.join("Derain"));
        let (haze, rain) = (reading.mix_of_name("haze"), reading.mix_of_name("rain"));
        let mut items = reading.by_prefix(&hazy.join("original"), &hazy.join("synthetic"), |_| haze.clone());
        items.extend(reading.pairs(&rainy.join("gt"), &rainy.join("rainy"), |stem, _| {
            Some((format!("norain-{}", stem.strip_prefix("rain-")?), rain.clone()))
        }));
        Ok(items)
    }
}

/// The trainer takes what stands before the first `_` for the clean image's name, so a lone pair needs one too.
fn hazy_name(stem: &str) -> String {
    if stem.contains('_') {
        stem.to_owned()
    } else {
        format!("{stem}_0")
    }
}

fn task(dataset: &Dataset, mix_index: usize) -> Option<Task> {
    match dataset.classes_in_order(mix_index, &[])[..] {
        ["haze"] => Some(Task::Dehaze),
        ["rain"] => Some(Task::Derain),
        _ => None,
    }
}
