//! The preview: decodes the steps of a run on its own thread, newest first while the run goes on, the rest afterwards.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use mdsd3_model::pipeline::Latents;
use mdsd3_render::frames::{self, Decoded};
use mdsd3_render::loaded::Decoder;
use mdsd3_render::run::RenderStep;
use mdsd3_words::error::panic_message;
use mdsd3_words::lane::{LaneId, RunId};

use crate::error::EngineError;
use crate::events::EventSink;
use crate::protocol::{Event, StepFrame, StepView};

/// Frames that may wait to be taken; beyond them decoding pauses, so that a hidden window doesn't fill the memory.
const MAX_READY: usize = 64;

/// Latents that wait to be decoded.
struct Job {
    lane: LaneId,
    steps: usize,
    step: usize,
    sigma: f32,
    view: StepView,
    latents: Latents,
}

/// The run whose steps are being decoded.
struct CurrentRun {
    run: RunId,
    decoder: Decoder,
    /// Sampling goes on: only the newest prediction of each lane is decoded, so that most of the processor is left to it.
    sampling: bool,
    pending: Vec<Job>,
}

impl CurrentRun {
    /// The next job: while sampling the newest prediction of the lane that is furthest behind, then predictions and noisy
    /// latents in the order of time.
    fn next_job(&mut self) -> Option<Job> {
        let order = |job: &Job| (job.view == StepView::XT, job.step, job.lane);
        let mut newest: HashMap<LaneId, usize> = HashMap::new();
        for job in &self.pending {
            let step = newest.entry(job.lane).or_default();
            *step = job.step.max(*step);
        }
        let is_newest = |job: &Job| newest.get(&job.lane) == Some(&job.step);
        let is_wanted = |job: &Job| !self.sampling || (job.view == StepView::X0Hat && is_newest(job));
        let wanted = self.pending.iter().enumerate().filter(|(_, job)| is_wanted(job));
        let (index, _) = wanted.min_by_key(|(_, job)| order(job))?;
        Some(self.pending.swap_remove(index))
    }
}

#[derive(Default)]
struct State {
    current: Option<CurrentRun>,
    /// Counts changes of `current`: a decode that took until after the next run began is thrown away.
    generation: u64,
    ready: Vec<StepFrame>,
    closing: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle to the preview; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Preview {
    shared: Arc<Shared>,
}

impl Preview {
    /// A run begins: whatever was pending of the run before is dropped.
    pub(crate) fn begin(&self, run: RunId, decoder: Decoder) {
        let mut state = self.shared.lock();
        state.generation += 1;
        state.current = Some(CurrentRun {
            run,
            decoder,
            sampling: true,
            pending: Vec::new(),
        });
    }

    /// A step of a lane is complete.
    pub(crate) fn push(&self, lane: LaneId, step: RenderStep) {
        let mut state = self.shared.lock();
        if let Some(current) = &mut state.current {
            let job = |view, latents| Job {
                lane,
                steps: step.steps,
                step: step.index,
                sigma: step.sigma,
                view,
                latents,
            };
            current.pending.push(job(StepView::X0Hat, step.x0_hat));
            current.pending.push(job(StepView::XT, step.x_t));
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Adds a finished result, which the run has decoded itself, as the frame after the last step of both views.
    pub(crate) fn push_result(&self, (run, lane): (RunId, LaneId), steps: usize, result: &Decoded) {
        let frame = |view| {
            let Decoded { image, spectrum } = result.clone();
            StepFrame {
                run,
                lane,
                step: steps,
                steps,
                sigma: 0.0,
                view,
                image,
                spectrum,
            }
        };
        self.shared
            .lock()
            .ready
            .extend([frame(StepView::X0Hat), frame(StepView::XT)]);
    }

    /// Sampling is over: the steps that are still pending are decoded now.
    pub(crate) fn fill_in(&self) {
        if let Some(current) = &mut self.shared.lock().current {
            current.sampling = false;
        }
        self.shared.changed.notify_all();
    }

    /// Drops what is pending.
    pub(crate) fn discard(&self) {
        let mut state = self.shared.lock();
        state.generation += 1;
        state.current = None;
    }

    /// Takes the frames that are ready.
    pub(crate) fn take(&self) -> Vec<StepFrame> {
        let ready = std::mem::take(&mut self.shared.lock().ready);
        self.shared.changed.notify_all();
        ready
    }

    /// Ends the thread after the frame it is decoding.
    pub(crate) fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
    }

    /// The thread's body: returns when [`close`](Self::close) is called.
    pub(crate) fn run(&self, events: &EventSink) {
        while let Some(next) = self.wait_for_job() {
            let decoded = catch_unwind(AssertUnwindSafe(|| frames::preview(&next.decoder, &next.job.latents)));
            match decoded {
                Ok(Ok(decoded)) => self.publish(next, decoded),
                Ok(Err(error)) => self.fail(&next, events, &error.into()),
                Err(payload) => {
                    let error = EngineError::panicked(panic_message(payload.as_ref()));
                    self.fail(&next, events, &error);
                    continue;
                }
            }
            events.wake();
        }
    }

    fn wait_for_job(&self) -> Option<NextJob> {
        let mut state = self.shared.lock();
        loop {
            if state.closing {
                return None;
            }
            let (generation, room) = (state.generation, state.ready.len() < MAX_READY);
            if room
                && let Some(current) = &mut state.current
                && let Some(job) = current.next_job()
            {
                let CurrentRun { run, decoder, .. } = current;
                return Some(NextJob {
                    job,
                    generation,
                    run: *run,
                    decoder: decoder.clone(),
                });
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn publish(&self, next: NextJob, decoded: Decoded) {
        let NextJob {
            job, generation, run, ..
        } = next;
        let Decoded { image, spectrum } = decoded;
        let mut state = self.shared.lock();
        if state.generation == generation {
            let Job {
                lane,
                steps,
                step,
                sigma,
                view,
                ..
            } = job;
            state.ready.push(StepFrame {
                run,
                lane,
                step,
                steps,
                sigma,
                view,
                image,
                spectrum,
            });
        }
    }

    /// Reports once and gives up on the run's previews: the next step would fail in the same way.
    fn fail(&self, next: &NextJob, events: &EventSink, error: &EngineError) {
        let mut state = self.shared.lock();
        if state.generation != next.generation {
            return;
        }
        state.current = None;
        drop(state);
        let message = format!("the preview of step {} failed: {}", next.job.step, error.one_line());
        events.send(Event::Failed { run: None, message });
    }
}

/// A job with what it takes to do it without the lock.
struct NextJob {
    job: Job,
    generation: u64,
    run: RunId,
    decoder: Decoder,
}
