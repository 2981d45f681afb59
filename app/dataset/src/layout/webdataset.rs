//! `WebDataset`: `train-000000.tar` with `KEY.gt.png`, `KEY.lq.png` and `KEY.json`; the part is `train` without a split. Pairs wait
//! in a hidden folder until all of them are there, so that a tar depends on the plan alone.

use std::collections::BTreeMap;

use mdsd3_render::RenderError;

use super::{Done, Layout, Pack, Place, lq_extension, stem};
use crate::check::bad;
use crate::files::STAGING;
use crate::plan::Copies;
use crate::sweep::{Job, Sweep};

pub(super) struct Webdataset;

impl Layout for Webdataset {
    fn check(&self, sweep: &Sweep) -> Result<(), RenderError> {
        if sweep.plan.pairs == Copies::Duplicate {
            return Ok(());
        }
        Err(bad(
            "layout webdataset keeps copies in its tars; remove pairs from the plan".to_owned(),
        ))
    }

    fn place(&self, sweep: &Sweep, job: &Job) -> Place {
        let name = stem(sweep, job);
        Place {
            gt: format!("{STAGING}/{name}.gt.png"),
            lq: format!("{STAGING}/{name}.lq.{}", lq_extension(sweep)),
        }
    }

    fn info(&self, sweep: &Sweep, job: &Job) -> String {
        format!("{STAGING}/{}.json", stem(sweep, job))
    }

    fn extra(&self, sweep: &Sweep, job: &Job, what: &str) -> String {
        // Everything behind a key's first dot is a field's name, so a field has no `/`.
        format!("{STAGING}/{}.{}.png", stem(sweep, job), what.replace('/', "-"))
    }

    fn packs(&self, sweep: &Sweep, done: &[Done]) -> Vec<Pack> {
        let mut packs: BTreeMap<String, Pack> = BTreeMap::new();
        let mut scenes_before = vec![0; sweep.plan.scenes.len()];
        let mut scenes_of: BTreeMap<&str, usize> = BTreeMap::new();
        for (scene, before) in scenes_before.iter_mut().enumerate() {
            let count = scenes_of.entry(sweep.part(scene)).or_default();
            *before = *count;
            *count += 1;
        }
        for (index, Done { job, .. }) in done.iter().enumerate() {
            // Counted over all jobs, failed ones too: a pair's tar depends on the plan alone.
            let ordinal = scenes_before[job.scene] * sweep.jobs_per_scene() + job.variant;
            let part = match sweep.part(job.scene) {
                "" => "train",
                part => part,
            };
            let path = format!("{part}-{:06}.tar", ordinal / sweep.plan.shard_pairs);
            let pack = packs.entry(path.clone()).or_insert_with(|| Pack {
                path,
                pairs: Vec::new(),
            });
            pack.pairs.push(index);
        }
        packs.into_values().collect()
    }
}
