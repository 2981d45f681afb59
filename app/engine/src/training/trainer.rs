//! A training run on a thread of its own, for the studio.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mdsd3_render::frames;
use mdsd3_words::ModelSettings;
use mdsd3_words::error::panic_message;
use mdsd3_words::image::Rgba8;

use super::{Job, Outcome, Progress, Report, StepNumbers, TrainObserver, ValidationNumbers};
use crate::error::EngineError;

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
        /// The model to load to mix with it.
        key: Box<ModelSettings>,
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

/// Where a training tells what happens.
type Tell = Arc<dyn Fn(TrainingEvent) + Send + Sync>;

/// Runs one training at a time.
pub struct Trainer {
    run: Option<(Arc<Switch>, JoinHandle<()>)>,
    tell: Tell,
}

impl Trainer {
    /// A trainer without a run; its thread tells `tell` what happens, which must return soon.
    pub fn new(tell: impl Fn(TrainingEvent) + Send + Sync + 'static) -> Self {
        Self {
            run: None,
            tell: Arc::new(tell),
        }
    }

    /// Does what is asked; never waits for the run.
    ///
    /// # Errors
    /// [`EngineError::Render`] when a training is to start while another runs; [`EngineError::Render`] when the system
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
            return Err(EngineError::bad_input(
                "a training is running already; stop it first".to_owned(),
            ));
        }
        let switch = Arc::new(Switch {
            wanted: Mutex::new(Wanted::Run),
            changed: Condvar::new(),
        });
        let watch = Watch {
            switch: Arc::clone(&switch),
            tell: Arc::clone(&self.tell),
            last_progress: None,
        };
        let name = "mdsd3-training";
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || watch.run(&recipe))
            .map_err(|source| EngineError::thread(name, source))?;
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
    tell: Tell,
    last_progress: Option<Instant>,
}

impl Watch {
    /// The thread's body: errors and panics become events.
    fn run(mut self, recipe: &Path) {
        // Unwind safety: nothing of the run is used behind a panic but its channel.
        let end = match catch_unwind(AssertUnwindSafe(|| self.train(recipe))) {
            Ok(Ok(end)) => end,
            Ok(Err(error)) => TrainingEvent::Failed {
                message: error.one_line(),
            },
            Err(panic) => TrainingEvent::Failed {
                message: format!("the training failed inside the program: {}", panic_message(&*panic)),
            },
        };
        (self.tell)(end);
    }

    fn train(&mut self, recipe: &Path) -> Result<TrainingEvent, EngineError> {
        let job = Job::open(recipe, None, None)?;
        (self.tell)(TrainingEvent::Started {
            recipe: recipe.to_owned(),
        });
        Ok(match job.run(self)? {
            Outcome::Finished(path) => TrainingEvent::Finished {
                key: Box::new(job.trained(&path)),
                path,
            },
            Outcome::Stopped => TrainingEvent::Stopped,
        })
    }
}

impl TrainObserver for Watch {
    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        if self.last_progress.is_none_or(|at| at.elapsed() >= PROGRESS_INTERVAL) {
            self.last_progress = Some(Instant::now());
            (self.tell)(TrainingEvent::Progress(progress.clone()));
        }
        let mut wanted = self.switch.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if *wanted == Wanted::Wait {
            (self.tell)(TrainingEvent::Paused);
            while *wanted == Wanted::Wait {
                wanted = self.switch.changed.wait(wanted).unwrap_or_else(PoisonError::into_inner);
            }
            (self.tell)(TrainingEvent::Resumed);
        }
        if *wanted == Wanted::End {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn report(&mut self, report: &Report) {
        (self.tell)(match report {
            Report::Prepared {
                training,
                validation,
                skipped,
            } => {
                if let Some(first) = skipped.first() {
                    (self.tell)(TrainingEvent::Warning(format!(
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
