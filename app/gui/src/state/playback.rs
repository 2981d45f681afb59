//! Which step is shown, and playing the steps one after the other.

use mdsd3_engine::protocol::StepView;

use super::State;
use crate::lane::{Cursor, Lane};

/// Seconds that each step is shown while they play.
const STEP_SECS: f64 = 0.12;

/// What is shown of the steps.
#[derive(Debug, Default)]
pub struct Shown {
    /// Which step, counted in the lead lane.
    pub cursor: Cursor,
    /// Which image of it.
    pub view: ViewChoice,
    /// When the next step is to be shown, while they are being played.
    next_at_secs: Option<f64>,
}

impl Shown {
    /// Seconds until the next step is to be shown.
    pub fn wake_after_secs(&self, now_secs: f64) -> Option<f64> {
        self.next_at_secs.map(|at| (at - now_secs).max(0.0))
    }
}

/// [`StepView`] with a default: the prediction, which shows the degradation from the first step on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ViewChoice {
    /// The clean-data prediction.
    #[default]
    Prediction,
    /// The noisy latents, decoded.
    Noisy,
}

impl ViewChoice {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Prediction => Self::Noisy,
            Self::Noisy => Self::Prediction,
        }
    }

    /// As the engine names it.
    pub fn step_view(self) -> StepView {
        match self {
            Self::Prediction => StepView::X0Hat,
            Self::Noisy => StepView::XT,
        }
    }

    /// As the design names it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Prediction => "x̂0",
            Self::Noisy => "x_t",
        }
    }
}

impl State {
    /// Whether steps are being played.
    pub fn is_playing(&self) -> bool {
        self.shown.next_at_secs.is_some()
    }

    /// Plays the steps from the one shown, or from the first when the last is; stops when they are playing.
    pub fn toggle_play(&mut self) {
        if self.shown.next_at_secs.take().is_some() {
            return;
        }
        let newest = self.lead().and_then(Lane::newest);
        if self.shown_step().is_some_and(|shown| Some(shown) == newest) {
            self.shown.cursor = Cursor::At(0);
        }
        if newest.is_some_and(|newest| newest > 0) {
            self.shown.next_at_secs = Some(self.now_secs + STEP_SECS);
        }
    }

    /// Shows the next step when its time has come; the newest one ends the playing.
    pub(super) fn play_on(&mut self) {
        if self.shown.next_at_secs.is_none_or(|at| at > self.now_secs) {
            return;
        }
        let shown = self.shown_step().unwrap_or(0);
        self.show_step(shown + 1);
        let goes_on = self.shown.cursor != Cursor::Newest;
        self.shown.next_at_secs = goes_on.then_some(self.now_secs + STEP_SECS);
    }
}
