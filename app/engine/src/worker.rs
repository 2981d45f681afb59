//! The worker thread: takes requests one by one, and survives what goes wrong in them.

use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use crate::error::EngineError;
use crate::events::EventSink;
use crate::frames;
use crate::loaded::{Decoder, LazyIdentity, ModelKey};
use crate::metadata::{self, RunSettings};
use crate::preview::Preview;
use crate::protocol::{CancelReason, Event, Request, Rgba8, RunId};
use crate::render::{RenderObserver, RenderOutput, RenderStep};
use crate::request::{Fit, RenderRequest};
use crate::session::Session;
use crate::stop::{StopSignal, Ticket};

/// How often delayed events are offered again to a receiver that has fallen behind.
const FLUSH_INTERVAL: Duration = Duration::from_millis(10);

/// A request with its place in the order of sending.
pub(crate) struct Command {
    pub(crate) ticket: Ticket,
    pub(crate) request: Request,
}

/// The finished run that can be saved.
struct Finished {
    run: RunId,
    request: RenderRequest,
    image: Rgba8,
    model: Arc<LazyIdentity>,
    scene_sha256: String,
}

/// What the worker thread owns.
pub(crate) struct Worker {
    commands: Receiver<Command>,
    events: EventSink,
    stop: Arc<StopSignal>,
    preview: Preview,
    /// Model of the start; its device and dtype hold for every [`Request::LoadModel`].
    options: ModelKey,
    session: Session,
    finished: Option<Finished>,
}

impl Worker {
    pub(crate) fn new(
        commands: Receiver<Command>,
        events: EventSink,
        stop: Arc<StopSignal>,
        preview: Preview,
        options: ModelKey,
    ) -> Self {
        Self {
            commands,
            events,
            stop,
            preview,
            options,
            session: Session::new(),
            finished: None,
        }
    }

    /// The thread's body: returns when the engine is dropped.
    pub(crate) fn run(mut self) {
        let path = self.options.path.clone();
        let first = Command {
            ticket: 0,
            request: Request::LoadModel { path },
        };
        self.handle_guarded(first);
        while self.wait_for_receiver() {
            match self.commands.recv() {
                Ok(command) => self.handle_guarded(command),
                Err(_) => return,
            }
        }
    }

    /// Waits until no event is delayed; false when the engine is closing instead.
    fn wait_for_receiver(&self) -> bool {
        while !self.events.flush() {
            if self.stop.is_closing() {
                return false;
            }
            thread::sleep(FLUSH_INTERVAL);
        }
        true
    }

