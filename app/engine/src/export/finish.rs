//! The end of a sweep: lists and tars are written, journals of shards become one in the plan's order.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::check::bad;
use super::files::{FileRecord, STAGING, Shard, Writer};
use super::journal::{self, FINISHED, Journal, Known, Line, PairRecord};
use super::layout::{Done, Pack};
use super::sweep::{Job, Sweep};
use crate::error::EngineError;
use mdsd3_words::hash::sha256_of_file;

/// What a finished dataset holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Pairs.
    pub pairs: usize,
    /// Photos that could not be used.
    pub failed_scenes: usize,
}

/// Keys of pairs whose files are there: named by a journal, and of the length it says. A pair that waits for its tar is
/// there when its tar is.
pub(super) fn present(sweep: &Sweep, folder: &Path, known: &Known) -> Result<HashSet<String>, EngineError> {
    let packed = packed_keys(sweep, known)?;
    let is_there =
        |file: &FileRecord| fs::metadata(folder.join(&file.path)).is_ok_and(|facts| facts.len() == file.bytes);
    let complete = known
        .pairs
        .values()
        .filter(|pair| packed.contains(&pair.key) || pair.files.iter().all(is_there));
    Ok(complete.map(|pair| pair.key.clone()).collect())
}

fn packed_keys(sweep: &Sweep, known: &Known) -> Result<HashSet<String>, EngineError> {
    if known.lists.is_empty() {
        return Ok(HashSet::new());
    }
    let done = done_pairs(sweep, |key| known.pairs.get(key))?;
    let packs = sweep.layout().packs(sweep, &done);
    let packed = packs.iter().filter(|pack| known.lists.contains_key(&pack.path));
    Ok(packed
        .flat_map(|pack| &pack.pairs)
        .map(|index| done[*index].job.key.clone())
        .collect())
}

/// Joins the journals of all shards, after checking that together they are complete.
///
/// # Errors
/// [`EngineError::BadInput`] when pairs are missing or a shard is still at work.
pub fn merge(sweep: &Sweep, folder: &Path) -> Result<Merged, EngineError> {
    let hash = fs::read_to_string(folder.join(super::files::PLAN_HASH)).unwrap_or_default();
    if hash.trim() != sweep.hash() {
        return Err(bad(format!(
            "{}: holds no shards of this plan; run them first, with the same plan and model",
            folder.display()
        )));
    }
    if let Some(finished) = finished(folder)? {
        remove_leftovers(folder)?;
        return Ok(finished);
    }
    finish(sweep, folder, Shard::ALL)
}

fn finished(folder: &Path) -> Result<Option<Merged>, EngineError> {
    if !folder.join(FINISHED).exists() {
        return Ok(None);
    }
    let known = Known::read(folder)?;
    Ok(known.is_finished.then_some(Merged {
        pairs: known.pairs.len(),
        failed_scenes: known.failed.len(),
    }))
}

/// Writes what can only be written when all pairs are there.
pub(super) fn finish(sweep: &Sweep, folder: &Path, shard: Shard) -> Result<Merged, EngineError> {
    let locked = lock_all(folder)?;
    let known = Known::read(folder)?;
    let there = present(sweep, folder, &known)?;
    let done = done_pairs(sweep, |key| known.pairs.get(key).filter(|_| there.contains(key)))?;
    let failed = check_complete(sweep, folder, &known, &there)?;
    let writer = Writer::new(folder, shard);
    let layout = sweep.layout();
    let mut lists = Vec::new();
    for list in layout.lists(sweep, &done)? {
        lists.push(writer.write(&list.path, &list.bytes)?);
    }
    drop(locked);
    for pack in layout.packs(sweep, &done) {
        lists.push(pack_if_needed(folder, &writer, &pack, &done, &known, shard)?);
    }
    let mut text = String::new();
    let records = done.iter().filter_map(|pair| known.pairs.get(&pair.job.key));
    for line in records.cloned().map(Line::Pair) {
        text.push_str(&journal::format(&line)?);
    }
    for scene in &failed {
        let reason = known.failed.get(*scene).cloned().unwrap_or_default();
        text.push_str(&journal::format(&Line::Failed {
            scene: (*scene).to_owned(),
            reason,
        })?);
    }
    for list in lists {
        text.push_str(&journal::format(&Line::List(list))?);
    }
    let merged = Merged {
        pairs: done.len(),
        failed_scenes: failed.len(),
    };
    text.push_str(&journal::format(&Line::Finished {
        plan: sweep.hash().to_owned(),
        pairs: merged.pairs,
        failed_scenes: merged.failed_scenes,
    })?);
    writer.write(FINISHED, text.as_bytes())?;
    remove_leftovers(folder)?;
    Ok(merged)
}

