//! RESIDE: `clear/0025.png` and `hazy/0025_0.8_3.jpg`. RESIDE's two numbers are airlight and scattering; readers only use what
//! stands before the first `_`, so here they are the haze ratio and the pair's number. Hazy images are JPEG and clear ones PNG,
//! as in its outdoor test set: readers take any hazy file and put `.png` behind the clear one's name.

use std::path::Path;

use super::naming::{Dataset, Job, Place, bad};
use super::reading::Reading;
use super::rules::Layout;
use super::source::Item;
use crate::error::ModelError;
use mdsd3_words::Mix;

pub(super) struct Reside;

impl Layout for Reside {
    fn name(&self) -> &'static str {
        "reside"
    }

    fn label(&self) -> &'static str {
        "RESIDE"
    }

    fn prefers_jpeg(&self) -> bool {
        true
    }

    fn takes_jpeg(&self) -> bool {
        true
    }

    fn check(&self, dataset: &Dataset) -> Result<(), ModelError> {
        let classes = |index: usize| dataset.classes_in_order(index, &[]);
        match (0..dataset.mixes.len())
            .map(classes)
            .find(|classes| classes[..] != ["haze"])
        {
            None => Ok(()),
            Some(classes) => Err(bad(format!(
                "layout reside has places for haze alone, not for {:?}; use another layout",
                classes.join("+")
            ))),
        }
    }

    fn place(&self, dataset: &Dataset, job: &Job) -> Place {
        let (label, ratio, number) = (dataset.label(job), job.mix.ratio("haze"), job.variant + 1);
        Place {
            gt: dataset.in_part(job, &format!("clear/{label}.png")),
            lq: dataset.in_part(job, &format!("hazy/{label}_{ratio}_{number}.{}", dataset.lq_extension)),
        }
    }

    fn is_in(&self, folder: &Path) -> bool {
        folder.join("clear").is_dir() && folder.join("hazy").is_dir()
    }

    fn read(&self, folder: &Path, reading: &mut Reading<'_>) -> Result<Vec<Item>, ModelError> {
        let haze = |numbers: &str| {
            let mut mix = Mix::new();
            let ratio = numbers.split('_').next()?.parse().ok()?;
            mix.set("haze", ratio).ok().map(|()| mix)
        };
        Ok(reading.by_prefix(&folder.join("clear"), &folder.join("hazy"), haze))
    }
}
