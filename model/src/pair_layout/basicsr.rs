//! `BasicSR`: `gt/NAME.png`, `lq/NAME.png`, and `meta_info.txt` with lines such as `NAME.png (256,256,3)`.

use std::path::Path;

use super::imagefolder;
use super::naming::{Dataset, Done, Job, List, Place, file_name};
use super::reading::Reading;
use super::rules::Layout;
use super::source::Item;
use crate::error::ModelError;

pub(super) struct Basicsr;

impl Layout for Basicsr {
    fn name(&self) -> &'static str {
        "basicsr"
    }

    fn label(&self) -> &'static str {
        "BasicSR"
    }

    fn place(&self, dataset: &Dataset, job: &Job) -> Place {
        let name = dataset.stem(job);
        Place {
            gt: dataset.in_part(job, &format!("gt/{name}.png")),
            lq: dataset.in_part(job, &format!("lq/{name}.png")),
        }
    }

    fn lists(&self, dataset: &Dataset, done: &[Done]) -> Result<Vec<List>, ModelError> {
        dataset.list_per_part(done, "meta_info.txt", |pair| {
            let place = self.place(dataset, &pair.job);
            let (name, height, width) = (file_name(&place.lq), pair.height, pair.width);
            Ok(Some(format!("{name} ({height},{width},3)")))
        })
    }

    fn is_in(&self, folder: &Path) -> bool {
        let has = |name: &str| folder.join(name).is_dir();
        // An imagefolder of this program has these folders too, and a table.
        has("gt") && has("lq") && imagefolder::table(folder).is_none()
    }

    fn read(&self, folder: &Path, reading: &mut Reading<'_>) -> Result<Vec<Item>, ModelError> {
        Ok(reading.same_names(&folder.join("gt"), &folder.join("lq"), None))
    }
}
