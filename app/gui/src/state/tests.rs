//! The state's behaviour, event by event.

mod lanes;

use mdsd3_engine::protocol::{Event, LaneBatch, StepFrame, StepView};
use mdsd3_words::Sampling;
use mdsd3_words::image::{Rgba8, SpectrumFrame};
use mdsd3_words::lane::{LaneId, RunId};

use super::*;
use crate::commands::Command;
use crate::lane::Cursor;
use crate::notice::Level;
use crate::panes;

fn model(classes: &[&str]) -> ModelSummary {
    ModelSummary {
        name: "test model".to_owned(),
        path: None,
        classes: classes.iter().map(|&class| class.to_owned()).collect(),
        class_heads: classes.iter().enumerate().map(|(index, _)| vec![index]).collect(),
        heads: 4,
        blocks: 1,
        width: 8,
        parameters: 1,
        size_multiple: 16,
        max_size: 512,
        dtype: "f32".to_owned(),
        device: "cpu".to_owned(),
        notes: Vec::new(),
        ..ModelSummary::default()
    }
}

#[test]
fn a_preset_holds_where_sampling_starts() {
    let mut state = ready();
    (
        state.settings.sampling.beta,
        state.settings.sampling.start_at_noise_share,
    ) = (0.5, true);
    state.save_preset("Late");
    let (saved, built_in) = (state.presets[0].clone(), state.built_in_presets().remove(0));
    state.apply_mix_preset(&built_in);
    assert!(
        !state.settings.sampling.start_at_noise_share,
        "built-in presets start at 1"
    );
    state.apply_mix_preset(&saved);
    assert!(state.settings.sampling.start_at_noise_share && state.settings.sampling.beta > 0.4);
}

/// The lane that is there from the start.
const FIRST: LaneId = CLEAN_LANE + 1;

fn batch(lanes: &[LaneId], first_step: usize) -> LaneBatch {
    LaneBatch {
        lanes: lanes.to_vec(),
        sigmas: vec![1.0, 0.7, 0.4, 0.0],
        first_step,
    }
}

fn image() -> Rgba8 {
    Rgba8 {
        width: 1,
        height: 1,
        pixels: vec![0, 0, 0, 255].into(),
    }
}

fn spectrum() -> SpectrumFrame {
    SpectrumFrame {
        width: 1,
        height: 1,
        log_power: vec![0.0].into(),
        radial: vec![(0.0, 1.0)].into(),
    }
}

fn scene(path: Option<&str>) -> Event {
    Event::SceneLoaded {
        path: path.map(Into::into),
        image: image(),
        spectrum: spectrum(),
        original_size: (10, 20),
        notes: Vec::new(),
    }
}

fn frame(run: RunId, step: usize, view: StepView) -> StepFrame {
    StepFrame {
        run,
        lane: FIRST,
        step,
        steps: 3,
        sigma: 0.5,
        view,
        image: image(),
        spectrum: spectrum(),
    }
}

/// A state with a model and a photo, and nothing left to send.
pub(super) fn ready() -> State {
    let mut state = State::new(RenderRequest {
        sampling: Sampling {
            steps: 3,
            ..Sampling::default()
        },
        ..RenderRequest::default()
    });
    state.apply(Event::ModelLoaded(model(&["rain", "haze"])));
    state.apply(scene(None));
    state.take_effects();
    state
}

fn started(state: &mut State) -> RunId {
    state.mix();
    let run = state.runs.active.as_ref().expect("a run is active").run;
    state.apply(Event::Started {
        run,
        batches: vec![batch(&[FIRST], 0)],
    });
    state.take_effects();
    run
}

fn sent_runs(state: &mut State) -> Vec<RunId> {
    let run = |effect: Effect| match effect {
        Effect::Send(Request::Render { run, .. }) => Some(run),
        _ => None,
    };
    state.take_effects().into_iter().filter_map(run).collect()
}

#[test]
fn mix_waits_for_the_model_and_the_photo() {
    let mut state = State::new(RenderRequest::default());
    assert_eq!(state.mix_blocker().as_deref(), Some("The model is being loaded"));
    state.apply(Event::ModelLoaded(model(&["rain", "haze"])));
    assert_eq!(state.mix_blocker().as_deref(), Some("The photo is being loaded"));
    state.apply(scene(None));
    assert_eq!(state.mix_blocker(), None);
}

