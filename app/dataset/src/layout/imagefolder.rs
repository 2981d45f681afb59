//! Hugging Face imagefolder: `train/metadata.jsonl` with `file_name` (the image) and `gt_file_name` (the column `gt`), and one
//! column per parameter; the part is `train` without a split.

use mdsd3_render::RenderError;
use mdsd3_words::made::EngineKind;
use serde_json::{Map, Value};

use super::{Done, Layout, List, Place, list_per_part, lq_extension, stem, under};
use crate::check::bad;
use crate::sweep::{Job, Sweep};

pub(super) struct Imagefolder;

impl Layout for Imagefolder {
    fn place(&self, sweep: &Sweep, job: &Job) -> Place {
        let (part, name) = (part_folder(sweep.part(job.scene)), stem(sweep, job));
        Place {
            gt: under(part, &format!("gt/{name}.png")),
            lq: under(part, &format!("lq/{name}.{}", lq_extension(sweep))),
        }
    }

    fn lists(&self, sweep: &Sweep, done: &[Done]) -> Result<Vec<List>, RenderError> {
        let mut lists = list_per_part(sweep, done, "metadata.jsonl", |pair| {
            let row = serde_json::to_string(&self.row(sweep, pair)?);
            row.map(Some)
                .map_err(|error| bad(format!("metadata.jsonl can't be written ({error})")))
        })?;
        for list in &mut lists {
            if !list.path.contains('/') {
                list.path = under("train", &list.path);
            }
        }
        Ok(lists)
    }
}

impl Imagefolder {
    /// Every row has the same columns, which the reader needs; a class that is not in the mix has ratio 0.
    fn row(&self, sweep: &Sweep, pair: &Done) -> Result<Map<String, Value>, RenderError> {
        let job = &pair.job;
        let place = self.place(sweep, job);
        let prefix = format!("{}/", part_folder(sweep.part(job.scene)));
        let in_folder = |path: &str| path.strip_prefix(&prefix).unwrap_or(path).to_owned();
        let mut row = Map::new();
        row.insert("file_name".to_owned(), in_folder(&place.lq).into());
        row.insert("gt_file_name".to_owned(), in_folder(&place.gt).into());
        row.insert("scene".to_owned(), sweep.label(job.scene).into());
        for class in sweep.plan.classes() {
            let ratio = decimal(job.mix.ratio(&class))?;
            row.insert(class, ratio);
        }
        row.insert("seed".to_owned(), job.seed.into());
        if sweep.plan.engine == EngineKind::Mdsd3 {
            row.insert("alpha".to_owned(), decimal(job.alpha)?);
            row.insert("beta".to_owned(), decimal(job.beta)?);
        }
        Ok(row)
    }
}

/// A number as it was written: widening 0.8 bit by bit would give 0.800000011920929.
fn decimal(value: f32) -> Result<Value, RenderError> {
    let text = format!("{value:?}");
    let wide: f64 = text
        .parse()
        .map_err(|_| bad(format!("{text} is no number for metadata.jsonl")))?;
    Ok(wide.into())
}

fn part_folder(part: &str) -> &str {
    if part.is_empty() { "train" } else { part }
}
