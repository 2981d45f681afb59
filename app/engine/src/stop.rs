//! Stopping runs: one atomic that keeps up to which run to stop, and why.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::protocol::CancelReason;

/// Numbers runs in the order they were sent.
pub(crate) type Ticket = u64;

/// Bits of the packed value that hold the reason.
const REASON_BITS: u32 = 2;

/// The newest ticket handed out, and the newest ticket to stop with its reason.
///
/// A stop applies to the runs that were sent before it, never to one that is sent after: "stop, then send" can't stop the
/// new run, however late the worker looks.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    issued: AtomicU64,
    stopped: AtomicU64,
    closing: AtomicBool,
}

impl StopSignal {
    /// A ticket for a run that is about to be sent.
    pub(crate) fn issue(&self) -> Ticket {
        self.issued.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Stops every run sent so far. A run that is being stopped already keeps its first reason.
    pub(crate) fn stop(&self, reason: CancelReason) {
        let newest = self.issued.load(Ordering::SeqCst);
        let packed = (newest << REASON_BITS) | code(reason);
        let newer = |current: u64| (current >> REASON_BITS < newest).then_some(packed);
        // Err means that those runs are being stopped already.
        let _ = self.stopped.fetch_update(Ordering::SeqCst, Ordering::SeqCst, newer);
    }

    /// The engine is being dropped: stops every run, and tells the worker to finish.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.stop(CancelReason::Shutdown);
    }

    /// Whether the engine is being dropped.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Why the run with this ticket is to stop, if it is.
    pub(crate) fn reason(&self, ticket: Ticket) -> Option<CancelReason> {
        let packed = self.stopped.load(Ordering::SeqCst);
        (ticket <= packed >> REASON_BITS).then(|| reason_of(packed & ((1 << REASON_BITS) - 1)))
    }
}

fn code(reason: CancelReason) -> u64 {
    match reason {
        CancelReason::User => 0,
        CancelReason::Superseded => 1,
        CancelReason::Shutdown => 2,
    }
}

fn reason_of(code: u64) -> CancelReason {
    match code {
        0 => CancelReason::User,
        1 => CancelReason::Superseded,
        _ => CancelReason::Shutdown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_reaches_earlier_runs_only_and_keeps_its_first_reason() {
        let signal = StopSignal::default();
        let (first, second) = (signal.issue(), signal.issue());
        assert_eq!(signal.reason(first), None);
        signal.stop(CancelReason::Superseded);
        signal.stop(CancelReason::User);
        let third = signal.issue();
        assert_eq!(signal.reason(first), Some(CancelReason::Superseded));
        assert_eq!(signal.reason(second), Some(CancelReason::Superseded));
        assert_eq!(signal.reason(third), None);
        signal.stop(CancelReason::Shutdown);
        assert_eq!(signal.reason(third), Some(CancelReason::Shutdown));
    }

    #[test]
    fn a_stop_without_any_run_stops_nothing_later() {
        let signal = StopSignal::default();
        signal.stop(CancelReason::User);
        assert_eq!(signal.reason(signal.issue()), None);
    }
}
