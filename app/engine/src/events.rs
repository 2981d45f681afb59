//! Sending events up without ever waiting for the receiver.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Sender, TrySendError};

use crate::chores::ChoreEvent;
use crate::protocol::Event;

/// Called when there is something new to look at.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// The sending end of the event channel.
///
/// The channel is bounded. When it is full, progress events are dropped (the next one says the same and more); all others
/// wait in `delayed` and go out first, in order. The worker empties `delayed` before it takes the next request, so it can't
/// grow beyond the events of one request.
#[derive(Clone)]
pub(crate) struct EventSink {
    channel: Sender<Event>,
    delayed: Arc<Mutex<VecDeque<Event>>>,
    wake: Option<Wake>,
}

impl EventSink {
    pub(crate) fn new(channel: Sender<Event>, wake: Option<Wake>) -> Self {
        Self {
            channel,
            delayed: Arc::default(),
            wake,
        }
    }

    /// Sends an event; never waits.
    pub(crate) fn send(&self, event: Event) {
        {
            let mut delayed = self.delayed.lock().unwrap_or_else(PoisonError::into_inner);
            let droppable = matches!(
                event,
                Event::StepDone { .. }
                    | Event::AnalysisStep { .. }
                    | Event::ModelProgress { .. }
                    | Event::Chore(ChoreEvent::Progress { .. })
            );
            if !(droppable && (self.channel.is_full() || !delayed.is_empty())) {
                delayed.push_back(event);
            }
            self.drain(&mut delayed);
        }
        self.wake();
    }

    /// Tries to get rid of delayed events; true when none is left.
    pub(crate) fn flush(&self) -> bool {
        self.drain(&mut self.delayed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the receiver's side that something is new.
    pub(crate) fn wake(&self) {
        if let Some(wake) = &self.wake {
            wake();
        }
    }

    fn drain(&self, delayed: &mut VecDeque<Event>) -> bool {
        while let Some(event) = delayed.pop_front() {
            match self.channel.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    delayed.push_front(event);
                    return false;
                }
                // Nobody will ever read them.
                Err(TrySendError::Disconnected(_)) => delayed.clear(),
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(step: usize) -> Event {
        Event::StepDone {
            run: 1,
            lanes: vec![1],
            step,
            steps: 9,
            sigma: 0.5,
            step_secs: 0.1,
        }
    }

    #[test]
    fn a_full_channel_drops_progress_and_keeps_the_rest_in_order() {
        let (sender, receiver) = crossbeam_channel::bounded(2);
        let sink = EventSink::new(sender, None);
        sink.send(progress(0));
        sink.send(progress(1));
        sink.send(progress(2));
        let finished = Event::Finished {
            run: 1,
            elapsed_secs: 1.0,
        };
        sink.send(finished.clone());
        assert!(!sink.flush(), "the channel is still full");
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [progress(0), progress(1)]);
        assert!(sink.flush());
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [finished]);
    }
}
