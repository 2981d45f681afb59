//! The end of a sweep: lists and tars are written, journals of shards become one in the plan's order.
//!
//! Also its way back: a finished dataset that has lost files becomes an unfinished one, so that they are made again.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::Path;

use mdsd3_model::pair_layout::{Done, STAGING};
use mdsd3_render::RenderError;
use mdsd3_words::regular;

use crate::check::bad;
use crate::files::{FileRecord, PLAN_HASH, Shard, Writer};
use crate::hold::Hold;
use crate::journal::{self, FINISHED, Known, Line, PairRecord};
use crate::pack::{self, Packing};
use crate::stored::{Care, Found, Stored};
use crate::sweep::{Job, Sweep};

/// What a finished dataset holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Pairs.
    pub pairs: usize,
    /// Photos that could not be used.
    pub failed_scenes: usize,
}

/// Asked again and again while much is looked at; once it is true it stays so.
pub(super) type Stop<'a> = &'a dyn Fn() -> bool;

/// What of a dataset is there: named by a journal and found as it says.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// Keys of pairs. A pair that waited for its tar is there when its tar is.
    pub pairs: HashSet<String>,
    /// Paths of lists and tars.
    pub lists: HashSet<String>,
}

/// Looks at the files of `shard`'s pairs and at all lists; `None` when it was stopped.
pub(super) fn present(
    (sweep, shard): (&Sweep, Shard),
    folder: &Path,
    known: &Known,
    care: Care,
    stop: Stop,
) -> Result<Option<Present>, RenderError> {
    let stored = Stored::open(folder)?;
    let mut there = Present::default();
    for list in known.lists.values().take_while(|_| !stop()) {
        if stored.find(list, care)? == Found::Good {
            there.lists.insert(list.path.clone());
        }
    }
    let packed = packed_keys(sweep, &stored, known, &mut there.lists, stop)?;
    for pair in known.pairs.values().take_while(|_| !stop()) {
        let is_wanted = shard.holds(&pair.key);
        if is_wanted && (packed.contains(&pair.key) || are_there(&stored, pair, care)?) {
            there.pairs.insert(pair.key.clone());
        }
    }
    Ok((!stop()).then_some(there))
}

