//! The worker thread: takes requests one by one, and survives what goes wrong in them.

mod analysis;
mod finished;
mod weather;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Receiver;
use mdsd3_model::io::progress;
use mdsd3_render::frames::{self, Decoded};
use mdsd3_render::inspect;
use mdsd3_render::lanes;
use mdsd3_render::loaded::Decoder;
use mdsd3_render::memory;
use mdsd3_render::run::{Batch, RenderObserver, RenderStep};
use mdsd3_render::session::Session;
use mdsd3_words::error::panic_message;
use mdsd3_words::lane::{LaneId, LaneKind, RunId};
use mdsd3_words::{Fit, ModelSettings, RenderRequest};

use self::finished::{FinishedLanes, Made};
use crate::advice::advised;
use crate::error::EngineError;
use crate::events::EventSink;
use crate::preview::Preview;
use crate::protocol::{CancelReason, Event, LaneBatch, LaneRequest, Request};
use crate::stop::{StopSignal, Ticket};

/// A request with its place in the order of sending.
pub(crate) struct Command {
    pub(crate) ticket: Ticket,
    pub(crate) request: Request,
}

/// What the worker thread owns.
pub(crate) struct Worker {
    commands: Receiver<Command>,
    events: EventSink,
    stop: Arc<StopSignal>,
    preview: Preview,
    /// Model of the start.
    options: ModelSettings,
    session: Session,
    finished: FinishedLanes,
}

impl Worker {
    pub(crate) fn new(
        commands: Receiver<Command>,
        events: EventSink,
        stop: Arc<StopSignal>,
        preview: Preview,
        options: ModelSettings,
    ) -> Self {
        Self {
            commands,
            events,
            stop,
            preview,
            options,
            session: Session::new(),
            finished: FinishedLanes::default(),
        }
    }

    /// The thread's body: returns when the engine is dropped.
    pub(crate) fn run(mut self) {
        let first = Command {
            ticket: self.stop.issue(),
            request: Request::LoadModel {
                key: Box::new(self.options.clone()),
            },
        };
        self.handle_guarded(first);
        while let Some(command) = self.next() {
            self.handle_guarded(command);
        }
    }

    /// The next request, waited for with no more memory than the session needs; `None` when the engine is dropped.
    fn next(&self) -> Option<Command> {
        if let Ok(command) = self.commands.try_recv() {
            return Some(command);
        }
        memory::release_unused();
        self.commands.recv().ok()
    }

    /// Handles a request; errors and panics become events.
    fn handle_guarded(&mut self, command: Command) {
        let run = match &command.request {
            Request::Render { run, .. } | Request::Analyze { run, .. } => Some(*run),
            _ => None,
        };
        // Unwind safety: after a panic everything that the request could have left half-done is made anew.
        match catch_unwind(AssertUnwindSafe(|| self.handle(command))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.preview.fill_in();
                self.events.send(Event::Failed {
                    run,
                    message: advised(error.one_line()),
                });
            }
            Err(payload) => {
                self.session = Session::new();
                self.finished.clear();
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
            Request::SaveResult { lane, path } => self.save(lane, path),
            _ if self.stop.is_closing() => Ok(()),
            Request::LoadModel { key } => self.load_model(&key, ticket),
            Request::OpenScene { path, size } => self.open_scene(path, size),
            Request::Render { run, lanes } => self.render(run, &lanes, ticket),
            Request::SceneWeather(of) => {
                self.tell_scene_weather(of);
                Ok(())
            }
            Request::Layers(of) => {
                self.tell_layers(of);
                Ok(())
            }
            Request::SaveLayers { request, folder } => self.save_layers(&request, folder),
            // The engine hands chores to their own thread.
            Request::Chore(_) => Ok(()),
            Request::Analyze { run, request } => self.analyze(run, &request, ticket),
            Request::PanicForTest => panic!("a test asked for this panic"),
        }
    }

    fn load_model(&mut self, key: &ModelSettings, ticket: Ticket) -> Result<(), EngineError> {
        self.ensure_model(key, ticket)?;
        self.report_model();
        Ok(())
    }

