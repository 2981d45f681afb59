//! The studio's end of the engine: a trait, so that tests and screenshots can put recorded answers in its place.

use mdsd3_engine::Engine;
use mdsd3_engine::EngineError;
use mdsd3_engine::protocol::{CancelReason, Event, Request, StepFrame};
use mdsd3_engine::queue::QueueRequest;
use mdsd3_engine::training::TrainingRequest;

/// What the studio needs from an engine. No method may block: they are called while a frame is drawn.
pub trait EngineLink {
    /// Queues a request.
    ///
    /// # Errors
    /// [`EngineError`] when the queue is full or the engine is gone; nothing was queued then.
    fn send(&mut self, request: Request) -> Result<(), EngineError>;

    /// Stops the run that is going on, within one step.
    fn cancel(&mut self, reason: CancelReason);

    /// Cancels every chore sent so far.
    fn cancel_chores(&mut self);

    /// What runs, chores, trainings and the queue have told since the last call, oldest first.
    fn poll(&mut self) -> Vec<Event>;

    /// Decoded steps since the last call.
    fn take_frames(&mut self) -> Vec<StepFrame>;

    /// Starts, pauses, resumes or stops a training, which runs beside the runs.
    ///
    /// # Errors
    /// [`EngineError`] when another training runs, or the system refuses a thread.
    fn train(&mut self, request: TrainingRequest) -> Result<(), EngineError>;

    /// Asks the queue of datasets for something.
    fn send_to_queue(&mut self, request: QueueRequest);
}

impl EngineLink for Engine {
    fn send(&mut self, request: Request) -> Result<(), EngineError> {
        Engine::send(self, request)
    }

    fn cancel(&mut self, reason: CancelReason) {
        Engine::cancel(self, reason);
    }

    fn cancel_chores(&mut self) {
        Engine::cancel_chores(self);
    }

    fn poll(&mut self) -> Vec<Event> {
        Engine::poll(self)
    }

    fn take_frames(&mut self) -> Vec<StepFrame> {
        Engine::take_frames(self)
    }

    fn train(&mut self, request: TrainingRequest) -> Result<(), EngineError> {
        Engine::train(self, request)
    }

    fn send_to_queue(&mut self, request: QueueRequest) {
        Engine::send_to_queue(self, request);
    }
}
