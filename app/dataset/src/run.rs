//! Running a sweep: photos are decoded, pairs are sampled and files are encoded on threads of their own.
//!
//! `mdsd3-scene` decodes ahead, `mdsd3-sample` degrades, `mdsd3-encode-N` decode latents, write files and then the
//! journal. Bounded channels join them, so memory stays flat however long the sweep is.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use mdsd3_render::RenderError;
use mdsd3_render::loaded::LoadedModel;
use mdsd3_words::regular;

use crate::check::bad;
use crate::files::{self, PLAN_HASH, Shard, Writer};
use crate::finish;
use crate::hold::Hold;
use crate::journal::{self, Journal, Known};
use crate::options::{DISK_FULL_WAIT, RunOptions, SweepObserver};
use crate::pair::Maker;
use crate::pair_files::Files;
use crate::stored::Care;
use crate::sweep::Sweep;
use crate::work::{State, Work};

/// How a sweep ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Pairs made by this run.
    pub made: usize,
    /// Pairs of this shard that are there now.
    pub done: usize,
    /// Pairs of this shard.
    pub total: usize,
    /// Photos that can't be used: they have no pairs.
    pub failed_scenes: usize,
    /// Photos that could not be read this time, for want of the disk or the right to: a resumed run tries them again.
    pub unread_scenes: usize,
    /// Stopped before the end.
    pub is_stopped: bool,
    /// The dataset is complete, its lists are written.
    pub is_finished: bool,
    /// Share of the time between first and last pair in which the sampler worked, 0 to 1.
    pub sampler_busy: f32,
    /// Seconds from start to end.
    pub elapsed_secs: f32,
}

/// Runs a sweep, or its shard, into `folder`.
///
/// # Errors
/// [`RenderError::BadInput`] for a folder that holds something else, and for photos that changed since the dataset was
/// begun; other [`RenderError`]s when the machine fails. Bad photos and a full disk are no errors.
pub fn run(
    sweep: &Sweep,
    model: Option<LoadedModel>,
    folder: &Path,
    options: &RunOptions,
    observer: &dyn SweepObserver,
) -> Result<Outcome, RenderError> {
    let start = Instant::now();
    let maker = maker_of(sweep, model)?;
    let hold = prepare(sweep, folder, options)?;
    if let Some(outcome) = finished_before(sweep, folder, (&hold, options.shard), observer)? {
        return Ok(outcome);
    }
    let mut outcome = make_pairs(sweep, maker, folder, options, observer)?;
    if !outcome.is_stopped && options.shard.count == 1 && outcome.unread_scenes == 0 {
        hold.alone()?;
        outcome.is_finished = finish_when_there_is_room(sweep, folder, (&hold, options.shard), observer)?;
        outcome.is_stopped = !outcome.is_finished;
    }
    outcome.elapsed_secs = start.elapsed().as_secs_f32();
    Ok(outcome)
}

fn maker_of(sweep: &Sweep, model: Option<LoadedModel>) -> Result<Maker, RenderError> {
    match (model, sweep.needs_model()) {
        (Some(model), true) => Ok(Maker::Model(Box::new(model))),
        (_, false) => Ok(Maker::Physical),
        (None, true) => Err(bad(
            "this plan needs a model; set engine = \"physical\" for none".to_owned()
        )),
    }
}

/// Makes the pairs of a shard that are not there.
fn make_pairs(
    sweep: &Sweep,
    maker: Maker,
    folder: &Path,
    options: &RunOptions,
    observer: &dyn SweepObserver,
) -> Result<Outcome, RenderError> {
    let total = about_pairs_of(sweep, options.shard);
    // Locked before it is looked at: what is there then is there still when the first pair is made.
    let journal = Journal::open(folder, options.shard)?;
    let known = Known::read(folder)?;
    let stop = || observer.should_stop();
    let Some(there) = finish::present((sweep, options.shard), folder, &known, Care::Content, &stop)? else {
        return Ok(Outcome::stopped(0, total));
    };
    let work = Work {
        sweep,
        options,
        observer,
        known: &known,
        done: &there.pairs,
        journal: Mutex::new(journal),
        state: Mutex::new(State {
            done_before: there.pairs.len(),
            ..State::default()
        }),
        is_aborted: AtomicBool::new(false),
        total,
        files: Files {
            sweep,
            decoder: maker.decoder(),
            batch: maker.batch_size(&sweep.plan),
            writer: Writer::new(folder, options.shard),
        },
    };
    let busy = work.run(maker)?;
    let state = work.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let done = state.done_before + state.made;
    Ok(Outcome {
        made: state.made,
        failed_scenes: state.failed_scenes,
        unread_scenes: state.unread_scenes,
        is_stopped: observer.should_stop() && state.pairs.is_none_or(|pairs| done + state.skipped < pairs),
        sampler_busy: busy,
        ..Outcome::stopped(done, state.pairs.unwrap_or(total))
    })
}