    /// Handles a request; errors and panics become events.
    fn handle_guarded(&mut self, command: Command) {
        let run = match &command.request {
            Request::Render { run, .. } => Some(*run),
            _ => None,
        };
        // Unwind safety: after a panic everything that the request could have left half-done is made anew.
        match catch_unwind(AssertUnwindSafe(|| self.handle(command))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.preview.fill_in();
                self.events.send(Event::Failed {
                    run,
                    message: error.one_line(),
                });
            }
            Err(payload) => {
                self.session = Session::new();
                self.finished = None;
                self.preview.discard();
                let message = panic_message(payload.as_ref());
                tracing::error!("worker panicked and was restarted: {message}");
                self.events.send(Event::WorkerRestarted { run, message });
            }
        }
    }

    fn handle(&mut self, command: Command) -> Result<(), EngineError> {
        let Command { ticket, request } = command;
        match request {
            // What the user asked to keep is kept even while the program closes; the rest has no one to look at it.
            Request::SaveResult { run, path } => self.save(run, path),
            _ if self.stop.is_closing() => Ok(()),
            Request::LoadModel { path } => self.load_model(path),
            Request::OpenScene { path, size } => self.open_scene(path, size),
            Request::Render { run, request } => self.render(run, *request, ticket),
            Request::PanicForTest => panic!("a test asked for this panic"),
        }
    }

    fn load_model(&mut self, path: Option<PathBuf>) -> Result<(), EngineError> {
        self.session.load_model(&ModelKey {
            path,
            ..self.options.clone()
        })?;
        self.report_model();
        Ok(())
    }

    fn report_model(&self) {
        if let Some(model) = self.session.model() {
            self.events.send(Event::ModelLoaded(model.summary().clone()));
        }
    }

    fn open_scene(&mut self, path: Option<PathBuf>, size: u32) -> Result<(), EngineError> {
        let scene = self.session.open_scene(path.as_deref(), size, Fit::Square)?;
        let frames::Decoded { image, spectrum } = frames::from_rgb(&scene.rgb)?;
        self.events.send(Event::SceneLoaded {
            path,
            image,
            spectrum,
            original_size: scene.original_size,
        });
        Ok(())
    }

    fn render(&mut self, run: RunId, request: RenderRequest, ticket: Ticket) -> Result<(), EngineError> {
        let start = Instant::now();
        if let Some(reason) = self.stop.reason(ticket) {
            self.events.send(Event::Cancelled {
                run,
                reason,
                steps_done: 0,
            });
            return Ok(());
        }
        request.check_settings()?;
        if self.session.load_model(&request.model_key())? {
            self.report_model();
        }
        let mut observer = RunObserver {
            run,
            ticket,
            events: &self.events,
            stop: &self.stop,
            preview: &self.preview,
            steps_done: 0,
        };
        let output = self.session.render(&request, &mut observer)?;
        let steps_done = observer.steps_done;
        match output {
            Some(output) => self.finish(run, request, output, start),
            None => self.report_cancelled(run, ticket, steps_done),
        }
        Ok(())
    }

    fn finish(&mut self, run: RunId, request: RenderRequest, output: RenderOutput, start: Instant) {
        self.preview.push_result(run, request.steps, &output.result);
        self.preview.fill_in();
        self.events.send(Event::Finished {
            run,
            elapsed_secs: start.elapsed().as_secs_f32(),
        });
        self.finished = self.session.model().map(|model| Finished {
            run,
            request,
            image: output.result.image,
            model: model.identity(),
            scene_sha256: output.scene_sha256,
        });
    }

    fn report_cancelled(&self, run: RunId, ticket: Ticket, steps_done: usize) {
        let reason = self.stop.reason(ticket).unwrap_or(CancelReason::User);
        match reason {
            // The user looks at how far it came.
            CancelReason::User => self.preview.fill_in(),
            CancelReason::Superseded | CancelReason::Shutdown => self.preview.discard(),
        }
        self.events.send(Event::Cancelled {
            run,
            reason,
            steps_done,
        });
    }

    fn save(&self, run: RunId, path: PathBuf) -> Result<(), EngineError> {
        let finished = self
            .finished
            .as_ref()
            .filter(|finished| finished.run == run)
            .ok_or_else(|| {
                EngineError::BadInput("nothing to save: this run has no finished result; press Mix first".to_owned())
            })?;
        save_png(finished, &path)?;
        self.events.send(Event::Saved { path });
        Ok(())
    }
}

fn save_png(finished: &Finished, path: &Path) -> Result<(), EngineError> {
    let settings = RunSettings::new(
        finished.request.clone(),
        finished.model.resolve()?,
        finished.scene_sha256.clone(),
    );
    metadata::write_png(path, &finished.image, Some(&settings))
}

/// Passes a run's progress on and asks whether to go on.
struct RunObserver<'a> {
    run: RunId,
    ticket: Ticket,
    events: &'a EventSink,
    stop: &'a StopSignal,
    preview: &'a Preview,
    steps_done: usize,
}

impl RunObserver<'_> {
    fn poll(&self) -> ControlFlow<()> {
        if self.stop.reason(self.ticket).is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl RenderObserver for RunObserver<'_> {
    fn started(&mut self, sigmas: &[f32], decoder: &Decoder) -> ControlFlow<()> {
        self.preview
            .begin(self.run, sigmas.len().saturating_sub(1), decoder.clone());
        self.events.send(Event::Started {
            run: self.run,
            sigmas: sigmas.to_vec(),
        });
        self.poll()
    }

    fn scene_encoded(&mut self) -> ControlFlow<()> {
        self.poll()
    }

    fn step_done(&mut self, step: RenderStep) -> ControlFlow<()> {
        self.steps_done += 1;
        let RenderStep {
            index,
            steps,
            sigma,
            step_secs,
            ..
        } = step;
        self.preview.push(step);
        self.events.send(Event::StepDone {
            run: self.run,
            step: index,
            steps,
            sigma,
            step_secs,
        });
        self.poll()
    }
}

/// The message that a panic was raised with.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    crate::error::one_line(text.unwrap_or("a panic without a message"))
}
