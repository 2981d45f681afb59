//! Sending events up without ever waiting for the receiver.

use crossbeam_channel::Sender;

use crate::chores::ChoreEvent;
use crate::protocol::Event;
use crate::training::TrainingEvent;
use crate::wake::Wake;

/// Events that may wait for the receiver before progress is dropped.
const CAPACITY: usize = 1024;

/// The sending end of the engine's one channel of events: worker, preview, chores and training all tell through it.
///
/// While many events wait, those of progress are dropped: the next one says the same and more, and a training's numbers are
/// in its files. All others are kept, in order; there are a few of them per request.
#[derive(Clone)]
pub(crate) struct EventSink {
    channel: Sender<Event>,
    wake: Option<Wake>,
}

impl EventSink {
    /// `channel` must not be bounded.
    pub(crate) fn new(channel: Sender<Event>, wake: Option<Wake>) -> Self {
        Self { channel, wake }
    }

    /// Sends an event; never waits.
    pub(crate) fn send(&self, event: Event) {
        if !(is_progress(&event) && self.channel.len() >= CAPACITY) {
            // Err means that nobody will ever read it.
            let _ = self.channel.send(event);
        }
        self.wake();
    }

    /// Tells the receiver's side that something is new.
    pub(crate) fn wake(&self) {
        if let Some(wake) = &self.wake {
            wake();
        }
    }
}

fn is_progress(event: &Event) -> bool {
    matches!(
        event,
        Event::StepDone { .. }
            | Event::AnalysisStep { .. }
            | Event::ModelProgress { .. }
            | Event::Chore(ChoreEvent::Progress { .. })
            | Event::Training(
                TrainingEvent::Progress(_)
                    | TrainingEvent::Step(_)
                    | TrainingEvent::Validation(_)
                    | TrainingEvent::Strip { .. }
            )
    )
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
        let (sender, receiver) = crossbeam_channel::unbounded();
        let sink = EventSink::new(sender, None);
        (0..CAPACITY + 5).for_each(|step| sink.send(progress(step)));
        let finished = Event::Finished {
            run: 1,
            elapsed_secs: 1.0,
        };
        sink.send(finished.clone());
        let seen: Vec<Event> = receiver.try_iter().collect();
        assert_eq!(seen.len(), CAPACITY + 1);
        assert_eq!(seen[CAPACITY - 1..], [progress(CAPACITY - 1), finished]);
        sink.send(progress(7));
        assert_eq!(
            receiver.try_iter().collect::<Vec<_>>(),
            [progress(7)],
            "there is room again"
        );
    }
}
