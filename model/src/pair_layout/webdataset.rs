//! `WebDataset`: `train-000000.tar` with `KEY.gt.png`, `KEY.lq.png` and `KEY.json`; the part is `train` without a split. Pairs wait
//! in a hidden folder until all of them are there, so that a tar depends on the plan alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::naming::{Dataset, Done, Job, List, Pack, Place, STAGING, bad};
use super::reading::Reading;
use super::reading::mix_of_info;
use super::rules::Layout;
use super::source::{Item, Source, name_of, read_part};
use crate::error::ModelError;
use mdsd3_words::Mix;

pub(super) struct Webdataset;

/// Longest JSON that is read, in bytes.
const LONGEST_INFO: u64 = 1 << 20;

impl Layout for Webdataset {
    fn name(&self) -> &'static str {
        "webdataset"
    }

    fn label(&self) -> &'static str {
        "WebDataset"
    }

    fn takes_jpeg(&self) -> bool {
        true
    }

    fn check(&self, dataset: &Dataset) -> Result<(), ModelError> {
        if dataset.has_links {
            return Err(bad(
                "layout webdataset keeps copies in its tars; remove pairs from the plan",
            ));
        }
        dataset.check_for_datasets_library()
    }

    fn place(&self, dataset: &Dataset, job: &Job) -> Place {
        let name = dataset.stem(job);
        Place {
            gt: format!("{STAGING}/{name}.gt.png"),
            lq: format!("{STAGING}/{name}.lq.{}", dataset.lq_extension),
        }
    }

    fn info(&self, dataset: &Dataset, job: &Job) -> String {
        format!("{STAGING}/{}.json", dataset.stem(job))
    }

    fn extra(&self, dataset: &Dataset, job: &Job, what: &str) -> String {
        // Everything behind a key's first dot is a field's name, so a field has no `/`.
        format!("{STAGING}/{}.{}.png", dataset.stem(job), what.replace('/', "-"))
    }

    fn layer(&self, dataset: &Dataset, job: &Job, file: &str) -> String {
        format!("{STAGING}/{}.layers-{file}", dataset.stem(job))
    }

    fn lists(&self, dataset: &Dataset, done: &[Done]) -> Result<Vec<List>, ModelError> {
        // A part's name may begin with another's.
        let digits = "[0-9]".repeat(6);
        Ok(vec![dataset.card(done, |part| format!("{part}-{digits}.tar"))])
    }

    fn packs(&self, dataset: &Dataset, done: &[Done]) -> Vec<Pack> {
        let mut packs: BTreeMap<String, Pack> = BTreeMap::new();
        let mut scenes_before = vec![0; dataset.labels.len()];
        let mut scenes_of: BTreeMap<&str, usize> = BTreeMap::new();
        for (scene, before) in scenes_before.iter_mut().enumerate() {
            let count = scenes_of.entry(dataset.part(scene)).or_default();
            *before = *count;
            *count += 1;
        }
        for (index, Done { job, .. }) in done.iter().enumerate() {
            // Counted over all jobs, failed ones too: a pair's tar depends on the plan alone.
            let ordinal = scenes_before[job.scene] * dataset.pairs_per_scene() + job.variant;
            let part = dataset.part_or_train(job.scene);
            let path = format!("{part}-{:06}.tar", ordinal / dataset.shard_pairs);
            let pack = packs.entry(path.clone()).or_insert_with(|| Pack {
                path,
                pairs: Vec::new(),
            });
            pack.pairs.push(index);
        }
        packs.into_values().collect()
    }

    fn is_in(&self, folder: &Path) -> bool {
        !tars(folder).is_empty()
    }

    /// All pairs of a folder's tars; where a split was made, of those called `train-*` alone.
    fn read(&self, folder: &Path, reading: &mut Reading<'_>) -> Result<Vec<Item>, ModelError> {
        let all = tars(folder);
        let is_train = |path: &&PathBuf| {
            let name = name_of(path);
            let rest = name.strip_prefix("train");
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphabetic()))
        };
        let mut chosen: Vec<&PathBuf> = all.iter().filter(is_train).collect();
        if chosen.is_empty() {
            chosen = all.iter().collect();
        }
        let mut items = Vec::new();
        for tar in chosen {
            items.extend(pairs(tar, reading)?);
        }
        Ok(items)
    }
}

/// The tars of a folder, by name.
fn tars(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let is_tar = |path: &PathBuf| path.is_file() && path.extension().is_some_and(|e| e == "tar");
    let mut tars: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_tar).collect();
    tars.sort();
    tars
}

/// The members of one key, by field.
type Fields = BTreeMap<String, Source>;

fn pairs(tar: &Path, reading: &mut Reading<'_>) -> Result<Vec<Item>, ModelError> {
    let mut keys: BTreeMap<String, Fields> = BTreeMap::new();
    for member in members(tar, reading)? {
        let name = member.name();
        let Source::Member { name: path, .. } = &member else {
            continue;
        };
        let Some((key, field)) = split_key(path) else { continue };
        if keys.entry(key).or_default().insert(field, member).is_some() {
            reading.leave_out(&name, "is there twice; the last one counts");
        }
    }
    let mut items = Vec::new();
    for (key, fields) in keys {
        let image = |kind: &str| {
            let mut of_kind = fields.iter().filter(|(field, _)| field.split('.').next() == Some(kind));
            of_kind.next().map(|(_, source)| source.clone())
        };
        match (image("gt"), image("lq")) {
            (Some(clean), Some(degraded)) => items.push(Item {
                clean,
                degraded: Some(degraded),
                mix: fields.get("json").and_then(mix_told),
                prompt: None,
            }),
            _ => reading.leave_out(
                &format_args!("{}: {}", tar.display(), key.trim_start_matches('/')),
                "lacks a gt or an lq image",
            ),
        }
    }
    Ok(items)
}

/// The mix in a pair's JSON.
fn mix_told(source: &Source) -> Option<Mix> {
    let Source::Member { tar, offset, len, .. } = source else {
        return None;
    };
    let bytes = read_part(tar, *offset, (*len).min(LONGEST_INFO)).ok()?;
    mix_of_info(&serde_json::from_slice(&bytes).ok()?)
}

/// `folder/KEY.gt.png` to `folder/KEY` and `gt.png`: a key ends at the first dot of its last part.
fn split_key(name: &str) -> Option<(String, String)> {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let (key, field) = file.split_once('.')?;
    Some((format!("{folder}/{key}"), field.to_owned()))
}

/// The regular files in a tar, whole ones alone.
fn members(tar: &Path, reading: &mut Reading<'_>) -> Result<Vec<Source>, ModelError> {
    let damaged = |source: io::Error| bad(format!("{}: is no tar, or a damaged one ({source})", tar.display()));
    let file = File::open(tar).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (end, file) = file.map_err(|source| ModelError::Io {
        path: tar.to_owned(),
        source,
    })?;
    let mut members = Vec::new();
    for entry in tar::Archive::new(file).entries_with_seek().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let bytes = entry.path_bytes().into_owned();
        let member = Source::Member {
            tar: tar.to_owned(),
            // Names that are no text stay apart from each other.
            name: String::from_utf8(bytes).unwrap_or_else(|error| error.as_bytes().escape_ascii().to_string()),
            offset: entry.raw_file_position(),
            len: entry.size(),
        };
        if entry.raw_file_position().saturating_add(entry.size()) > end {
            reading.leave_out(&member.name(), "the tar ends before it does");
        } else {
            members.push(member);
        }
    }
    Ok(members)
}