#[test]
fn classes_of_another_checkpoint_are_dropped_from_the_mix() {
    let mut state = State::new(RenderRequest::default());
    state.settings.sampling.mix = "fog=1,rain=0.5".parse().expect("well formed");
    state.apply(Event::ModelLoaded(model(&["rain", "haze"])));
    assert_eq!(state.settings.sampling.mix.to_string(), "rain=0.5,haze=0");
}

#[test]
fn an_impossible_size_blocks_the_mix_with_the_engines_words() {
    let mut state = ready();
    state.settings.scene.size = 250;
    assert!(
        state
            .mix_blocker()
            .is_some_and(|text| text.contains("nearest: 240 or 256"))
    );
}

#[test]
fn a_run_goes_from_mix_to_its_result() {
    let mut state = ready();
    state.mix();
    assert_eq!(sent_runs(&mut state), [0]);
    state.apply(Event::Started {
        run: 0,
        batches: vec![batch(&[FIRST], 0)],
    });
    for step in 0..3 {
        state.push_frame(frame(0, step, StepView::X0Hat));
        state.apply(Event::StepDone {
            run: 0,
            lanes: vec![FIRST],
            step,
            steps: 3,
            sigma: 0.5,
            step_secs: 0.1,
        });
        assert_eq!(state.shown_step(), Some(step));
    }
    state.apply(Event::Finished {
        run: 0,
        elapsed_secs: 0.4,
    });
    state.push_frame(frame(0, 3, StepView::X0Hat));
    assert_eq!(state.shown_step(), Some(3));
    assert_eq!(state.finished_run(), Some(0));
    assert!(!state.is_busy() && !state.result_is_stale());
    assert_eq!(state.lane().map(|lane| lane.step_secs.len()), Some(3));
    state.set_ratio("rain", 1.2);
    assert!(state.result_is_stale());
}

#[test]
fn stop_cancels_once_and_forgets_a_waiting_rerun() {
    let mut state = ready();
    let run = started(&mut state);
    state.edit(|settings| settings.sampling.seed += 1);
    state.stop();
    let cancels = state.take_effects();
    assert!(matches!(
        cancels[..],
        [
            Effect::Cancel(CancelReason::Superseded),
            Effect::Cancel(CancelReason::User)
        ]
    ));
    state.apply(Event::Cancelled {
        run,
        reason: CancelReason::User,
        steps_done: 1,
    });
    state.tick(100.0);
    assert!(sent_runs(&mut state).is_empty());
    assert!(!state.is_busy());
}

#[test]
fn settings_must_rest_before_a_superseded_run_starts_again() {
    let mut state = ready();
    let run = started(&mut state);
    state.tick(1.0);
    state.edit(|settings| settings.sampling.seed += 1);
    state.apply(Event::Cancelled {
        run,
        reason: CancelReason::Superseded,
        steps_done: 1,
    });
    state.tick(1.1);
    assert!(sent_runs(&mut state).is_empty(), "the slider has not rested yet");
    state.edit(|settings| settings.sampling.seed += 1);
    state.tick(1.25);
    assert!(sent_runs(&mut state).is_empty(), "it moved again");
    state.tick(1.4);
    assert_eq!(sent_runs(&mut state), [run + 1]);
}

#[test]
fn a_slider_moved_while_nothing_runs_starts_nothing() {
    let mut state = ready();
    state.edit(|settings| settings.sampling.seed += 1);
    state.tick(10.0);
    assert!(sent_runs(&mut state).is_empty());
}

#[test]
fn the_run_before_stays_on_screen_until_the_new_one_has_an_image() {
    let mut state = ready();
    let first = started(&mut state);
    state.push_frame(frame(first, 0, StepView::X0Hat));
    state.apply(Event::Finished {
        run: first,
        elapsed_secs: 1.0,
    });
    let second = started(&mut state);
    assert_eq!(state.lane().map(|lane| lane.run), Some(first));
    state.push_frame(frame(first, 3, StepView::X0Hat));
    state.push_frame(frame(second, 0, StepView::X0Hat));
    assert_eq!(state.lane().map(|lane| lane.run), Some(second));
    state.push_frame(frame(first, 2, StepView::X0Hat));
    assert_eq!(
        state.lane().map(|lane| lane.run),
        Some(second),
        "late frames of the old run are dropped"
    );
}