fn are_there(stored: &Stored, pair: &PairRecord, care: Care) -> Result<bool, RenderError> {
    for file in &pair.files {
        if stored.find(file, care)? != Found::Good {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Keys of pairs whose tar is among `lists`. A tar that was packed before one of its pairs was made is taken out of them.
fn packed_keys(
    sweep: &Sweep,
    stored: &Stored,
    known: &Known,
    lists: &mut HashSet<String>,
    stop: Stop,
) -> Result<HashSet<String>, RenderError> {
    let mut packed = HashSet::new();
    if lists.is_empty() {
        return Ok(packed);
    }
    let done = done_pairs(sweep, |key| known.pairs.get(key), stop)?;
    for pack in sweep.layout().packs(sweep.dataset(), &done) {
        let Some(record) = known.lists.get(&pack.path).filter(|_| lists.contains(&pack.path)) else {
            continue;
        };
        let keys = pack.pairs.iter().map(|index| &done[*index].job.key);
        let records = keys.clone().filter_map(|key| known.pairs.get(key));
        let files = records.map(|pair| pair.files.len()).sum();
        if stored
            .path_of(record)?
            .is_some_and(|tar| pack::has_members(&tar, files))
        {
            packed.extend(keys.cloned());
        } else {
            lists.remove(&pack.path);
        }
    }
    Ok(packed)
}

/// Whether a finished dataset has lost nothing.
pub(super) fn is_whole(known: &Known, there: &Present) -> bool {
    known.is_whole() && there.pairs.len() == known.pairs.len() && there.lists.len() == known.lists.len()
}

/// Makes a finished dataset that has lost something an unfinished one, of which `shard` has made what is there.
pub(super) fn reopen(folder: &Path, shard: Shard, known: &Known, there: &Present) -> Result<(), RenderError> {
    let pairs = known.pairs.values().filter(|pair| there.pairs.contains(&pair.key));
    let failed = known.failed.iter().map(|(scene, reason)| Line::Failed {
        scene: scene.clone(),
        reason: reason.clone(),
    });
    let lists = known.lists.values().filter(|list| there.lists.contains(&list.path));
    let mut text = String::new();
    for line in pairs
        .cloned()
        .map(Line::Pair)
        .chain(failed)
        .chain(lists.cloned().map(Line::List))
    {
        text.push_str(&journal::format(&line)?);
    }
    Writer::new(folder, shard).write(&journal::name_of(shard), text.as_bytes())?;
    // A kill before this leaves both, of which the finished one counts: the same is found again.
    let finished = folder.join(FINISHED);
    fs::remove_file(&finished).map_err(|source| RenderError::Io { path: finished, source })
}

/// Joins the journals of all shards, after checking that together they are complete.
///
/// # Errors
/// [`RenderError::BadInput`] when pairs are missing, files are damaged or a shard is still at work.
pub fn merge(sweep: &Sweep, folder: &Path) -> Result<Merged, RenderError> {
    let hash = regular::read_text(&folder.join(PLAN_HASH)).unwrap_or_default();
    if hash.trim() != sweep.hash() {
        sweep.check_weather_version(folder, hash.trim())?;
        return Err(bad(format!(
            "{}: holds no shards of this plan; run them first, with the same plan and model",
            folder.display()
        )));
    }
    let hold = Hold::begin_alone(folder)?;
    let known = Known::read(folder)?;
    if known.finished.is_none() {
        let merged = finish(sweep, folder, (&hold, Shard::ALL), Care::Content, &|| false)?;
        return merged.ok_or_else(|| RenderError::Panicked {
            message: "nothing is packed and nothing is merged".to_owned(),
        });
    }
    let there = present((sweep, Shard::ALL), folder, &known, Care::Content, &|| false)?;
    if !there.is_some_and(|there| is_whole(&known, &there)) {
        return Err(bad(format!(
            "{}: this finished dataset has lost files, or they were changed; run the plan with --resume to make them again",
            folder.display()
        )));
    }
    remove_leftovers(folder)?;
    Ok(Merged {
        pairs: known.pairs.len(),
        failed_scenes: known.failed.len(),
    })
}

/// Writes what can only be written when all pairs are there; `None` when it was stopped before.
///
/// # Arguments
/// - `_hold`: nobody else may write meanwhile
pub(super) fn finish(
    sweep: &Sweep,
    folder: &Path,
    (_hold, shard): (&Hold, Shard),
    care: Care,
    stop: Stop,
) -> Result<Option<Merged>, RenderError> {
    let known = Known::read(folder)?;
    let Some(there) = present((sweep, Shard::ALL), folder, &known, care, stop)? else {
        return Ok(None);
    };
    let done = done_pairs(
        sweep,
        |key| known.pairs.get(key).filter(|_| there.pairs.contains(key)),
        stop,
    )?;
    let failed = check_complete(sweep, folder, &known, &there, stop)?;
    if stop() {
        return Ok(None);
    }
    let writer = Writer::new(folder, shard);
    let layout = sweep.layout();
    let mut lists = Vec::new();
    for list in layout.lists(sweep.dataset(), &done)? {
        lists.push(writer.write(&list.path, &list.bytes)?);
    }
    let packing = Packing {
        folder,
        stored: Stored::open(folder)?,
        writer: &writer,
        done: &done,
        known: &known,
        there: &there,
        shard,
    };
    for pack in layout.packs(sweep.dataset(), &done) {
        lists.push(packing.pack_if_needed(&pack)?);
    }
    let merged = Merged {
        pairs: done.len(),
        failed_scenes: failed.len(),
    };
    let text = finished_journal(sweep, &known, &done, &failed, lists)?;
    writer.write(FINISHED, text.as_bytes())?;
    remove_leftovers(folder)?;
    Ok(Some(merged))
}

/// The one journal of a finished dataset, in the plan's order.
fn finished_journal(
    sweep: &Sweep,
    known: &Known,
    done: &[Done],
    failed: &BTreeSet<&str>,
    lists: Vec<FileRecord>,
) -> Result<String, RenderError> {
    let mut text = String::new();
    let records = done.iter().filter_map(|pair| known.pairs.get(&pair.job.key));
    for line in records.cloned().map(Line::Pair) {
        text.push_str(&journal::format(&line)?);
    }
    for scene in failed {
        let reason = known.failed.get(*scene).cloned().unwrap_or_default();
        text.push_str(&journal::format(&Line::Failed {
            scene: (*scene).to_owned(),
            reason,
        })?);
    }
    for list in lists {
        text.push_str(&journal::format(&Line::List(list))?);
    }
    text.push_str(&journal::format(&Line::Finished {
        plan: sweep.hash().to_owned(),
        pairs: done.len(),
        failed_scenes: failed.len(),
    })?);
    Ok(text)
}

/// Finished pairs in the plan's order; not all of them once `stop` is true.
fn done_pairs<'a>(
    sweep: &Sweep,
    record: impl Fn(&str) -> Option<&'a PairRecord>,
    stop: Stop,
) -> Result<Vec<Done>, RenderError> {
    let done = |job: Result<Job, RenderError>| match job {
        Err(error) => Some(Err(error)),
        Ok(job) => record(&job.key).map(|pair| {
            Ok(Done {
                width: pair.width,
                height: pair.height,
                job,
            })
        }),
    };
    sweep.jobs().take_while(|_| !stop()).filter_map(done).collect()
}

/// Scenes that failed for good; pairs that are missing for any other reason are an error. Not all of them once `stop` is true.
fn check_complete<'a>(
    sweep: &'a Sweep,
    folder: &Path,
    known: &Known,
    there: &Present,
    stop: Stop,
) -> Result<BTreeSet<&'a str>, RenderError> {
    let (mut failed, mut missing) = (BTreeSet::new(), 0);
    for job in sweep.jobs().take_while(|_| !stop()) {
        let job = job?;
        let scene = &sweep.plan.scenes[job.scene];
        if there.pairs.contains(&job.key) {
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

/// Removes the journals that the finished one replaces, and the folder in which pairs waited.
pub(super) fn remove_leftovers(folder: &Path) -> Result<(), RenderError> {
    let failed = |path: &Path, source| RenderError::Io {
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
