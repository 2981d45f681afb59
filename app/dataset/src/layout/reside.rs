//! RESIDE: `clear/0025.png` and `hazy/0025_0.8_3.jpg`. RESIDE's two numbers are airlight and scattering; readers only use what
//! stands before the first `_`, so here they are the haze ratio and the pair's number. Hazy images are JPEG and clear ones PNG,
//! as in its outdoor test set: readers take any hazy file and put `.png` behind the clear one's name.

use mdsd3_render::RenderError;

use super::{Layout, Place, classes_in_order, in_part, lq_extension};
use crate::check::bad;
use crate::sweep::{Job, Sweep};

pub(super) struct Reside;

impl Layout for Reside {
    fn check(&self, sweep: &Sweep) -> Result<(), RenderError> {
        let classes = |index: usize| classes_in_order(sweep, index, &[]);
        match (0..sweep.mixes().len())
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

    fn place(&self, sweep: &Sweep, job: &Job) -> Place {
        let (label, ratio, number) = (sweep.label(job.scene), job.mix.ratio("haze"), job.variant + 1);
        Place {
            gt: in_part(sweep, job, &format!("clear/{label}.png")),
            lq: in_part(
                sweep,
                job,
                &format!("hazy/{label}_{ratio}_{number}.{}", lq_extension(sweep)),
            ),
        }
    }
}
