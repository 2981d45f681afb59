//! Analyses on the worker thread.

use std::ops::ControlFlow;
use std::sync::Arc;

use mdsd3_study::formation::Formation;
use mdsd3_study::{AnalyzeObserver, AnalyzeRequest};
use mdsd3_words::lane::RunId;

use super::Worker;
use crate::error::EngineError;
use crate::events::EventSink;
use crate::protocol::{CancelReason, Event};
use crate::stop::{StopSignal, Ticket};

impl Worker {
    /// Measures when degradations form and reports it.
    pub(super) fn analyze(&mut self, run: RunId, request: &AnalyzeRequest, ticket: Ticket) -> Result<(), EngineError> {
        if let Some(reason) = self.stop.reason(ticket) {
            self.report_stopped_analysis(run, reason, 0);
            return Ok(());
        }
        request.check_settings()?;
        if self.session.load_model(&request.run.model)? {
            self.report_model();
        }
        let mut watch = Watch {
            run,
            ticket,
            events: &self.events,
            stop: &self.stop,
            done: 0,
            total: 0,
        };
        let analysis = mdsd3_study::measure(&mut self.session, request, None, &mut watch)?;
        let steps_done = watch.done;
        if let Some(analysis) = analysis {
            let formation = Arc::new(Formation::new(&analysis));
            self.events.send(Event::Analyzed { run, formation });
        } else {
            let reason = self.stop.reason(ticket).unwrap_or(CancelReason::User);
            self.report_stopped_analysis(run, reason, steps_done);
        }
        Ok(())
    }

    fn report_stopped_analysis(&self, run: RunId, reason: CancelReason, steps_done: usize) {
        self.events.send(Event::Cancelled {
            run,
            reason,
            steps_done,
        });
    }
}

/// Passes progress on and asks whether to go on.
struct Watch<'a> {
    run: RunId,
    ticket: Ticket,
    events: &'a EventSink,
    stop: &'a StopSignal,
    done: usize,
    total: usize,
}

impl AnalyzeObserver for Watch<'_> {
    fn planned(&mut self, steps: usize) {
        self.total = steps;
    }

    fn step_done(&mut self) -> ControlFlow<()> {
        self.done += 1;
        self.events.send(Event::AnalysisStep {
            run: self.run,
            done: self.done,
            total: self.total,
        });
        match self.stop.reason(self.ticket) {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }
}
