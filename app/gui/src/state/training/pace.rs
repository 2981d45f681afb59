//! How long a training will take, from how long it has taken.

/// The pace of one part of a run.
#[derive(Debug, Default)]
pub(super) struct Pace {
    now_secs: f64,
    /// When the part was first heard of, or went on after a pause, and its step then.
    since: Option<(f64, usize)>,
}

impl Pace {
    /// Another part begins.
    pub fn restart(&mut self) {
        self.since = None;
    }

    /// Tells the time of this frame in seconds, and the step of a run that computes; `None` while it doesn't.
    pub fn tick(&mut self, now_secs: f64, step: Option<usize>) {
        self.now_secs = now_secs;
        match step {
            // A pause is no pace.
            None => self.since = None,
            Some(step) if self.since.is_none() => self.since = Some((now_secs, step)),
            Some(_) => {}
        }
    }

    /// Seconds from `step` to the last of `steps`; `None` before a step is done.
    pub fn remaining_secs(&self, step: usize, steps: usize) -> Option<f32> {
        let (since_secs, first) = self.since?;
        let done = step.checked_sub(first).filter(|done| *done > 0)?;
        let secs_per_step = (self.now_secs - since_secs) / done as f64;
        Some((secs_per_step * steps.saturating_sub(step) as f64) as f32)
    }
}
