//! Latents of the steps of earlier runs, kept so that a branch need not compute them again.

use std::collections::VecDeque;

use mdsd3_model::pipeline::{BranchStart, Latents};
use mdsd3_words::{Branch, RenderRequest};

use crate::scene::SceneKey;

/// Kept latents take at most this many bytes: some thirty lanes of 20 steps at 1024 px with 16 channels.
const MAX_BYTES: usize = 1 << 30;

/// Lanes kept at most, however small they are: more than fit beside each other, so that a day of mixing takes no more memory
/// than its first minutes. An older run can still be branched from; its steps are then computed again.
const MAX_LANES: usize = 12;

/// Latents of one step.
#[derive(Clone)]
pub(crate) struct StepLatents {
    /// The noisy latents it started from.
    pub x_t: Latents,
    /// Its clean-data prediction.
    pub x0_hat: Latents,
}

/// One run: the steps from `first_step` on.
struct Trace {
    request: RenderRequest,
    scene: SceneKey,
    first_step: usize,
    steps: Vec<StepLatents>,
}

impl Trace {
    fn bytes(&self) -> usize {
        self.steps
            .iter()
            .map(|step| step.x_t.bytes() + step.x0_hat.bytes())
            .sum()
    }

    fn step(&self, index: usize) -> Option<&StepLatents> {
        self.steps.get(index.checked_sub(self.first_step)?)
    }
}

/// The runs of late, oldest first.
#[derive(Default)]
pub(crate) struct KeptSteps {
    traces: VecDeque<Trace>,
}

impl KeptSteps {
    /// Keeps the steps of a run from `first_step` on, in place of an earlier run of the same request.
    pub(crate) fn keep(
        &mut self,
        request: &RenderRequest,
        scene: SceneKey,
        first_step: usize,
        steps: Vec<StepLatents>,
    ) {
        self.traces.retain(|trace| trace.request != *request);
        self.traces.push_back(Trace {
            request: request.clone(),
            scene,
            first_step,
            steps,
        });
        while self.is_too_much() {
            self.traces.pop_front();
        }
    }

    fn is_too_much(&self) -> bool {
        let bytes: usize = self.traces.iter().map(Trace::bytes).sum();
        self.traces.len() > MAX_LANES || (bytes > MAX_BYTES && self.traces.len() > 1)
    }

    /// What a branch starts from, if its run is among those kept.
    pub(crate) fn start_of(&self, branch: &Branch, scene: SceneKey) -> Option<BranchStart> {
        let is_origin = |trace: &&Trace| trace.scene == scene && trace.request == *branch.origin();
        let trace = self.traces.iter().find(is_origin)?;
        let before = branch.step.checked_sub(1).map(|before| trace.step(before));
        Some(BranchStart {
            x_t: trace.step(branch.step)?.x_t.clone(),
            previous_x0_hat: match before {
                Some(before) => Some(before?.x0_hat.clone()),
                None => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {

    use mdsd3_words::{Fit, Sampling};

    use super::*;
    use crate::scene::SceneLoader;

    fn latents(value: f32) -> Latents {
        Latents::new(vec![value], (1, 1, 1)).expect("one number")
    }

    fn steps(count: u8) -> Vec<StepLatents> {
        let step = |index| StepLatents {
            x_t: latents(f32::from(index)),
            x0_hat: latents(f32::from(index) + 100.0),
        };
        (0..count).map(step).collect()
    }

    fn value(latents: &Latents) -> f32 {
        latents.values().expect("one number")[0]
    }

    #[test]
    fn a_branch_starts_from_its_runs_latents_and_the_prediction_before() {
        let scene = SceneLoader::default()
            .load(None, 16, Fit::Square, 16)
            .expect("the demo photo")
            .key;
        let first = RenderRequest::default();
        let branch = |step| Branch {
            step,
            from: first.clone(),
        };
        let mut kept = KeptSteps::default();
        assert!(kept.start_of(&branch(1), scene).is_none(), "nothing is kept yet");
        kept.keep(&first, scene, 0, steps(4));
        let start = kept.start_of(&branch(3), scene).expect("kept");
        assert!((value(&start.x_t) - 3.0).abs() < 1e-6);
        assert!(
            start
                .previous_x0_hat
                .is_some_and(|before| (value(&before) - 102.0).abs() < 1e-6)
        );
        assert!(
            kept.start_of(&branch(0), scene)
                .expect("kept")
                .previous_x0_hat
                .is_none()
        );
        assert!(kept.start_of(&branch(4), scene).is_none(), "that step was not reached");
        let other = SceneLoader::default()
            .load(None, 32, Fit::Square, 16)
            .expect("the demo photo")
            .key;
        assert!(kept.start_of(&branch(3), other).is_none(), "latents of another photo");
    }

    #[test]
    fn a_day_of_mixing_keeps_no_more_than_its_last_lanes() {
        let scene = SceneLoader::default()
            .load(None, 16, Fit::Square, 16)
            .expect("the demo photo")
            .key;
        let request = |seed| RenderRequest {
            sampling: Sampling {
                seed,
                ..Sampling::default()
            },
            ..RenderRequest::default()
        };
        let branch = |seed| Branch {
            step: 1,
            from: request(seed),
        };
        let (mut kept, runs) = (KeptSteps::default(), MAX_LANES as u64 + 5);
        for seed in 0..runs {
            kept.keep(&request(seed), scene, 0, steps(2));
        }
        assert_eq!(kept.traces.len(), MAX_LANES);
        assert!(kept.start_of(&branch(4), scene).is_none(), "the oldest are gone");
        assert!(kept.start_of(&branch(5), scene).is_some() && kept.start_of(&branch(runs - 1), scene).is_some());
    }
}
