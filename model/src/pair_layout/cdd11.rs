//! CDD-11: `clear`, `haze`, `rain`, `haze_rain` and so on, the same file name in every folder.

use std::collections::BTreeMap;
use std::path::Path;

use super::naming::{Dataset, Job, LOW_LIGHT, Place, bad, numbered};
use super::reading::Reading;
use super::rules::Layout;
use super::source::{Item, folders_in, images_in, name_of};
use crate::error::ModelError;

pub(super) struct Cdd11;

/// The order of classes in CDD-11's folder names, whose `low` is the class [`LOW_LIGHT`].
const ORDER: [&str; 5] = ["low", LOW_LIGHT, "haze", "rain", "snow"];
/// What CDD-11 calls it.
const LOW: &str = "low";
/// The folder of the clean images.
const CLEAR: &str = "clear";

impl Layout for Cdd11 {
    fn name(&self) -> &'static str {
        "cdd11"
    }

    fn label(&self) -> &'static str {
        "CDD-11"
    }

    fn check(&self, dataset: &Dataset) -> Result<(), ModelError> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for mix_index in 0..dataset.mixes.len() {
            *counts.entry(folder(dataset, mix_index)).or_default() += 1;
        }
        if counts.contains_key(CLEAR) {
            return Err(bad(
                "layout cdd11 keeps clean images in clear; remove the mix without classes",
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

    fn place(&self, dataset: &Dataset, job: &Job) -> Place {
        let folder_here = folder(dataset, job.mix_index);
        let before = (0..job.mix_index)
            .filter(|index| folder(dataset, *index) == folder_here)
            .count();
        let all = (0..dataset.mixes.len())
            .filter(|index| folder(dataset, *index) == folder_here)
            .count();
        let per_mix = dataset.pairs_per_mix;
        let number = before * per_mix + job.variant % per_mix;
        let name = numbered(dataset.label(job), number, all * per_mix);
        Place {
            gt: dataset.in_part(job, &format!("{CLEAR}/{name}.png")),
            lq: dataset.in_part(job, &format!("{folder_here}/{name}.png")),
        }
    }

    fn is_in(&self, folder: &Path) -> bool {
        // RESIDE has the clear images in a folder of that name too.
        folder.join(CLEAR).is_dir() && !folder.join("hazy").is_dir()
    }

    fn read(&self, folder: &Path, reading: &mut Reading<'_>) -> Result<Vec<Item>, ModelError> {
        let mut items = Vec::new();
        for kind in folders_in(folder).iter().filter(|kind| name_of(kind) != CLEAR) {
            match reading.mix_of_name(&name_of(kind)) {
                Some(mix) => items.extend(reading.same_names(&folder.join(CLEAR), kind, Some(&mix))),
                None if images_in(kind).is_empty() => {}
                None => reading.leave_out(&kind.display(), "names a class that the recipe doesn't have"),
            }
        }
        Ok(items)
    }
}

/// `haze_rain`; `clear` for the empty mix.
fn folder(dataset: &Dataset, mix_index: usize) -> String {
    let classes = dataset.classes_in_order(mix_index, &ORDER);
    if classes.is_empty() {
        CLEAR.to_owned()
    } else {
        let names = classes
            .iter()
            .map(|class| if *class == LOW_LIGHT { LOW } else { *class });
        names.collect::<Vec<_>>().join("_")
    }
}
