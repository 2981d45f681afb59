//! `PromptIR` and `AirNet`: `Dehaze/{original/S.png,synthetic/S_1.png}`, `Derain/{gt/norain-N.png,rainy/rain-N.png}` and the
//! lists of degraded images under `data_dir`. They read haze alone and rain alone; they draw noise themselves.

use mdsd3_render::RenderError;

use super::{Done, Layout, List, Place, classes_in_order, in_part, list_per_part, stem};
use crate::check::bad;
use crate::sweep::{Job, Sweep};

pub(super) struct Promptir;

#[derive(Clone, Copy, PartialEq)]
enum Task {
    Dehaze,
    Derain,
}

impl Layout for Promptir {
    fn check(&self, sweep: &Sweep) -> Result<(), RenderError> {
        match (0..sweep.mixes().len()).find(|index| task(sweep, *index).is_none()) {
            None => Ok(()),
            Some(index) => Err(bad(format!(
                "layout promptir has places for haze alone and rain alone, not for {:?}; split the plan, or use basicsr",
                classes_in_order(sweep, index, &[]).join("+")
            ))),
        }
    }

    fn place(&self, sweep: &Sweep, job: &Job) -> Place {
        let (gt, lq) = if task(sweep, job.mix_index) == Some(Task::Dehaze) {
            let (label, name) = (sweep.label(job.scene), stem(sweep, job));
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
            gt: in_part(sweep, job, &gt),
            lq: in_part(sweep, job, &lq),
        }
    }

    fn lists(&self, sweep: &Sweep, done: &[Done]) -> Result<Vec<List>, RenderError> {
        let list = |of: Task, file: &str, folder: &str| {
            list_per_part(sweep, done, file, |pair| {
                let place = self.place(sweep, &pair.job).lq;
                let is_of = task(sweep, pair.job.mix_index) == Some(of);
                // The trainer puts the task's folder before each line.
                Ok(place
                    .split_once(folder)
                    .map(|(_, name)| name.to_owned())
                    .filter(|_| is_of))
            })
        };
        let mut lists = list(Task::Dehaze, "data_dir/hazy/hazy_outside.txt", "Dehaze/")?;
        lists.extend(list(Task::Derain, "data_dir/rainy/rainTrain.txt", "Derain/")?);
        lists.retain(|list| !list.bytes.is_empty());
        Ok(lists)
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

fn task(sweep: &Sweep, mix_index: usize) -> Option<Task> {
    match classes_in_order(sweep, mix_index, &[])[..] {
        ["haze"] => Some(Task::Dehaze),
        ["rain"] => Some(Task::Derain),
        _ => None,
    }
}
