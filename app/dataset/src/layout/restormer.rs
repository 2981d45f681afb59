//! Restormer: `train/Rain/{input,target}/NAME.png`, one folder per combination of classes; the part is `train` without a
//! split.

use super::{Layout, Place, classes_in_order, stem, under};
use crate::sweep::{Job, Sweep};

pub(super) struct Restormer;

impl Layout for Restormer {
    fn place(&self, sweep: &Sweep, job: &Job) -> Place {
        let part = match sweep.part(job.scene) {
            "" => "train",
            part => part,
        };
        let (task, name) = (task(sweep, job), stem(sweep, job));
        Place {
            gt: under(part, &format!("{task}/target/{name}.png")),
            lq: under(part, &format!("{task}/input/{name}.png")),
        }
    }
}

/// `Rain`, `HazeRain`; `Clean` for the empty mix.
fn task(sweep: &Sweep, job: &Job) -> String {
    let classes = classes_in_order(sweep, job.mix_index, &[]);
    let capitalized = |class: &&str| {
        let (first, rest) = class.split_at(class.chars().next().map_or(0, char::len_utf8));
        format!("{}{rest}", first.to_uppercase())
    };
    if classes.is_empty() {
        return "Clean".to_owned();
    }
    classes.iter().map(capitalized).collect()
}
