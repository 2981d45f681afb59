//! A training run on a thread of its own, for the studio.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use mdsd3_words::error::panic_message;
use mdsd3_words::image::Rgba8;

use super::{Job, Outcome, Progress, Report, StepNumbers, TrainObserver, ValidationNumbers};
use crate::error::EngineError;
use crate::events::Wake;
use crate::frames;

/// Events that may wait for the studio. One that finds no room is dropped: a slow window never stalls a training, whose
/// numbers are all in its files.
const EVENT_CAPACITY: usize = 1024;
/// Time between progress events; batches of a small model take less than a frame.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// What the studio asks of a training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrainingRequest {
    /// Run a recipe, or resume it where its saved state is.
    Start {
        /// The recipe.
        recipe: PathBuf,
    },
    /// Wait after the batch that is computed.
    Pause,
    /// Go on.
    Resume,
    /// Save and end after the batch that is computed.
    Stop,
}

/// What a training tells the studio.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainingEvent {
    /// The recipe was read and the run begins.
    Started {
        /// The recipe.
        recipe: PathBuf,
    },
    /// Where the run is.
    Progress(Progress),
    /// It goes on from a saved state.
    Continued {
        /// Steps done before.
        step: usize,
    },
    /// Numbers of the last steps.
    Step(StepNumbers),
    /// Losses at fixed noise levels.
    Validation(ValidationNumbers),
    /// A sample strip: a row per scene, with scene, target and sample.
    Strip {
        /// Steps done.
        step: usize,
        /// The picture.
        image: Rgba8,
    },
    /// Something to tell that needs no answer, such as images that were left out.
    Message(String),
    /// Something to look at; the run goes on or waits.
    Warning(String),
    /// The run waits to be resumed.
    Paused,
    /// The run goes on.
    Resumed,
    /// The run is complete.
    Finished {
        /// The adapter or the model folder.
        path: PathBuf,
    },
    /// The run was stopped; the same recipe resumes it.
    Stopped,
    /// The run failed; one line that says what, where and what to do.
    Failed {
        /// The message.
        message: String,
    },
}

/// What the run shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Run,
    Wait,
    End,
}

/// The switch between the studio and the run.
struct Switch {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

impl Switch {
    fn set(&self, wanted: Wanted) {
        let mut now = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        // A run that shall end isn't woken up again.
        if *now != Wanted::End {
            *now = wanted;
        }
        self.changed.notify_all();
    }
}

/// Runs one training at a time.
pub struct Trainer {
    run: Option<(Arc<Switch>, JoinHandle<()>)>,
    sender: Sender<TrainingEvent>,
    events: Receiver<TrainingEvent>,
    wake: Option<Wake>,
}

impl Trainer {
    /// A trainer without a run; `wake` is called from its thread when there is a new event.
    pub fn new(wake: Option<Arc<dyn Fn() + Send + Sync>>) -> Self {
        let (sender, events) = crossbeam_channel::bounded(EVENT_CAPACITY);
        Self {
            run: None,
            sender,
            events,
            wake,
        }
    }

    /// Events since the last call, oldest first.
    pub fn poll(&self) -> Vec<TrainingEvent> {
        self.events.try_iter().collect()
    }

    /// Does what is asked; never waits for the run.
    ///
    /// # Errors
    /// [`EngineError::BadInput`] when a training is to start while another runs; [`EngineError::Thread`] when the system
    /// refuses a thread.
    pub fn handle(&mut self, request: TrainingRequest) -> Result<(), EngineError> {
        match request {
            TrainingRequest::Start { recipe } => return self.start(recipe),
            TrainingRequest::Pause => self.set(Wanted::Wait),
            TrainingRequest::Resume => self.set(Wanted::Run),
            TrainingRequest::Stop => self.set(Wanted::End),
        }
        Ok(())
    }

    fn set(&self, wanted: Wanted) {
        if let Some((switch, _)) = &self.run {
            switch.set(wanted);
        }
    }

