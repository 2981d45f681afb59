//! CDD-11: `clear`, `haze`, `rain`, `haze_rain` and so on, the same file name in every folder.

use std::collections::BTreeMap;

use mdsd3_render::RenderError;

use super::{Layout, Place, classes_in_order, in_part, numbered};
use crate::check::bad;
use crate::sweep::{Job, Sweep};

pub(super) struct Cdd11;

/// The order of classes in CDD-11's folder names.
const ORDER: [&str; 4] = ["low", "haze", "rain", "snow"];
/// The folder of the clean images.
const CLEAR: &str = "clear";

impl Layout for Cdd11 {
    fn check(&self, sweep: &Sweep) -> Result<(), RenderError> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for mix_index in 0..sweep.mixes().len() {
            *counts.entry(folder(sweep, mix_index)).or_default() += 1;
        }
        if counts.contains_key(CLEAR) {
            return Err(bad(
                "layout cdd11 keeps clean images in clear; remove the mix without classes".to_owned(),
            ));
        }
        let (mut least, mut most) = (counts.iter().next(), counts.iter().next());
        for entry in &counts {
            least = least.filter(|least| least.1 <= entry.1).or(Some(entry));
            most = most.filter(|most| most.1 >= entry.1).or(Some(entry));
        }
        match (least, most) {
            (Some((few, least)), Some((many, most))) if least != most => Err(bad(format!(
                "layout cdd11 needs the same names in every folder, so as many mixes for each: {few} has {least} and {many} has {most}"
            ))),
            _ => Ok(()),
        }
    }

    fn place(&self, sweep: &Sweep, job: &Job) -> Place {
        let folder_here = folder(sweep, job.mix_index);
        let before = (0..job.mix_index)
            .filter(|index| folder(sweep, *index) == folder_here)
            .count();
        let all = (0..sweep.mixes().len())
            .filter(|index| folder(sweep, *index) == folder_here)
            .count();
        let per_mix = sweep.jobs_per_mix();
        let number = before * per_mix + job.variant % per_mix;
        let name = numbered(sweep.label(job.scene), number, all * per_mix);
        Place {
            gt: in_part(sweep, job, &format!("{CLEAR}/{name}.png")),
            lq: in_part(sweep, job, &format!("{folder_here}/{name}.png")),
        }
    }
}

/// `haze_rain`; `clear` for the empty mix.
fn folder(sweep: &Sweep, mix_index: usize) -> String {
    let classes = classes_in_order(sweep, mix_index, &ORDER);
    if classes.is_empty() {
        CLEAR.to_owned()
    } else {
        classes.join("_")
    }
}
