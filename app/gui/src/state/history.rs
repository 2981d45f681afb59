//! Undo and redo: one entry per interaction, whatever control it was.
//!
//! Nobody reports changes. [`History::observe`] looks at the settings once per frame and makes an entry when they have come
//! to rest: a drag, however long, is one entry, and so is a burst of key presses.

use mdsd3_words::RenderRequest;
use mdsd3_words::settings::Settings;

use super::LaneSetup;

/// How long settings must rest before a change counts as complete.
const REST_SECS: f64 = 0.4;

/// Entries kept; each is a few hundred bytes.
const CAPACITY: usize = 500;

/// What undo brings back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Undoable {
    /// The settings that lanes share, photo and model included.
    pub settings: RenderRequest,
    /// The lanes, with the settings that they have of their own.
    pub lanes: Vec<LaneSetup>,
    /// Whether Mix keeps the seed.
    pub seed_locked: bool,
}

/// A change: what it was about, and how things were on its other side.
#[derive(Debug, Clone)]
struct Entry {
    label: &'static str,
    other_side: Undoable,
}

/// The changes that can be taken back and made again.
#[derive(Debug, Default)]
pub struct History {
    past: Vec<Entry>,
    future: Vec<Entry>,
    /// How things were when the last entry was complete; `None` until they are first looked at.
    baseline: Option<Undoable>,
    last_seen: Undoable,
    changed_at_secs: f64,
    /// Whether the user was still at it when it was last looked at; letting go is an event of its own.
    held: bool,
}

impl History {
    /// Looks at how things are; `held` says that the user is still at it (a button is down, or text is being edited).
    pub fn observe(&mut self, now_secs: f64, current: &Undoable, held: bool) {
        self.held = held;
        if self.last_seen != *current {
            self.last_seen = current.clone();
            self.changed_at_secs = now_secs;
        }
        if self.baseline.is_none() {
            self.baseline = Some(current.clone());
        }
        if !held && now_secs - self.changed_at_secs >= REST_SECS {
            self.complete(current);
        }
    }

    /// Seconds until [`Self::observe`] would complete an entry; `None` when there is nothing to complete.
    pub fn wake_after_secs(&self, now_secs: f64) -> Option<f64> {
        let pending = self
            .baseline
            .as_ref()
            .is_some_and(|baseline| *baseline != self.last_seen);
        (pending && !self.held).then(|| (self.changed_at_secs + REST_SECS - now_secs).max(0.0))
    }

    /// Makes an entry of what has changed since the last one.
    pub fn complete(&mut self, current: &Undoable) {
        let Some(before) = self.baseline.replace(current.clone()) else {
            return;
        };
        if before == *current {
            return;
        }
        self.future.clear();
        if self.past.len() == CAPACITY {
            self.past.remove(0);
        }
        self.past.push(Entry {
            label: difference(&before, current),
            other_side: before,
        });
    }

    /// Takes note of a change that the user did not make, such as the classes of another model.
    pub fn accept(&mut self, current: &Undoable) {
        self.baseline = Some(current.clone());
        self.last_seen = current.clone();
    }

    /// Takes the last change back; what to return to.
    pub fn undo(&mut self, current: &Undoable) -> Option<(&'static str, Undoable)> {
        self.complete(current);
        let entry = self.past.pop()?;
        self.future.push(Entry {
            label: entry.label,
            other_side: current.clone(),
        });
        self.accept(&entry.other_side);
        Some((entry.label, entry.other_side))
    }

    /// Makes the change again that was taken back last; what to go on to.
    pub fn redo(&mut self, current: &Undoable) -> Option<(&'static str, Undoable)> {
        self.complete(current);
        let entry = self.future.pop()?;
        self.past.push(Entry {
            label: entry.label,
            other_side: current.clone(),
        });
        self.accept(&entry.other_side);
        Some((entry.label, entry.other_side))
    }

    /// Whether there is something to take back, given how things are.
    pub fn can_undo(&self, current: &Undoable) -> bool {
        !self.past.is_empty() || self.baseline.as_ref().is_some_and(|baseline| baseline != current)
    }

    /// Whether there is something to make again.
    pub fn can_redo(&self) -> bool {
        !self.future.is_empty()
    }
}

/// What two states differ in, in the Mixer's words.
fn difference(before: &Undoable, after: &Undoable) -> &'static str {
    let mut changed = before.settings.differences(&after.settings);
    if before.seed_locked != after.seed_locked {
        changed.push("seed lock");
    }
    if before.lanes != after.lanes {
        changed.push("lanes");
    }
    match changed[..] {
        [one] => one,
        _ => "several settings",
    }
}

#[cfg(test)]
mod tests {

    use mdsd3_words::Sampling;

    use super::*;

    fn with_steps(steps: usize) -> Undoable {
        Undoable {
            settings: RenderRequest {
                sampling: Sampling {
                    steps,
                    ..Sampling::default()
                },
                ..RenderRequest::default()
            },
            seed_locked: true,
            ..Undoable::default()
        }
    }

    #[test]
    fn a_drag_is_one_entry_however_long_it_takes() {
        let mut history = History::default();
        history.observe(0.0, &with_steps(1), false);
        for frame in 0_u32..100 {
            history.observe(f64::from(frame), &with_steps(frame as usize + 2), true);
        }
        assert!(history.can_undo(&with_steps(101)));
        history.observe(100.0, &with_steps(101), false);
        let (label, before) = history.undo(&with_steps(101)).expect("one entry");
        assert_eq!((label, before), ("steps", with_steps(1)));
        assert!(history.undo(&with_steps(1)).is_none(), "and only one");
        let (_, after) = history.redo(&with_steps(1)).expect("made again");
        assert_eq!(after, with_steps(101));
    }

    #[test]
    fn changes_with_a_rest_between_them_are_entries_of_their_own() {
        let mut history = History::default();
        for (at, steps) in [(0.0, 1), (1.0, 2), (1.2, 3), (1.7, 3), (3.0, 4), (3.5, 4)] {
            history.observe(at, &with_steps(steps), false);
        }
        assert_eq!(history.undo(&with_steps(4)).map(|(_, to)| to), Some(with_steps(3)));
        assert_eq!(history.undo(&with_steps(3)).map(|(_, to)| to), Some(with_steps(1)));
    }

    #[test]
    fn undo_before_the_rest_is_over_takes_the_change_back() {
        let mut history = History::default();
        history.observe(0.0, &with_steps(1), false);
        history.observe(0.1, &with_steps(2), false);
        assert_eq!(history.wake_after_secs(0.1), Some(REST_SECS));
        history.observe(0.1, &with_steps(2), true);
        assert_eq!(history.wake_after_secs(0.1), None, "letting go will wake it");
        assert_eq!(history.undo(&with_steps(2)).map(|(_, to)| to), Some(with_steps(1)));
    }

    #[test]
    fn a_new_change_ends_what_could_be_made_again() {
        let mut history = History::default();
        history.observe(0.0, &with_steps(1), false);
        history.undo(&with_steps(2));
        assert!(history.can_redo());
        history.complete(&with_steps(3));
        assert!(!history.can_redo());
    }

    #[test]
    fn what_the_user_did_not_change_makes_no_entry() {
        let mut history = History::default();
        history.observe(0.0, &with_steps(1), false);
        history.accept(&with_steps(2));
        history.observe(9.0, &with_steps(2), false);
        assert!(!history.can_undo(&with_steps(2)));
    }
}