/// Holds every shard's journal, so that none is at work.
fn lock_all(folder: &Path) -> Result<Vec<File>, EngineError> {
    let mut held = Vec::new();
    for path in journal::journals(folder)? {
        let file = File::open(&path).map_err(|source| EngineError::reading(&path, source))?;
        if matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)) {
            return Err(bad(format!(
                "{}: a shard is still being made; merge when all have ended",
                folder.display()
            )));
        }
        held.push(file);
    }
    Ok(held)
}

/// Finished pairs in the plan's order.
fn done_pairs<'a>(sweep: &Sweep, record: impl Fn(&str) -> Option<&'a PairRecord>) -> Result<Vec<Done>, EngineError> {
    let done = |job: Result<Job, EngineError>| match job {
        Err(error) => Some(Err(error)),
        Ok(job) => record(&job.key).map(|pair| {
            Ok(Done {
                width: pair.width,
                height: pair.height,
                job,
            })
        }),
    };
    sweep.jobs().filter_map(done).collect()
}

/// Scenes that failed for good; pairs that are missing for any other reason are an error.
fn check_complete<'a>(
    sweep: &'a Sweep,
    folder: &Path,
    known: &Known,
    there: &HashSet<String>,
) -> Result<BTreeSet<&'a str>, EngineError> {
    let (mut failed, mut missing) = (BTreeSet::new(), 0);
    for job in sweep.jobs() {
        let job = job?;
        let scene = &sweep.plan.scenes[job.scene];
        if there.contains(&job.key) {
            continue;
        }
        if known.failed.contains_key(scene) {
            failed.insert(scene.as_str());
        } else {
            missing += 1;
        }
    }
    if missing == 0 {
        return Ok(failed);
    }
    Err(bad(format!(
        "{}: {missing} of {} pairs are missing; run every shard again with --resume, then merge",
        folder.display(),
        sweep.len()
    )))
}

/// Packs a tar, unless an earlier attempt did; then its pairs' own files can go.
fn pack_if_needed(
    folder: &Path,
    writer: &Writer,
    pack: &Pack,
    done: &[Done],
    known: &Known,
    shard: Shard,
) -> Result<FileRecord, EngineError> {
    let records = || {
        pack.pairs
            .iter()
            .filter_map(|index| known.pairs.get(&done[*index].job.key))
    };
    let record = if let Some(record) = known.lists.get(&pack.path) {
        record.clone()
    } else {
        let files: Vec<&FileRecord> = records().flat_map(|pair| &pair.files).collect();
        let target = folder.join(&pack.path);
        writer.place(&target, |temporary| write_tar(folder, &files, temporary))?;
        let facts = fs::metadata(&target).map_err(|source| EngineError::reading(&target, source))?;
        let record = FileRecord {
            path: pack.path.clone(),
            bytes: facts.len(),
            sha256: sha256_of_file(&target)?,
        };
        // From here on the pairs count as there without their own files.
        Journal::open(folder, shard)?.append(&Line::List(record.clone()))?;
        record
    };
    for file in records().flat_map(|pair| &pair.files) {
        // What is left is removed with its folder.
        let _ = fs::remove_file(folder.join(&file.path));
    }
    Ok(record)
}

/// Headers hold nothing of this machine or time, so that equal pairs make equal tars.
fn write_tar(folder: &Path, files: &[&FileRecord], target: &Path) -> io::Result<()> {
    let mut builder = tar::Builder::new(BufWriter::new(File::create(target)?));
    for record in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(record.bytes);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        let name = record.path.rsplit('/').next().unwrap_or(&record.path);
        builder.append_data(&mut header, name, File::open(folder.join(&record.path))?)?;
    }
    let mut file = builder.into_inner()?;
    file.flush()?;
    file.get_ref().sync_all()
}

/// Removes the journals that the finished one replaces, and the folder in which pairs waited.
pub(super) fn remove_leftovers(folder: &Path) -> Result<(), EngineError> {
    let failed = |path: &Path, source| EngineError::Io {
        path: path.to_owned(),
        source,
    };
    let finished = folder.join(FINISHED);
    for path in journal::journals(folder)?.iter().filter(|path| **path != finished) {
        fs::remove_file(path).map_err(|source| failed(path, source))?;
    }
    let staging = folder.join(STAGING);
    match fs::remove_dir_all(&staging) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed(&staging, source)),
        _ => Ok(()),
    }
}
