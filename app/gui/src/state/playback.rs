//! Playing the steps one after the other.

use super::State;
use crate::lane::{Cursor, Lane};

/// Seconds that each step is shown while they play.
const STEP_SECS: f64 = 0.12;

impl State {
    /// Whether steps are being played.
    pub fn is_playing(&self) -> bool {
        self.next_step_at_secs.is_some()
    }

    /// Plays the steps from the one shown, or from the first when the last is; stops when they are playing.
    pub fn toggle_play(&mut self) {
        if self.next_step_at_secs.take().is_some() {
            return;
        }
        let newest = self.lead().and_then(Lane::newest);
        if self.shown_step().is_some_and(|shown| Some(shown) == newest) {
            self.cursor = Cursor::At(0);
        }
        if newest.is_some_and(|newest| newest > 0) {
            self.next_step_at_secs = Some(self.now_secs + STEP_SECS);
        }
    }

    /// Shows the next step when its time has come; the newest one ends the playing.
    pub(super) fn play_on(&mut self) {
        if self.next_step_at_secs.is_none_or(|at| at > self.now_secs) {
            return;
        }
        let shown = self.shown_step().unwrap_or(0);
        self.show_step(shown + 1);
        let goes_on = self.cursor != Cursor::Newest;
        self.next_step_at_secs = goes_on.then_some(self.now_secs + STEP_SECS);
    }
}
