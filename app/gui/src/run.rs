//! Progress of the run that is going on.

use mdsd3_engine::protocol::RunId;
use mdsd3_engine::request::RenderRequest;

use crate::lane::Lane;

/// A run between Mix and its end.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveRun {
    /// The run.
    pub run: RunId,
    /// What was asked for.
    pub request: RenderRequest,
    /// Whether it was told to stop.
    pub stopping: bool,
    /// Steps that are complete.
    pub steps_done: usize,
    sigmas: Vec<f32>,
    step_secs: Vec<f32>,
}

impl ActiveRun {
    /// A run that has been asked for.
    pub fn new(run: RunId, request: RenderRequest) -> Self {
        Self {
            run,
            request,
            stopping: false,
            steps_done: 0,
            sigmas: Vec::new(),
            step_secs: Vec::new(),
        }
    }

    /// The engine has begun it.
    pub fn started(&mut self, sigmas: Vec<f32>) {
        self.sigmas = sigmas;
    }

    /// Whether the engine has begun it.
    pub fn has_started(&self) -> bool {
        !self.sigmas.is_empty()
    }

    /// A step is complete.
    pub fn step_done(&mut self, step: usize, steps: usize, step_secs: f32) {
        self.steps_done = (step + 1).min(steps);
        self.step_secs.push(step_secs);
    }

    /// Denoising steps in total.
    pub fn steps(&self) -> usize {
        if self.sigmas.is_empty() {
            self.request.steps
        } else {
            self.sigmas.len() - 1
        }
    }

    /// Share that is complete, 0 to 1.
    pub fn progress(&self) -> f32 {
        self.steps_done as f32 / self.steps().max(1) as f32
    }

    /// Seconds per step, over the last few steps (the first one warms caches up and would mislead).
    pub fn secs_per_step(&self) -> Option<f32> {
        let recent = &self.step_secs[self.step_secs.len().saturating_sub(5)..];
        (!recent.is_empty()).then(|| recent.iter().sum::<f32>() / recent.len() as f32)
    }

    /// Seconds until the end at the present pace.
    pub fn remaining_secs(&self) -> Option<f32> {
        self.secs_per_step()
            .map(|secs| secs * (self.steps() - self.steps_done.min(self.steps())) as f32)
    }

    /// "12/20 · 0.14 s/step · 1 s left", or what it waits for.
    pub fn progress_text(&self) -> String {
        if self.stopping {
            return "Stopping after this step".to_owned();
        }
        let Some((pace, remaining)) = self.secs_per_step().zip(self.remaining_secs()) else {
            return if self.has_started() {
                format!("0/{} · first step", self.steps())
            } else {
                "Preparing the scene".to_owned()
            };
        };
        format!(
            "{}/{} · {pace:.2} s/step · {} left",
            self.steps_done,
            self.steps(),
            duration_text(remaining)
        )
    }

    /// An empty lane for what it produces.
    pub fn new_lane(&self, steps: usize) -> Lane {
        let sigmas = if self.sigmas.is_empty() {
            vec![f32::NAN; steps + 1]
        } else {
            self.sigmas.clone()
        };
        let mut lane = Lane::new(self.run, self.request.clone(), sigmas);
        lane.step_secs.clone_from(&self.step_secs);
        lane
    }
}

/// Seconds for people: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min".
pub fn duration_text(secs: f32) -> String {
    let whole = secs.round() as u64;
    match whole {
        0 if secs < 0.95 => format!("{secs:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_names_step_pace_and_time_left() {
        let mut active = ActiveRun::new(
            1,
            RenderRequest {
                steps: 20,
                ..RenderRequest::default()
            },
        );
        assert_eq!(active.progress_text(), "Preparing the scene");
        active.started(vec![0.5; 21]);
        assert_eq!(active.progress_text(), "0/20 · first step");
        for step in 0..12 {
            active.step_done(step, 20, if step == 0 { 3.0 } else { 0.14 });
        }
        assert_eq!(active.progress_text(), "12/20 · 0.14 s/step · 1 s left");
        assert!((active.progress() - 0.6).abs() < 1e-6);
        active.stopping = true;
        assert_eq!(active.progress_text(), "Stopping after this step");
    }

    #[test]
    fn durations_read_naturally() {
        assert_eq!(duration_text(0.42), "0.4 s");
        assert_eq!(duration_text(0.98), "1 s");
        assert_eq!(duration_text(59.4), "59 s");
        assert_eq!(duration_text(200.0), "3 min 20 s");
        assert_eq!(duration_text(7500.0), "2 h 5 min");
    }
}