impl Outcome {
    /// Of a run that made nothing more: `done` of `total` pairs are there, and it was stopped.
    fn stopped(done: usize, total: usize) -> Self {
        Self {
            made: 0,
            done,
            total,
            failed_scenes: 0,
            unread_scenes: 0,
            is_stopped: true,
            is_finished: false,
            sampler_busy: 0.0,
            elapsed_secs: 0.0,
        }
    }
}

/// Pairs of a shard, for a display of progress: told exactly once all are enumerated, which takes a while for millions.
fn about_pairs_of(sweep: &Sweep, shard: Shard) -> usize {
    sweep.len().div_ceil(shard.count as usize)
}

/// How a dataset stands that was finished before; `None` for one that is not, or that has lost files and is now to be gone on with.
fn finished_before(
    sweep: &Sweep,
    folder: &Path,
    (hold, shard): (&Hold, Shard),
    observer: &dyn SweepObserver,
) -> Result<Option<Outcome>, RenderError> {
    if !folder.join(journal::FINISHED).exists() {
        return Ok(None);
    }
    hold.alone()?;
    let known = Known::read(folder)?;
    if known.finished.is_none() {
        // A journal that lost its last line is one among those of the shards.
        hold.share()?;
        return Ok(None);
    }
    let total = about_pairs_of(sweep, shard);
    let stop = || observer.should_stop();
    let Some(there) = finish::present((sweep, Shard::ALL), folder, &known, Care::Content, &stop)? else {
        return Ok(Some(Outcome::stopped(0, total)));
    };
    if finish::is_whole(&known, &there) {
        // An earlier run may have ended between the last journal and this.
        finish::remove_leftovers(folder)?;
        return Ok(Some(Outcome {
            failed_scenes: known.failed.len(),
            is_stopped: false,
            is_finished: true,
            ..Outcome::stopped(there.pairs.iter().filter(|key| shard.holds(key)).count(), total)
        }));
    }
    finish::reopen(folder, shard, &known, &there)?;
    hold.share()?;
    Ok(None)
}

/// Writes what can only be written when all pairs are there; false when it was stopped before.
fn finish_when_there_is_room(
    sweep: &Sweep,
    folder: &Path,
    by: (&Hold, Shard),
    observer: &dyn SweepObserver,
) -> Result<bool, RenderError> {
    let stop = || observer.should_stop();
    loop {
        // Every file was looked at when the run began, or is the run's own.
        match finish::finish(sweep, folder, by, Care::Length, &stop) {
            Ok(merged) => return Ok(merged.is_some()),
            Err(error) if !files::is_disk_full(&error) || observer.should_stop() => return Err(error),
            Err(error) => observer.disk_full(&error.one_line()),
        }
        thread::sleep(DISK_FULL_WAIT);
    }
}

/// Checks the folder against the plan, and makes it this plan's.
fn prepare(sweep: &Sweep, folder: &Path, options: &RunOptions) -> Result<Hold, RenderError> {
    // Nothing is put into a folder that is refused.
    check_folder(sweep, folder, options)?;
    files::check_writable(folder)?;
    let hold = Hold::begin(folder)?;
    // Another process may have begun here since.
    if !check_folder(sweep, folder, options)? {
        let hash = format!("{}\n", sweep.hash());
        Writer::new(folder, options.shard).write(PLAN_HASH, hash.as_bytes())?;
    }
    hold.share()?;
    Ok(hold)
}

/// Refuses a folder that is not this plan's, or that this run may not go on with; whether the plan was begun there before.
fn check_folder(sweep: &Sweep, folder: &Path, options: &RunOptions) -> Result<bool, RenderError> {
    let shown = folder.display();
    let hash_path = folder.join(PLAN_HASH);
    let there = match regular::read_text(&hash_path) {
        Err(error) if error.kind() == ErrorKind::NotFound || error.kind() == ErrorKind::NotADirectory => None,
        there => Some(there.map_err(|source| RenderError::reading(&hash_path, source))?),
    };
    match there.as_deref().map(str::trim) {
        Some(hash) if hash != sweep.hash() => {
            sweep.check_weather_version(folder, hash)?;
            return Err(bad(format!(
                "{shown}: holds the dataset of another plan or model ({hash:.8}, this is {:.8}); choose another folder",
                sweep.hash()
            )));
        }
        Some(_) if !options.resume => {
            // Other shards of the same plan may be at work here; only this one's journal says that it ran before.
            let is_new_shard = options.shard.count > 1 && !journal::path_of(folder, options.shard).exists();
            if !is_new_shard {
                return Err(bad(format!(
                    "{shown}: this dataset was begun before; add --resume to go on, or choose another folder"
                )));
            }
        }
        Some(_) => {}
        None => {
            let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let holds_other = entries.any(|entry| entry.file_name() != files::STATE);
            if holds_other && !options.force {
                return Err(bad(format!(
                    "{shown}: the folder is not empty; choose another, or add --force to write among its files"
                )));
            }
        }
    }
    Ok(there.is_some())
}
