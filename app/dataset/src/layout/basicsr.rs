//! `BasicSR`: `gt/NAME.png`, `lq/NAME.png`, and `meta_info.txt` with lines such as `NAME.png (256,256,3)`.

use mdsd3_render::RenderError;

use super::{Done, Layout, List, Place, file_name, in_part, list_per_part, stem};
use crate::sweep::{Job, Sweep};

pub(super) struct Basicsr;

impl Layout for Basicsr {
    fn place(&self, sweep: &Sweep, job: &Job) -> Place {
        let name = stem(sweep, job);
        Place {
            gt: in_part(sweep, job, &format!("gt/{name}.png")),
            lq: in_part(sweep, job, &format!("lq/{name}.png")),
        }
    }

    fn lists(&self, sweep: &Sweep, done: &[Done]) -> Result<Vec<List>, RenderError> {
        list_per_part(sweep, done, "meta_info.txt", |pair| {
            let place = self.place(sweep, &pair.job);
            let (name, height, width) = (file_name(&place.lq), pair.height, pair.width);
            Ok(Some(format!("{name} ({height},{width},3)")))
        })
    }
}
