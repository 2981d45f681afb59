//! How a sweep is run, and who watches it.

use std::time::Duration;

use image::Rgb32FImage;

use crate::files::Shard;
use crate::sweep::Job;

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
