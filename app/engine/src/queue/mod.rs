//! The queue: datasets that are made one after the other on a thread of their own, beside the studio's runs.
//!
//! It runs the very code of `mdsd3 sweep`, so whatever it was doing when the program ended goes on from the journal: pausing
//! is stopping when the pairs in hand are finished, and resuming is starting again. Requests change a small list under a
//! lock that no computation holds; the thread takes the first entry that waits.

mod runner;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use mdsd3_dataset::plan::GridRequest;
use mdsd3_words::image::Rgba8;

use crate::error::EngineError;
use crate::wake::Wake;

/// Identifies an entry of the queue.
pub type QueueId = u64;

/// Thumbnails that an entry keeps, the newest ones.
const THUMBNAILS: usize = 8;

/// What the queue is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum QueueRequest {
    /// Make the dataset of a plan file.
    AddPlan {
        /// The plan.
        plan: PathBuf,
        /// Where to; beside the plan, named after it and its hash, when `None`.
        folder: Option<PathBuf>,
        /// Wait until [`Self::Resume`]: for entries of an earlier session.
        is_paused: bool,
    },
    /// Write a plan around a mix into `root`, then make its dataset beside it.
    AddGrid {
        /// The mix, and what around it.
        grid: Box<GridRequest>,
        /// Folder of plan and dataset.
        root: PathBuf,
    },
    /// Finish the pairs in hand, then wait.
    Pause(QueueId),
    /// Go on, or try again after a failure.
    Resume(QueueId),
    /// Finish the pairs in hand, then leave it. What was made stays.
    Cancel(QueueId),
    /// Take an entry that isn't running off the list. What was made stays.
    Remove(QueueId),
}

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueState {
    /// For those before it.
    Waiting,
    /// Its plan is read, its model is loaded.
    Preparing,
    /// Pairs are made.
    Running,
    /// The disk is full; it goes on by itself when there is room.
    NoRoom(String),
    /// The pairs in hand are being finished.
    Stopping,
    /// Until it is resumed.
    Paused,
    /// All pairs are there.
    Finished,
    /// Left; it can be resumed.
    Cancelled,
    /// By an error, in one line.
    Failed(String),
}

impl QueueState {
    /// Whether the thread is at work on it.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Preparing | Self::Running | Self::NoRoom(_) | Self::Stopping)
    }

    /// Whether it can be resumed.
    pub fn can_resume(&self) -> bool {
        matches!(self, Self::Paused | Self::Cancelled | Self::Failed(_))
    }
}

/// A pair that was made, small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairThumbnail {
    /// Number of its job.
    pub index: usize,
    /// Mix in words.
    pub mix: String,
    /// The degraded image.
    pub lq: Rgba8,
}

/// A photo that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueFailure {
    /// As in the plan.
    pub scene: String,
    /// In one line.
    pub reason: String,
}

/// One dataset of the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueEntry {
    /// Its number.
    pub id: QueueId,
    /// The plan's name without extension.
    pub name: String,
    /// The plan; known once it is written.
    pub plan: Option<PathBuf>,
    /// The dataset; known once the plan is read.
    pub folder: Option<PathBuf>,
    /// Where it stands.
    pub state: QueueState,
    /// Pairs that are there.
    pub done: usize,
    /// Pairs of the plan; 0 until it is read.
    pub total: usize,
    /// Pairs per second since it was last started; `None` until the second pair.
    pub pairs_per_sec: Option<f32>,
    /// Share of the time in which the sampler worked, 0 to 1, of the last complete start.
    pub sampler_busy: Option<f32>,
    /// Photos that could not be used.
    pub failures: Vec<QueueFailure>,
    /// The newest pairs, oldest first.
    pub thumbnails: Vec<PairThumbnail>,
}

impl QueueEntry {
    /// Seconds until it is done at the present rate.
    pub fn remaining_secs(&self) -> Option<f32> {
        let rate = self.pairs_per_sec.filter(|rate| *rate > 0.0)?;
        Some(self.total.saturating_sub(self.done) as f32 / rate)
    }
}

/// What an entry is made of.
#[derive(Debug, Clone)]
enum Source {
    Plan { plan: PathBuf, folder: Option<PathBuf> },
    Grid { grid: Box<GridRequest>, root: PathBuf },
}

/// What shall become of the entry that is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopAs {
    Paused,
    Cancelled,
}

struct Slot {
    entry: QueueEntry,
    source: Source,
    stop_as: Option<StopAs>,
}

