//! One lane's run and everything it has produced so far.

use std::collections::BTreeMap;

use mdsd3_engine::protocol::{StepFrame, StepView};
use mdsd3_words::RenderRequest;
use mdsd3_words::lane::RunId;

/// Which step is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cursor {
    /// The newest one, as it comes.
    #[default]
    Newest,
    /// A fixed one, chosen by the user.
    At(usize),
}

/// One lane of one run: its settings, noise levels, step times and decoded steps.
#[derive(Debug)]
pub struct Lane {
    /// The run.
    pub run: RunId,
    /// What was asked for.
    pub request: RenderRequest,
    /// `steps + 1` noise levels, from that of the first step down to 0; a single 0 for a physical baseline, which has no steps.
    pub sigmas: Vec<f32>,
    /// Seconds that each complete step took, for all lanes of its batch together; `None` for a step of the run that this one
    /// branches from, when that is not known here.
    pub step_secs: Vec<Option<f32>>,
    /// Seconds from start to end, once finished.
    pub elapsed_secs: Option<f32>,
    frames: BTreeMap<(usize, ViewKey), StepFrame>,
}

/// [`StepView`] with an order, to be part of a map's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ViewKey {
    X0Hat,
    XT,
}

impl From<StepView> for ViewKey {
    fn from(view: StepView) -> Self {
        match view {
            StepView::X0Hat => Self::X0Hat,
            StepView::XT => Self::XT,
        }
    }
}

impl Lane {
    /// A run that has just begun.
    pub fn new(run: RunId, request: RenderRequest, sigmas: Vec<f32>) -> Self {
        Self {
            run,
            request,
            sigmas,
            step_secs: Vec::new(),
            elapsed_secs: None,
            frames: BTreeMap::new(),
        }
    }

    /// Takes over the steps before `step` of the run that this one branches from.
    pub fn inherit(&mut self, from: &Self, step: usize) {
        let earlier = from.frames.iter().filter(|((index, _), _)| *index < step);
        for (key, frame) in earlier {
            self.frames.entry(*key).or_insert_with(|| frame.clone());
        }
        if self.step_secs.len() < step {
            self.step_secs.resize(step, None);
        }
        for (own, before) in self.step_secs[..step].iter_mut().zip(&from.step_secs) {
            *own = own.or(*before);
        }
    }

    /// Seconds that a step took, when that is known.
    pub fn secs_of(&self, step: usize) -> Option<f32> {
        self.step_secs.get(step).copied().flatten()
    }

    /// Mean seconds of the steps that it took by its own settings, those of a run that it branches from aside.
    pub fn secs_per_step(&self) -> Option<f32> {
        let first = self.request.branch.as_ref().map_or(0, |branch| branch.step);
        let own = self.step_secs.get(first..).filter(|own| !own.is_empty())?;
        Some(own.iter().flatten().sum::<f32>() / own.len() as f32)
    }

    /// Denoising steps of the run.
    pub fn steps(&self) -> usize {
        self.sigmas.len().saturating_sub(1)
    }

    /// Keeps a decoded step.
    pub fn insert(&mut self, frame: StepFrame) {
        self.frames.insert((frame.step, frame.view.into()), frame);
    }

    /// The decoded image of a step; the result (step index [`Self::steps`]) is the same in both views.
    pub fn frame(&self, step: usize, view: StepView) -> Option<&StepFrame> {
        let exact = self.frames.get(&(step, view.into()));
        if step == self.steps() {
            exact.or_else(|| {
                self.frames
                    .range((step, ViewKey::X0Hat)..)
                    .next()
                    .map(|(_, frame)| frame)
            })
        } else {
            exact
        }
    }

    /// An image of a step for its thumbnail: in `view` if it is there already, else in the other.
    pub fn thumbnail(&self, step: usize, view: StepView) -> Option<&StepFrame> {
        let other = match view {
            StepView::X0Hat => StepView::XT,
            StepView::XT => StepView::X0Hat,
        };
        self.frame(step, view).or_else(|| self.frame(step, other))
    }

    /// The newest step that has an image, of whichever kind: while a run goes on only predictions are decoded, and a step
    /// whose noisy latents are still to come must not be out of reach.
    pub fn newest(&self) -> Option<usize> {
        self.frames.keys().map(|(step, _)| *step).max()
    }

    /// The step that `cursor` means.
    pub fn step_at(&self, cursor: Cursor) -> Option<usize> {
        match cursor {
            Cursor::Newest => self.newest(),
            Cursor::At(step) => Some(step.min(self.steps())),
        }
    }

    /// The step whose noise level is nearest to `sigma`; the result for 0.
    pub fn step_near(&self, sigma: f32) -> usize {
        let distances = self.sigmas.iter().map(|level| (level - sigma).abs());
        let nearest = distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        nearest.map_or(0, |(step, _)| step)
    }

    /// Whether any image has arrived.
    pub fn has_frames(&self) -> bool {
        !self.frames.is_empty()
    }
}