#[test]
fn scrubbing_stops_the_following_and_the_last_step_resumes_it() {
    let mut state = ready();
    let run = started(&mut state);
    state.push_frame(frame(run, 0, StepView::X0Hat));
    state.push_frame(frame(run, 1, StepView::X0Hat));
    state.step_by(-1);
    assert_eq!(state.shown.cursor, Cursor::At(0));
    state.push_frame(frame(run, 2, StepView::X0Hat));
    assert_eq!(state.shown_step(), Some(0));
    state.step_by(7);
    assert_eq!((state.shown.cursor, state.shown_step()), (Cursor::Newest, Some(2)));
    state.step_by(-9);
    assert_eq!(state.shown_step(), Some(0));
}

#[test]
fn failures_belong_to_the_request_that_failed() {
    let mut state = State::new(RenderRequest::default());
    state.apply(Event::Failed {
        run: None,
        message: "model broken".to_owned(),
    });
    assert!(!state.is_loading_model() && state.is_loading_scene());
    assert_eq!(
        state.messages.notices[0].action,
        Some(Command::Show(panes::model::PANE)),
        "where another can be chosen"
    );
    state.apply(Event::Failed {
        run: None,
        message: "photo broken".to_owned(),
    });
    assert_eq!(state.messages.notices[1].action, Some(Command::OpenPhoto));
    assert_eq!(state.messages.log.unread_errors(), 2);
}

#[test]
fn a_failed_run_offers_to_mix_again() {
    let mut state = ready();
    let run = started(&mut state);
    state.apply(Event::Failed {
        run: Some(run),
        message: "out of memory".to_owned(),
    });
    assert!(!state.is_busy());
    assert_eq!(state.messages.notices[0].action, Some(Command::Mix));
    state.mix();
    assert!(state.messages.notices.is_empty(), "the next run answers the message");
}

#[test]
fn a_restarted_worker_is_said_and_nothing_waits_for_it() {
    let mut state = ready();
    let run = started(&mut state);
    state.apply(Event::WorkerRestarted {
        run: Some(run),
        message: "index out of bounds".to_owned(),
    });
    assert!(!state.is_busy() && !state.is_loading_scene());
    assert!(state.messages.notices[0].message.contains("index out of bounds"));
}

#[test]
fn another_photo_takes_the_old_steps_off_the_screen() {
    let mut state = ready();
    let run = started(&mut state);
    state.push_frame(frame(run, 0, StepView::X0Hat));
    state.open_scene(Some("b.png".into()));
    state.apply(scene(Some("b.png")));
    assert!(state.lane().is_none());
    assert_eq!(state.recent, [PathBuf::from("b.png")]);
    assert_eq!(state.request().scene.path, Some("b.png".into()));
}

#[test]
fn saving_needs_a_result() {
    let mut state = ready();
    state.save_result("x.png".into());
    assert!(state.take_effects().is_empty());
    assert_eq!(state.messages.notices[0].level, Level::Warning);
}

#[test]
fn a_refused_request_is_said_and_not_waited_for() {
    let mut state = ready();
    state.mix();
    let effects = state.take_effects();
    state.effect_failed(&effects[0], "the engine is busy".to_owned());
    assert!(!state.is_busy());
    state.open_scene(None);
    let effects = state.take_effects();
    state.effect_failed(&effects[0], "the engine is busy".to_owned());
    assert!(!state.is_loading_scene());
}

#[test]
fn seeds_differ_and_can_be_read_out() {
    let mut state = ready();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        state.new_seed();
        assert!(state.settings.sampling.seed < 1_000_000);
        seen.insert(state.settings.sampling.seed);
    }
    assert!(seen.len() > 90);
}

#[test]
fn a_success_takes_off_what_failed_before() {
    let mut state = ready();
    state.open_scene(Some("gone.png".into()));
    let message = "gone.png: no such file".to_owned();
    state.apply(Event::Failed { run: None, message });
    state.messages.notify(Level::Error, "Something else", None);
    assert_eq!(state.messages.notices.len(), 2);
    state.open_scene(Some("b.png".into()));
    state.apply(scene(Some("b.png")));
    let left: Vec<&str> = state
        .messages
        .notices
        .iter()
        .map(|notice| notice.message.as_str())
        .collect();
    assert_eq!(left, ["Something else"]);
}
