//! Measuring when degradations form: what was asked for, how far it is, what came of it.

use std::sync::Arc;

use mdsd3_engine::data::AnalyzeRequest;
use mdsd3_engine::data::Formation;
use mdsd3_engine::protocol::{CancelReason, Request};
use mdsd3_words::RenderRequest;
use mdsd3_words::lane::RunId;

use super::{Effect, State};
use crate::notice::Level;

/// Seeds of a first measurement: enough for an interval, few enough to wait for.
const DEFAULT_SEEDS: u64 = 4;

/// The measurement of when the mix's classes form.
#[derive(Debug)]
pub struct FormationStudy {
    /// Seeds of the next measurement.
    pub seeds: u64,
    /// The one that is going on.
    pub active: Option<ActiveStudy>,
    /// What the last one found, and the run that it was about.
    pub result: Option<(RenderRequest, Arc<Formation>)>,
}

impl Default for FormationStudy {
    fn default() -> Self {
        Self {
            seeds: DEFAULT_SEEDS,
            active: None,
            result: None,
        }
    }
}

/// A measurement that is going on.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveStudy {
    run: RunId,
    request: RenderRequest,
    started_secs: f64,
    /// Whether it was told to stop.
    pub stopping: bool,
    /// Denoising steps that are complete.
    pub done: usize,
    /// Denoising steps in total; 0 until they are known.
    pub total: usize,
}

impl ActiveStudy {
    /// Share that is complete, 0 to 1.
    pub fn progress(&self) -> f32 {
        self.done as f32 / self.total.max(1) as f32
    }

    /// Seconds until the end at the present pace; `None` until a step is complete.
    pub fn remaining_secs(&self, now_secs: f64) -> Option<f32> {
        let left = (self.total - self.done.min(self.total)) as f64;
        (self.done > 0).then(|| ((now_secs - self.started_secs) / self.done as f64 * left) as f32)
    }
}

impl State {
    /// The run whose classes would be measured: the selected lane's, with every class that the Mixer shows.
    fn formation_request(&self) -> RenderRequest {
        let mut request = self.request();
        request.sampling.mix.clone_from(&self.settings.sampling.mix);
        request.branch = None;
        request
    }

    /// Why formation can't be measured now; `None` when it can.
    pub fn formation_blocker(&self) -> Option<String> {
        self.mix_blocker().or_else(|| {
            let request = AnalyzeRequest::of_run(&self.formation_request(), self.formation.seeds);
            request.err().map(|error| super::sentence_case(&error.one_line()))
        })
    }

    /// Measures when the classes of the mix form, each alone and all together, over the chosen number of seeds.
    pub fn measure_formation(&mut self) {
        if self.formation.active.is_some() {
            return;
        }
        let run_request = self.formation_request();
        let request = match (
            self.mix_blocker(),
            AnalyzeRequest::of_run(&run_request, self.formation.seeds),
        ) {
            (None, Ok(request)) => Box::new(request),
            (Some(blocker), _) => return self.messages.notify(Level::Warning, blocker, None),
            (None, Err(error)) => return self.messages.notify(Level::Warning, error.one_line(), None),
        };
        let run = self.runs.new_number();
        self.formation.active = Some(ActiveStudy {
            run,
            request: run_request,
            started_secs: self.now_secs,
            stopping: false,
            done: 0,
            total: 0,
        });
        self.effects.push(Effect::Send(Request::Analyze { run, request }));
    }

    /// Stops the measurement that is going on.
    pub fn stop_formation(&mut self) {
        if let Some(active) = self.formation.active.as_mut().filter(|active| !active.stopping) {
            active.stopping = true;
            self.effects.push(Effect::Cancel(CancelReason::User));
        }
    }

    /// Whether what was measured is about other settings than those shown now.
    pub fn formation_is_stale(&self) -> bool {
        self.formation
            .result
            .as_ref()
            .is_some_and(|(request, _)| *request != self.formation_request())
    }

    pub(super) fn formation_step(&mut self, run: RunId, done: usize, total: usize) {
        if let Some(active) = self.formation.active.as_mut().filter(|active| active.run == run) {
            (active.done, active.total) = (done, total);
        }
    }

    pub(super) fn formation_measured(&mut self, run: RunId, formation: Arc<Formation>) {
        let Some(active) = self.formation.active.take_if(|active| active.run == run) else {
            return;
        };
        for finding in &formation.findings {
            self.messages.record(Level::Info, finding.clone());
        }
        self.formation.result = Some((active.request, formation));
    }

    /// Forgets the measurement that is going on when it is `run`, or whichever it is; true when there was one.
    pub(super) fn formation_ended(&mut self, run: Option<RunId>) -> bool {
        let is_meant = |active: &mut ActiveStudy| run.is_none_or(|run| active.run == run);
        self.formation.active.take_if(is_meant).is_some()
    }
}

#[cfg(test)]
mod tests {

    use mdsd3_engine::protocol::Event;

    use super::super::tests::ready;
    use super::*;

    fn sent(state: &mut State) -> Vec<AnalyzeRequest> {
        let effects = state.take_effects().into_iter();
        let analyses = effects.filter_map(|effect| match effect {
            Effect::Send(Request::Analyze { request, .. }) => Some(*request),
            _ => None,
        });
        analyses.collect()
    }

    #[test]
    fn a_measurement_is_asked_for_once_and_its_end_is_told_from_a_runs() {
        let mut state = ready();
        state.formation.seeds = 3;
        state.measure_formation();
        state.measure_formation();
        let requests = sent(&mut state);
        assert_eq!((requests.len(), requests[0].seeds), (1, 3));
        let run = state
            .formation
            .active
            .as_ref()
            .map(|active| active.run)
            .expect("it goes on");
        state.tick(10.0);
        state.apply(Event::AnalysisStep {
            run,
            done: 5,
            total: 20,
        });
        let active = state.formation.active.as_ref().expect("it goes on");
        assert_eq!((active.progress(), active.remaining_secs(10.0)), (0.25, Some(30.0)));
        state.stop();
        assert!(matches!(state.take_effects()[..], [Effect::Cancel(CancelReason::User)]));
        state.apply(Event::Cancelled {
            run,
            reason: CancelReason::User,
            steps_done: 5,
        });
        assert!(state.formation.active.is_none() && state.messages.notices.is_empty());
    }

    #[test]
    fn without_a_class_there_is_nothing_to_measure() {
        let mut state = ready();
        state.clear_mix();
        assert!(
            state
                .formation_blocker()
                .is_some_and(|why| why.contains("no class") || why.contains("No class"))
        );
        state.measure_formation();
        assert!(sent(&mut state).is_empty() && state.formation.active.is_none());
    }

    #[test]
    fn a_mix_replaces_a_measurement_and_an_engine_that_failed_ends_it() {
        let mut state = ready();
        state.measure_formation();
        state.take_effects();
        state.mix();
        let effects = state.take_effects();
        assert!(
            matches!(effects[..], [Effect::Cancel(_), Effect::Send(Request::Render { .. })]),
            "{effects:?}"
        );
        state.apply(Event::WorkerRestarted {
            run: None,
            message: "broken".to_owned(),
        });
        assert!(state.formation.active.is_none());
    }
}