#[derive(Default)]
struct List {
    slots: Vec<Slot>,
    next_id: QueueId,
    /// Since the last [`Queue::take`].
    is_changed: bool,
}

impl List {
    fn slot(&mut self, id: QueueId) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.entry.id == id)
    }
}

/// What the handle and the thread share.
struct Shared {
    list: Mutex<List>,
    /// Told when there may be something to start, and when the queue closes.
    news: Condvar,
    is_closing: AtomicBool,
    wake: Option<Wake>,
}

impl Shared {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes one entry, when it is still there.
    fn change(&self, id: QueueId, change: impl FnOnce(&mut Slot)) {
        {
            let mut list = self.list();
            if let Some(slot) = list.slot(id) {
                change(slot);
                list.is_changed = true;
            }
        }
        if let Some(wake) = &self.wake {
            wake();
        }
    }
}

/// The handle of the queue's thread.
pub(crate) struct Queue {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Queue {
    /// Starts the thread.
    pub(crate) fn start(wake: Option<Wake>) -> Result<Self, EngineError> {
        let shared = Arc::new(Shared {
            list: Mutex::default(),
            news: Condvar::new(),
            is_closing: AtomicBool::new(false),
            wake,
        });
        let name = "mdsd3-queue";
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runner::run(&for_thread))
            .map_err(|source| EngineError::thread(name, source))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Carries a request out; never waits for the thread.
    pub(crate) fn send(&self, request: QueueRequest) {
        {
            let mut list = self.shared.list();
            list.is_changed = true;
            match request {
                QueueRequest::AddPlan {
                    plan,
                    folder,
                    is_paused,
                } => list.add(Source::Plan { plan, folder }, is_paused),
                QueueRequest::AddGrid { grid, root } => list.add(Source::Grid { grid, root }, false),
                QueueRequest::Pause(id) => list.stop(id, StopAs::Paused),
                QueueRequest::Cancel(id) => list.stop(id, StopAs::Cancelled),
                QueueRequest::Resume(id) => {
                    if let Some(slot) = list.slot(id).filter(|slot| slot.entry.state.can_resume()) {
                        slot.entry.state = QueueState::Waiting;
                    }
                }
                QueueRequest::Remove(id) => list
                    .slots
                    .retain(|slot| slot.entry.id != id || slot.entry.state.is_active()),
            }
        }
        self.shared.news.notify_all();
        if let Some(wake) = &self.shared.wake {
            wake();
        }
    }

    /// The entries in order, when something changed since the last call.
    pub(crate) fn take(&self) -> Option<Vec<QueueEntry>> {
        let mut list = self.shared.list();
        std::mem::take(&mut list.is_changed).then(|| list.slots.iter().map(|slot| slot.entry.clone()).collect())
    }
}

impl List {
    fn add(&mut self, source: Source, is_paused: bool) {
        let (plan, folder) = match &source {
            Source::Plan { plan, folder } => (Some(plan.clone()), folder.clone()),
            Source::Grid { .. } => (None, None),
        };
        let name = plan
            .as_deref()
            .and_then(std::path::Path::file_stem)
            .map_or_else(|| "new plan".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let entry = QueueEntry {
            id: self.next_id,
            name,
            plan,
            folder,
            state: if is_paused {
                QueueState::Paused
            } else {
                QueueState::Waiting
            },
            done: 0,
            total: 0,
            pairs_per_sec: None,
            sampler_busy: None,
            failures: Vec::new(),
            thumbnails: Vec::new(),
        };
        self.next_id += 1;
        self.slots.push(Slot {
            entry,
            source,
            stop_as: None,
        });
    }

    fn stop(&mut self, id: QueueId, stop_as: StopAs) {
        let Some(slot) = self.slot(id) else { return };
        if slot.entry.state.is_active() {
            slot.stop_as = Some(stop_as);
            slot.entry.state = QueueState::Stopping;
        } else if slot.entry.state != QueueState::Finished {
            slot.entry.state = match stop_as {
                StopAs::Paused => QueueState::Paused,
                StopAs::Cancelled => QueueState::Cancelled,
            };
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.is_closing.store(true, Ordering::SeqCst);
        // With the lock, so that the thread is either before its look at the flag or waiting already.
        drop(self.shared.list());
        self.shared.news.notify_all();
        if let Some(thread) = self.thread.take() {
            // Err means that it panicked, which it has reported already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
