//! The run that goes on, the one that waits to replace it, and the numbers of both.

use mdsd3_engine::protocol::LaneRequest;
use mdsd3_words::lane::RunId;

use crate::run::ActiveRun;

/// Runs, of which one at a time goes on.
#[derive(Debug, Default)]
pub struct Runs {
    /// The one that goes on.
    pub active: Option<ActiveRun>,
    next: RunId,
    again_at_secs: Option<f64>,
}

impl Runs {
    /// A number that no run had before.
    pub fn new_number(&mut self) -> RunId {
        let run = self.next;
        self.next += 1;
        run
    }

    /// Begins a run of these lanes.
    pub fn begin(&mut self, lanes: Vec<LaneRequest>) -> RunId {
        let run = self.new_number();
        self.active = Some(ActiveRun::new(run, lanes));
        run
    }

    /// The active run, if it is this one.
    pub fn get(&self, run: RunId) -> Option<&ActiveRun> {
        self.active.as_ref().filter(|active| active.run == run)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, run: RunId) -> Option<&mut ActiveRun> {
        self.active.as_mut().filter(|active| active.run == run)
    }

    /// Ends the active run, if it is this one.
    pub fn end(&mut self, run: RunId) -> Option<ActiveRun> {
        self.active.take_if(|active| active.run == run)
    }

    /// Whether a run goes on or is about to start again.
    pub fn is_busy(&self) -> bool {
        self.active.is_some() || self.again_at_secs.is_some()
    }

    /// Has a run start at a time, in place of the active one; true when that has to be cancelled for it.
    pub fn replace_at(&mut self, at_secs: f64) -> bool {
        self.again_at_secs = Some(at_secs);
        let active = self.active.as_mut().filter(|active| !active.stopping);
        active.is_some_and(|active| !std::mem::replace(&mut active.stopping, true))
    }

    /// Has the active run stop and none start after it; true when there is one to cancel.
    pub fn stop(&mut self) -> bool {
        self.again_at_secs = None;
        self.active.as_mut().is_some_and(|active| {
            active.stopping = true;
            true
        })
    }

    /// Whether the time of a run that waited has come; it is no longer waited for then.
    pub fn is_due(&mut self, now_secs: f64) -> bool {
        self.again_at_secs.take_if(|at| *at <= now_secs).is_some()
    }

    /// Seconds until [`Self::is_due`], when only time is waited for.
    pub fn wake_after_secs(&self, now_secs: f64) -> Option<f64> {
        let at = self.again_at_secs.filter(|_| self.active.is_none())?;
        Some((at - now_secs).max(0.0))
    }
}
