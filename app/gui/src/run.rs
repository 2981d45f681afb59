//! Progress of the run that is going on.

use mdsd3_engine::protocol::{LaneBatch, LaneRequest};
use mdsd3_words::lane::{LaneId, RunId};

use crate::lane::Lane;

/// A run between Mix and its end.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveRun {
    /// The run.
    pub run: RunId,
    /// What was asked for.
    pub lanes: Vec<LaneRequest>,
    /// Whether it was told to stop.
    pub stopping: bool,
    /// Steps that are complete, over all batches.
    pub steps_done: usize,
    batches: Vec<LaneBatch>,
    has_started: bool,
    /// The lanes that took each complete step, with its seconds.
    step_secs: Vec<(LaneId, f32)>,
}

impl ActiveRun {
    /// A run that has been asked for.
    pub fn new(run: RunId, lanes: Vec<LaneRequest>) -> Self {
        Self {
            run,
            lanes,
            stopping: false,
            steps_done: 0,
            batches: Vec::new(),
            has_started: false,
            step_secs: Vec::new(),
        }
    }

    /// The engine has begun it.
    pub fn started(&mut self, batches: Vec<LaneBatch>) {
        self.batches = batches;
        self.has_started = true;
    }

    /// Whether the engine has begun it.
    pub fn has_started(&self) -> bool {
        self.has_started
    }

    /// Whether a lane is part of it.
    pub fn has_lane(&self, lane: LaneId) -> bool {
        self.lanes.iter().any(|request| request.lane == lane)
    }

    /// A step of a batch is complete.
    pub fn step_done(&mut self, lanes: &[LaneId], step_secs: f32) {
        self.steps_done = (self.steps_done + 1).min(self.steps());
        if let Some(&first) = lanes.first() {
            self.step_secs.push((first, step_secs));
        }
    }

    /// Denoising steps in total, over all batches.
    pub fn steps(&self) -> usize {
        if self.has_started {
            self.batches.iter().map(LaneBatch::steps_to_do).sum()
        } else {
            self.lanes.first().map_or(0, |lane| lane.request.sampling.steps)
        }
    }

    /// Share that is complete, 0 to 1.
    pub fn progress(&self) -> f32 {
        self.steps_done as f32 / self.steps().max(1) as f32
    }

    /// Seconds per step, over the last few steps (the first one warms caches up and would mislead).
    pub fn secs_per_step(&self) -> Option<f32> {
        let recent = &self.step_secs[self.step_secs.len().saturating_sub(5)..];
        (!recent.is_empty()).then(|| recent.iter().map(|(_, secs)| secs).sum::<f32>() / recent.len() as f32)
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

    /// What a lane has made so far, without its images; `None` for a lane of other runs. `steps` is what its first frame
    /// says of them.
    pub fn new_lane(&self, lane: LaneId, steps: usize) -> Option<Lane> {
        let request = &self.lanes.iter().find(|request| request.lane == lane)?.request;
        let batch = self.batches.iter().find(|batch| batch.lanes.contains(&lane));
        let sigmas = match batch {
            Some(batch) => batch.sigmas.clone(),
            None if steps == 0 => vec![0.0],
            None => vec![f32::NAN; steps + 1],
        };
        let mut made = Lane::new(self.run, request.clone(), sigmas);
        let first = batch.and_then(|batch| batch.lanes.first());
        let of_batch = self.step_secs.iter().filter(|(of, _)| Some(of) == first);
        let taken_over = vec![None; batch.map_or(0, |batch| batch.first_step)];
        made.step_secs = taken_over
            .into_iter()
            .chain(of_batch.map(|(_, secs)| Some(*secs)))
            .collect();
        Some(made)
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

    use mdsd3_words::lane::LaneKind;
    use mdsd3_words::{RenderRequest, Sampling};

    use super::*;

    fn batch(lanes: &[LaneId], first_step: usize) -> LaneBatch {
        LaneBatch {
            lanes: lanes.to_vec(),
            sigmas: (0..=20_u8).rev().map(|step| f32::from(step) / 20.0).collect(),
            first_step,
        }
    }

    fn run_of(lanes: &[LaneId]) -> ActiveRun {
        let lane = |&lane| LaneRequest {
            lane,
            kind: LaneKind::Sampled,
            request: RenderRequest {
                sampling: Sampling {
                    steps: 20,
                    ..Sampling::default()
                },
                ..RenderRequest::default()
            },
        };
        ActiveRun::new(1, lanes.iter().map(lane).collect())
    }

    #[test]
    fn progress_names_step_pace_and_time_left() {
        let mut active = run_of(&[1]);
        assert_eq!(active.progress_text(), "Preparing the scene");
        active.started(vec![batch(&[1], 0)]);
        assert_eq!(active.progress_text(), "0/20 · first step");
        for step in 0..12 {
            active.step_done(&[1], if step == 0 { 3.0 } else { 0.14 });
        }
        assert_eq!(active.progress_text(), "12/20 · 0.14 s/step · 1 s left");
        assert!((active.progress() - 0.6).abs() < 1e-6);
        active.stopping = true;
        assert_eq!(active.progress_text(), "Stopping after this step");
    }

    #[test]
    fn batches_are_counted_together_and_their_lanes_keep_their_own_times() {
        let mut active = run_of(&[1, 2, 3]);
        active.started(vec![batch(&[1, 2], 0), batch(&[3], 15)]);
        assert_eq!(active.steps(), 20 + 5);
        for _ in 0..20 {
            active.step_done(&[1, 2], 0.2);
        }
        active.step_done(&[3], 0.1);
        let secs = |lane| active.new_lane(lane, 20).map(|lane| lane.step_secs);
        assert_eq!(secs(2), Some(vec![Some(0.2); 20]));
        assert_eq!(
            secs(3),
            Some([vec![None; 15], vec![Some(0.1)]].concat()),
            "each at its step"
        );
        assert_eq!(secs(9), None);
        let baseline = ActiveRun::new(2, run_of(&[4]).lanes).new_lane(4, 0);
        assert_eq!(baseline.map(|lane| lane.steps()), Some(0));
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
