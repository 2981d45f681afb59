//! The handle that the studio holds: requests down, events and frames up.

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use mdsd3_words::ModelSettings;

use crate::chores::thread::Chores;
use crate::error::EngineError;
use crate::events::EventSink;
use crate::preview::Preview;
use crate::protocol::{CancelReason, Event, Request, StepFrame};
use crate::queue::{Queue, QueueRequest};
use crate::stop::StopSignal;
use crate::training::{Trainer, TrainingRequest};
use crate::worker::{Command, Worker};

/// Requests that may wait for the worker.
const REQUEST_CAPACITY: usize = 64;

/// How an engine starts.
#[derive(Clone, Default)]
pub struct EngineOptions {
    /// The model to load at once.
    pub model: ModelSettings,
    /// Called from the engine's threads when there is a new event or frame; must return soon.
    pub wake: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, wake } = self;
        f.debug_struct("EngineOptions")
            .field("model", model)
            .field("wake", &wake.is_some())
            .finish()
    }
}

/// A worker thread that loads models and renders, a preview thread that decodes its steps, and a thread for chores.
///
/// A fourth thread makes datasets: see [`crate::queue`]. No method waits for any of them. Dropping the engine stops the run
/// within a step and the queue after the pairs in hand, and waits for all threads to end.
pub struct Engine {
    /// `None` once the engine is closing.
    requests: Option<Sender<Command>>,
    /// `None` once the engine is closing.
    chores: Option<Chores>,
    events: Receiver<Event>,
    stop: Arc<StopSignal>,
    preview: Preview,
    queue: Queue,
    threads: Vec<JoinHandle<()>>,
    trainer: Trainer,
}

impl Engine {
    /// Starts the threads; the worker loads the model of `options` first and reports it as an event.
    ///
    /// # Errors
    /// [`EngineError::Render`] for an unknown device or dtype; [`EngineError::Render`] when the system refuses a thread.
    pub fn start(options: EngineOptions) -> Result<Self, EngineError> {
        let EngineOptions { model, wake } = options;
        model.check()?;
        let (requests, commands) = crossbeam_channel::bounded(REQUEST_CAPACITY);
        let queue = Queue::start(wake.clone())?;
        let (sender, events) = crossbeam_channel::unbounded();
        let sink = EventSink::new(sender, wake);
        let of_training = sink.clone();
        let trainer = Trainer::new(move |event| of_training.send(Event::Training(event)));
        let (stop, preview) = (Arc::new(StopSignal::default()), Preview::default());
        let worker = Worker::new(commands, sink.clone(), Arc::clone(&stop), preview.clone(), model);
        let decoding = preview.clone();
        let (chores, chore_thread) = Chores::new(sink.clone());
        // Built up piece by piece, so that a refused second thread ends the first.
        let mut engine = Self {
            requests: Some(requests),
            chores: Some(chores),
            events,
            stop,
            preview,
            queue,
            threads: Vec::with_capacity(3),
            trainer,
        };
        engine.threads.push(spawn("mdsd3-chores", move || chore_thread.run())?);
        engine.threads.push(spawn("mdsd3-worker", move || worker.run())?);
        engine
            .threads
            .push(spawn("mdsd3-preview", move || decoding.run(&sink))?);
        Ok(engine)
    }

    /// Queues a request; never waits.
    ///
    /// # Errors
    /// [`EngineError::Busy`] when too many requests are waiting already (this one was not queued);
    /// [`EngineError::Stopped`] when the worker is gone.
    pub fn send(&self, request: Request) -> Result<(), EngineError> {
        let request = match request {
            Request::Chore(chore) => {
                let chores = self.chores.as_ref().ok_or(EngineError::Stopped)?;
                return chores.send(*chore);
            }
            other => other,
        };
        let requests = self.requests.as_ref().ok_or(EngineError::Stopped)?;
        let command = Command {
            ticket: self.stop.issue(),
            request,
        };
        requests.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => EngineError::Busy {
                waiting: REQUEST_CAPACITY,
            },
            TrySendError::Disconnected(_) => EngineError::Stopped,
        })
    }

    /// Stops every run sent so far, within one step; runs sent afterwards are not touched. Each stopped run answers with
    /// [`Event::Cancelled`] and the first reason it was given.
    pub fn cancel(&self, reason: CancelReason) {
        self.stop.stop(reason);
    }

    /// Cancels every chore sent so far: what can be stopped between two files is, the rest runs to its end.
    pub fn cancel_chores(&self) {
        if let Some(chores) = &self.chores {
            chores.cancel();
        }
    }

    /// Starts, pauses, resumes or stops a training, which runs beside everything else; never waits for it.
    ///
    /// # Errors
    /// As [`Trainer::handle`].
    pub fn train(&mut self, request: TrainingRequest) -> Result<(), EngineError> {
        self.trainer.handle(request)
    }

    /// Everything that the engine has told since the last call, oldest first; the queue's entries come last, as they are now.
    /// Progress is dropped while a receiver falls far behind.
    pub fn poll(&self) -> Vec<Event> {
        let told = self.events.try_iter();
        told.chain(self.queue.take().map(Event::Queue)).collect()
    }

    /// Waits for what [`Self::poll`] would give next, the queue's entries apart; `None` when `timeout` is over.
    pub fn wait(&self, timeout: Duration) -> Option<Event> {
        self.events.recv_timeout(timeout).ok()
    }

    /// Asks the queue of datasets for something; never waits.
    pub fn send_to_queue(&self, request: QueueRequest) {
        self.queue.send(request);
    }

    /// Takes the frames decoded since the last call.
    ///
    /// While a run goes on they are its newest predictions; after it ends every step follows in both views, unless a newer
    /// run has taken its place. Frames that nobody takes make the preview pause.
    pub fn take_frames(&self) -> Vec<StepFrame> {
        self.preview.take()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.close();
        self.preview.close();
        self.cancel_chores();
        self.chores = None;
        self.requests = None;
        for thread in self.threads.drain(..) {
            // Err means that it panicked, which it has reported already.
            let _ = thread.join();
        }
    }
}

fn spawn(name: &'static str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, EngineError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|source| EngineError::thread(name, source))
}