    /// Makes the model of `key` the one in memory, with progress; true when it had to be loaded.
    fn ensure_model(&mut self, key: &ModelSettings, ticket: Ticket) -> Result<bool, EngineError> {
        let known = self.session.model().is_some_and(|model| model.key() == key);
        if known {
            return Ok(false);
        }
        // A model that can't be looked at can't be loaded either, and loading says why.
        let total = inspect::inspect(key.path.as_deref(), &key.parts).map_or(0, |report| report.parameters_in_memory());
        let (events, stop) = (self.events.clone(), Arc::clone(&self.stop));
        let mut done = 0;
        let observer = move |values| {
            done += values;
            events.send(Event::ModelProgress { done, total });
            if stop.reason(ticket).is_some() || stop.is_closing() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        Ok(progress::observed(observer, || self.session.load_model(key))?)
    }

    fn report_model(&self) {
        if let Some(model) = self.session.model() {
            self.events.send(Event::ModelLoaded(model.summary().clone()));
        }
    }

    fn open_scene(&mut self, path: Option<PathBuf>, size: u32) -> Result<(), EngineError> {
        let scene = self.session.open_scene(path.as_deref(), size, Fit::Square)?;
        let Decoded { image, spectrum } = frames::from_rgb(&scene.rgb)?;
        self.events.send(Event::SceneLoaded {
            path,
            image,
            spectrum,
            original_size: scene.original_size,
            notes: scene.notes.clone(),
        });
        Ok(())
    }

    fn render(&mut self, run: RunId, lanes: &[LaneRequest], ticket: Ticket) -> Result<(), EngineError> {
        let start = Instant::now();
        if let Some(reason) = self.stop.reason(ticket) {
            self.events.send(Event::Cancelled {
                run,
                reason,
                steps_done: 0,
            });
            return Ok(());
        }
        let requests: Vec<&RenderRequest> = lanes.iter().map(|lane| &lane.request).collect();
        let first = lanes::check_together(&requests)?;
        // What is wrong with any lane is said before its model is read, which may take minutes.
        for request in &requests {
            request.check_settings()?;
        }
        if self.ensure_model(&first.model, ticket)? {
            self.report_model();
        }
        let mut observer = RunObserver {
            run,
            lanes: lanes.iter().filter(|lane| lane.kind == LaneKind::Sampled).collect(),
            batches: Vec::new(),
            baselines: Vec::new(),
            ticket,
            events: &self.events,
            stop: &self.stop,
            preview: &self.preview,
            steps_done: 0,
        };
        let finished = run_lanes(&mut self.session, lanes, &mut observer)?;
        let steps_done = observer.steps_done;
        match finished {
            Some(finished) => self.finish(run, finished, start),
            None => self.report_cancelled(run, ticket, steps_done),
        }
        Ok(())
    }

    fn finish(&mut self, run: RunId, finished: Vec<Made>, start: Instant) {
        self.preview.fill_in();
        self.events.send(Event::Finished {
            run,
            elapsed_secs: start.elapsed().as_secs_f32(),
        });
        if let Some(model) = self.session.model() {
            self.finished.add(finished, &model.identity());
        }
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

    fn save(&self, lane: LaneId, path: PathBuf) -> Result<(), EngineError> {
        self.finished.save(lane, &path)?;
        self.events.send(Event::Saved { path });
        Ok(())
    }
}

/// Makes all lanes: baselines first, which take a moment, then the batches. `None` when the observer stopped it.
fn run_lanes(
    session: &mut Session,
    lanes: &[LaneRequest],
    observer: &mut RunObserver<'_>,
) -> Result<Option<Vec<Made>>, EngineError> {
    let mut made = Vec::with_capacity(lanes.len());
    let mut baselines = Vec::new();
    for lane in lanes.iter().filter(|lane| lane.kind == LaneKind::Physical) {
        let baseline = session.physical_baseline(&lane.request)?;
        let mut own = lane.clone();
        own.request.weather = baseline.weather;
        made.push(Made {
            lane: own,
            image: baseline.result.image.clone(),
            scene_sha256: baseline.scene_sha256,
            weather_sha256: baseline.weather_sha256,
        });
        baselines.push((lane.lane, baseline.result));
    }
    observer.baselines = baselines;
    let sampled = observer.lanes.clone();
    if sampled.is_empty() {
        observer.announce();
        return Ok(Some(made));
    }
    let requests: Vec<&RenderRequest> = sampled.iter().map(|lane| &lane.request).collect();
    let Some(output) = session.render_lanes(&requests, observer)? else {
        return Ok(None);
    };
    for (lane, lane_output) in sampled.into_iter().zip(output.lanes) {
        made.push(Made {
            lane: lane.clone(),
            image: lane_output.result.image,
            scene_sha256: output.scene_sha256.clone(),
            weather_sha256: lane_output.weather_sha256,
        });
    }
    Ok(Some(made))
}

/// Passes a run's progress on and asks whether to go on.
struct RunObserver<'a> {
    run: RunId,
    /// The sampled lanes; places in batches are places here.
    lanes: Vec<&'a LaneRequest>,
    batches: Vec<Batch>,
    /// Results that are there before sampling begins.
    baselines: Vec<(LaneId, Decoded)>,
    ticket: Ticket,
    events: &'a EventSink,
    stop: &'a StopSignal,
    preview: &'a Preview,
    steps_done: usize,
}

impl RunObserver<'_> {
    fn ids(&self, batch: &Batch) -> Vec<LaneId> {
        batch.lanes.iter().map(|&place| self.lanes[place].lane).collect()
    }

    /// Announces the run, and the results that need no sampling.
    fn announce(&mut self) {
        let batches = self.batches.iter().map(|batch| LaneBatch {
            lanes: self.ids(batch),
            sigmas: batch.sigmas.clone(),
            first_step: batch.first_step,
        });
        self.events.send(Event::Started {
            run: self.run,
            batches: batches.collect(),
        });
        for (lane, result) in self.baselines.drain(..) {
            self.preview.push_result((self.run, lane), 0, &result);
        }
    }
}

impl RenderObserver for RunObserver<'_> {
    fn started(&mut self, batches: &[Batch], decoder: &Decoder) -> ControlFlow<()> {
        self.batches = batches.to_vec();
        self.preview.begin(self.run, decoder.clone());
        self.announce();
        self.poll()
    }

    fn poll(&mut self) -> ControlFlow<()> {
        if self.stop.reason(self.ticket).is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn scene_encoded(&mut self) -> ControlFlow<()> {
        self.poll()
    }

    fn step_done(&mut self, step: RenderStep) -> ControlFlow<()> {
        let RenderStep {
            lane: place,
            index,
            steps,
            sigma,
            step_secs,
            ..
        } = step;
        self.preview.push(self.lanes[place].lane, step);
        let complete = self.batches.iter().find(|batch| batch.lanes.last() == Some(&place));
        if let Some(batch) = complete {
            self.steps_done += 1;
            self.events.send(Event::StepDone {
                run: self.run,
                lanes: self.ids(batch),
                step: index,
                steps,
                sigma,
                step_secs,
            });
        }
        self.poll()
    }

    fn lane_done(&mut self, place: usize, result: &Decoded) {
        let LaneRequest { lane, request, .. } = self.lanes[place];
        self.preview
            .push_result((self.run, *lane), request.sampling.steps, result);
    }
}
