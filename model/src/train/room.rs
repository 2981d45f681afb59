//! Waiting for room on a full disk.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::time::Duration;

use super::report::Report;
use super::{Progress, TrainObserver};
use crate::error::ModelError;

/// How long a full disk is left alone.
const WAIT: Duration = Duration::from_secs(1);

/// Repeats `write` until there is room for it; `Break` when the observer stops the run meanwhile. The observer hears of the
/// full disk once.
pub fn with_room<T>(
    observer: &mut dyn TrainObserver,
    progress: &Progress,
    mut write: impl FnMut(&mut dyn TrainObserver) -> Result<T, ModelError>,
) -> Result<ControlFlow<(), T>, ModelError> {
    let mut has_told = false;
    loop {
        match write(observer) {
            Err(ModelError::Io { path, source }) if is_full(source.kind()) => {
                if !has_told {
                    let what = format!(
                        "{}: {source}; the run waits and goes on when there is room",
                        path.display()
                    );
                    observer.report(&Report::Waiting(what));
                    has_told = true;
                }
                if observer.progress(progress).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                std::thread::sleep(WAIT);
            }
            result => return result.map(ControlFlow::Continue),
        }
    }
}

fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Watch {
        waiting: usize,
        asked: usize,
        stop_at: usize,
    }

    impl TrainObserver for Watch {
        fn progress(&mut self, _: &Progress) -> ControlFlow<()> {
            self.asked += 1;
            if self.asked == self.stop_at {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }

        fn report(&mut self, report: &Report) {
            self.waiting += usize::from(matches!(report, Report::Waiting(_)));
        }
    }

    fn attempt(failures: usize, stop_at: usize) -> (Option<usize>, Watch) {
        let mut watch = Watch {
            waiting: 0,
            asked: 0,
            stop_at,
        };
        let progress = Progress {
            phase: "adapter".into(),
            step: 1,
            steps: 2,
            loss: None,
            samples_per_sec: 0.0,
        };
        let mut calls = 0;
        let done = with_room(&mut watch, &progress, |_| {
            calls += 1;
            if calls <= failures {
                let source = std::io::Error::from(ErrorKind::StorageFull);
                return Err(ModelError::Io {
                    path: "state".into(),
                    source,
                });
            }
            Ok(calls)
        });
        let done = match done.unwrap() {
            ControlFlow::Continue(calls) => Some(calls),
            ControlFlow::Break(()) => None,
        };
        (done, watch)
    }

    #[test]
    fn a_full_disk_is_waited_for_and_told_once() {
        let (done, watch) = attempt(2, usize::MAX);
        assert_eq!((done, watch.waiting, watch.asked), (Some(3), 1, 2));
    }

    #[test]
    fn waiting_can_be_stopped() {
        let (done, watch) = attempt(usize::MAX, 1);
        assert_eq!((done, watch.waiting), (None, 1));
    }
}