    fn start(&mut self, recipe: PathBuf) -> Result<(), EngineError> {
        if self.run.as_ref().is_some_and(|(_, thread)| !thread.is_finished()) {
            return Err(EngineError::BadInput(
                "a training is running already; stop it first".to_owned(),
            ));
        }
        let switch = Arc::new(Switch {
            wanted: Mutex::new(Wanted::Run),
            changed: Condvar::new(),
        });
        let watch = Watch {
            switch: Arc::clone(&switch),
            events: self.sender.clone(),
            wake: self.wake.clone(),
            last_progress: None,
        };
        let name = "mdsd3-training";
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || watch.run(&recipe))
            .map_err(|source| EngineError::Thread { name, source })?;
        self.run = Some((switch, thread));
        Ok(())
    }
}

impl Drop for Trainer {
    /// Ends the run, which saves its state first.
    fn drop(&mut self) {
        self.set(Wanted::End);
        if let Some((_, thread)) = self.run.take() {
            // Err means that it panicked, which it has reported already.
            let _ = thread.join();
        }
    }
}

/// The run's end of the trainer.
struct Watch {
    switch: Arc<Switch>,
    events: Sender<TrainingEvent>,
    wake: Option<Wake>,
    last_progress: Option<Instant>,
}

impl Watch {
    /// The thread's body: errors and panics become events.
    fn run(mut self, recipe: &Path) {
        // Unwind safety: nothing of the run is used behind a panic but its channel.
        let end = match catch_unwind(AssertUnwindSafe(|| self.train(recipe))) {
            Ok(Ok(Outcome::Finished(path))) => TrainingEvent::Finished { path },
            Ok(Ok(Outcome::Stopped)) => TrainingEvent::Stopped,
            Ok(Err(error)) => TrainingEvent::Failed {
                message: error.one_line(),
            },
            Err(panic) => TrainingEvent::Failed {
                message: format!("the training failed inside the program: {}", panic_message(&*panic)),
            },
        };
        self.send_last(end);
    }

    fn train(&mut self, recipe: &Path) -> Result<Outcome, EngineError> {
        let job = Job::open(recipe, None, None)?;
        self.send(TrainingEvent::Started {
            recipe: recipe.to_owned(),
        });
        job.run(self)
    }

    fn send(&self, event: TrainingEvent) {
        // Full: see EVENT_CAPACITY. Disconnected: nobody will ever read it.
        let _ = self.events.try_send(event);
        self.wake();
    }

    /// The last event says what became of the run, so it waits for room.
    fn send_last(&self, event: TrainingEvent) {
        let _ = self.events.send_timeout(event, Duration::from_secs(1));
        self.wake();
    }

    fn wake(&self) {
        if let Some(wake) = &self.wake {
            wake();
        }
    }
}

impl TrainObserver for Watch {
    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        if self.last_progress.is_none_or(|at| at.elapsed() >= PROGRESS_INTERVAL) {
            self.last_progress = Some(Instant::now());
            self.send(TrainingEvent::Progress(progress.clone()));
        }
        let mut wanted = self.switch.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if *wanted == Wanted::Wait {
            self.send(TrainingEvent::Paused);
            while *wanted == Wanted::Wait {
                wanted = self.switch.changed.wait(wanted).unwrap_or_else(PoisonError::into_inner);
            }
            self.send(TrainingEvent::Resumed);
        }
        if *wanted == Wanted::End {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn report(&mut self, report: &Report) {
        self.send(match report {
            Report::Prepared {
                training,
                validation,
                skipped,
            } => {
                if let Some(first) = skipped.first() {
                    self.send(TrainingEvent::Warning(format!(
                        "{} images were left out; the first: {}",
                        skipped.len(),
                        first.reason
                    )));
                }
                TrainingEvent::Message(format!("{training} training samples, {validation} for validation"))
            }
            Report::Resumed { step } => TrainingEvent::Continued { step: *step },
            Report::Step(numbers) => TrainingEvent::Step(numbers.clone()),
            Report::Validation(numbers) => TrainingEvent::Validation(numbers.clone()),
            Report::Strip { step, image, .. } => TrainingEvent::Strip {
                step: *step,
                image: frames::rgba8_from_rgb(image),
            },
            Report::Warning(text) | Report::Waiting(text) => TrainingEvent::Warning(text.clone()),
            Report::Saved { step } => TrainingEvent::Message(format!("saved at step {step}")),
        });
    }
}
