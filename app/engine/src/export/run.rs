//! Running a sweep: photos are decoded, pairs are sampled and files are encoded on threads of their own.
//!
//! `mdsd3-scene` decodes ahead, `mdsd3-sample` degrades, `mdsd3-encode-N` decode latents, write files and then the
//! journal. Bounded channels join them, so memory stays flat however long the sweep is.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use image::Rgb32FImage;

use super::check::bad;
use super::files::{self, PLAN_HASH, Shard, Writer};
use super::finish;
use super::journal::{self, Journal, Known};
use super::pair::Maker;
use super::pair_files::Files;
use super::sweep::{Job, Sweep};
use super::work::{State, Work};
use crate::error::EngineError;
use crate::loaded::LoadedModel;

/// How long to wait before a full disk is tried again.
pub(super) const DISK_FULL_WAIT: Duration = Duration::from_secs(2);

/// How to run.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions {
    /// Which jobs.
    pub shard: Shard,
    /// Go on where an earlier run of the same plan was stopped; begins when there is none.
    pub resume: bool,
    /// Write into a folder that holds other files.
    pub force: bool,
}

/// Watches a sweep, from any of its threads.
pub trait SweepObserver: Sync {
    /// `done` of `total` pairs of this shard are there, those of earlier runs included.
    fn progress(&self, _done: usize, _total: usize) {}

    /// A pair is there, with this degraded image.
    fn pair_made(&self, _job: &Job, _lq: &Rgb32FImage) {}

    /// A photo can't be used; its pairs are left out.
    fn scene_failed(&self, _scene: &str, _reason: &str) {}

    /// There is no room; the sweep goes on when there is.
    fn disk_full(&self, _message: &str) {}

    /// Whether to stop when the pairs in hand are finished.
    fn should_stop(&self) -> bool {
        false
    }
}

impl SweepObserver for () {}

/// How a sweep ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Pairs made by this run.
    pub made: usize,
    /// Pairs of this shard that are there now.
    pub done: usize,
    /// Pairs of this shard.
    pub total: usize,
    /// Photos that could not be used.
    pub failed_scenes: usize,
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
/// [`EngineError::BadInput`] for a folder that holds something else, and for photos that changed since the dataset was
/// begun; other [`EngineError`]s when the machine fails. Bad photos and a full disk are no errors.
pub fn run(
    sweep: &Sweep,
    model: Option<LoadedModel>,
    folder: &Path,
    options: &RunOptions,
    observer: &dyn SweepObserver,
) -> Result<Outcome, EngineError> {
    let start = Instant::now();
    let maker = match (model, sweep.needs_model()) {
        (Some(model), true) => Maker::Model(Box::new(model)),
        (_, false) => Maker::Physical,
        (None, true) => {
            return Err(bad(
                "this plan needs a model; set engine = \"physical\" for none".to_owned()
            ));
        }
    };
    prepare(sweep, folder, options)?;
    let known = Known::read(folder)?;
    let shard_size = sweep
        .jobs()
        .filter_map(Result::ok)
        .filter(|job| options.shard.holds(&job.key))
        .count();
    let mut outcome = Outcome {
        made: 0,
        done: shard_size,
        total: shard_size,
        failed_scenes: known.failed.len(),
        is_stopped: false,
        is_finished: true,
        sampler_busy: 0.0,
        elapsed_secs: 0.0,
    };
    if known.is_finished {
        // An earlier run may have ended between the last journal and this.
        finish::remove_leftovers(folder)?;
        return Ok(outcome);
    }
    let done = finish::present(sweep, folder, &known)?;
    let done_before = sweep
        .jobs()
        .filter_map(Result::ok)
        .filter(|job| options.shard.holds(&job.key) && done.contains(&job.key))
        .count();
    let work = Work {
        sweep,
        options,
        observer,
        known: &known,
        done: &done,
        journal: Mutex::new(Journal::open(folder, options.shard)?),
        state: Mutex::new(State {
            done_before,
            ..State::default()
        }),
        is_aborted: AtomicBool::new(false),
        total: shard_size,
        files: Files {
            sweep,
            decoder: maker.decoder(),
            batch: maker.batch_size(&sweep.plan),
            writer: Writer::new(folder, options.shard),
        },
    };
    let busy = work.run(maker)?;
    let state = work.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome.made = state.made;
    outcome.done = state.done_before + state.made;
    outcome.is_stopped = observer.should_stop() && outcome.done + state.skipped < shard_size;
    outcome.failed_scenes = state.failed_scenes;
    outcome.sampler_busy = busy;
    outcome.is_finished = false;
    drop(work.journal);
    if !outcome.is_stopped && options.shard.count == 1 {
        while let Err(error) = finish::finish(sweep, folder, options.shard) {
            if !files::is_disk_full(&error) || observer.should_stop() {
                return Err(error);
            }
            observer.disk_full(&error.one_line());
            thread::sleep(DISK_FULL_WAIT);
        }
        outcome.is_finished = true;
    }
    outcome.elapsed_secs = start.elapsed().as_secs_f32();
    Ok(outcome)
}

/// Checks the folder against the plan, and makes it this plan's.
fn prepare(sweep: &Sweep, folder: &Path, options: &RunOptions) -> Result<(), EngineError> {
    let shown = folder.display();
    let hash_path = folder.join(PLAN_HASH);
    let there = std::fs::read_to_string(&hash_path).ok();
    match there.as_deref().map(str::trim) {
        Some(hash) if hash != sweep.hash() => {
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
    files::check_writable(folder, options.shard)?;
    if there.is_none() {
        Writer::new(folder, options.shard).write(PLAN_HASH, format!("{}\n", sweep.hash()).as_bytes())?;
    }
    Ok(())
}
