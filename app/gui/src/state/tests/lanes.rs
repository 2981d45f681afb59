//! Lanes: what is asked for, what is kept, what is shown.

use mdsd3_engine::protocol::LaneRequest;
use mdsd3_words::lane::LaneKind;

use super::*;
use crate::lane::Lane;

/// The lanes of the runs that were asked for since the last call.
fn sent_lanes(state: &mut State) -> Vec<Vec<LaneRequest>> {
    let lanes = |effect: Effect| match effect {
        Effect::Send(Request::Render { lanes, .. }) => Some(lanes),
        _ => None,
    };
    state.take_effects().into_iter().filter_map(lanes).collect()
}

/// Mixes and answers every lane with its steps, at once.
fn mix_all(state: &mut State) -> Vec<LaneRequest> {
    state.mix();
    let lanes = sent_lanes(state).pop().expect("a run was asked for");
    answer(state, &lanes);
    lanes
}

fn answer(state: &mut State, lanes: &[LaneRequest]) {
    let run = state.runs.active.as_ref().expect("a run is active").run;
    let sampled = lanes.iter().filter(|lane| lane.kind == LaneKind::Sampled);
    let first_step = |lane: &LaneRequest| lane.request.branch.as_ref().map_or(0, |branch| branch.step);
    let batches = sampled
        .clone()
        .map(|lane| batch(&[lane.lane], first_step(lane)))
        .collect();
    state.apply(Event::Started { run, batches });
    for lane in lanes {
        let steps = if lane.kind == LaneKind::Physical { 0 } else { 3 };
        for step in first_step(lane)..=steps {
            state.push_frame(StepFrame {
                lane: lane.lane,
                steps,
                ..frame(run, step, StepView::X0Hat)
            });
            if step < steps {
                state.apply(Event::StepDone {
                    run,
                    lanes: vec![lane.lane],
                    step,
                    steps,
                    sigma: 0.5,
                    step_secs: 0.1,
                });
            }
        }
    }
    state.apply(Event::Finished { run, elapsed_secs: 0.4 });
}

fn names(state: &State) -> Vec<String> {
    (0..state.lanes().len()).map(|index| state.lane_name(index)).collect()
}

fn mixes(lanes: &[LaneRequest]) -> Vec<String> {
    lanes.iter().map(|lane| lane.request.sampling.mix.to_string()).collect()
}

#[test]
fn the_comparison_has_each_class_both_and_the_physical_baseline_on_the_same_noise() {
    let mut state = ready();
    state.apply_preset(LanePreset::Compare);
    assert_eq!(names(&state), ["haze", "rain", "haze + rain", "physical"]);
    let lanes = mix_all(&mut state);
    assert_eq!(
        mixes(&lanes),
        [
            "rain=0,haze=0.6",
            "rain=0.7,haze=0",
            "rain=0.7,haze=0.6",
            "rain=0.7,haze=0.6"
        ]
    );
    assert_eq!(lanes[3].kind, LaneKind::Physical);
    assert!(
        lanes
            .iter()
            .all(|lane| lane.request.sampling.seed == state.settings.sampling.seed)
    );
    assert!(
        state
            .lanes()
            .iter()
            .all(|slot| slot.result.as_ref().is_some_and(Lane::has_frames))
    );
}

#[test]
fn lanes_of_a_comparison_follow_the_same_sliders_and_only_stale_ones_are_mixed_again() {
    let mut state = ready();
    state.apply_preset(LanePreset::Compare);
    mix_all(&mut state);
    state.set_ratio("rain", 1.0);
    assert_eq!(
        mixes(&mix_all(&mut state)),
        ["rain=1,haze=0", "rain=1,haze=0.6", "rain=1,haze=0.6"]
    );
    assert_eq!(mix_all(&mut state).len(), 4, "nothing is stale: all are mixed again");
}

#[test]
fn what_was_mixed_before_a_comparison_is_part_of_it() {
    let mut state = ready();
    mix_all(&mut state);
    state.apply_preset(LanePreset::Compare);
    let has_result: Vec<bool> = state.lanes().iter().map(|slot| slot.result.is_some()).collect();
    assert_eq!(has_result, [false, false, true, false]);
    assert_eq!(mix_all(&mut state).len(), 3);
    state.apply_preset(LanePreset::Single);
    assert!(state.finished_run().is_some() && !state.result_is_stale());
}

#[test]
fn a_comparison_of_too_few_classes_takes_those_of_a_first_start() {
    let mut state = ready();
    state.clear_mix();
    state.apply_preset(LanePreset::Compare);
    assert_eq!(names(&state), ["haze", "rain", "haze + rain", "physical"]);
    state.apply_preset(LanePreset::Single);
    assert_eq!(names(&state), ["haze + rain"]);
}

#[test]
fn a_lanes_own_settings_are_edited_while_it_is_selected_and_leave_the_others_alone() {
    let mut state = ready();
    state.add_lane();
    assert_eq!(state.selected_lane(), 1);
    state.set_ratio("haze", 1.5);
    state.settings.sampling.steps = 5;
    state.settings.sampling.seed = 42;
    state.select_lane(0);
    assert_eq!(
        (state.settings.sampling.steps, state.settings.sampling.seed),
        (3, 42),
        "the seed is shared"
    );
    assert_eq!(state.settings.sampling.mix.to_string(), "rain=0.7,haze=0.6");
    let own = state.request_of(1);
    assert_eq!(
        (own.sampling.steps, own.sampling.mix.to_string()),
        (5, "rain=0.7,haze=1.5".to_owned())
    );
    state.select_lane(1);
    state.set_lane_own(1, false);
    assert_eq!(state.request_of(1), state.request_of(0));
}

#[test]
fn lanes_with_other_steps_show_the_nearest_noise_level() {
    let mut state = ready();
    state.apply_preset(LanePreset::Compare);
    mix_all(&mut state);
    state.show_step(1);
    let steps: Vec<Option<usize>> = state
        .lanes()
        .iter()
        .map(|slot| state.step_of(slot.result.as_ref().expect("made")))
        .collect();
    assert_eq!(
        steps,
        [Some(1), Some(1), Some(1), Some(0)],
        "a baseline has one image for all steps"
    );
    let mut finer = Lane::new(9, RenderRequest::default(), vec![1.0, 0.75, 0.5, 0.3, 0.2, 0.0]);
    assert_eq!(
        state.step_of(&finer),
        Some(1),
        "0.75 is nearest to 0.7 of those before it"
    );
    finer.sigmas = vec![1.0, 0.9, 0.68, 0.0];
    assert_eq!(state.step_of(&finer), Some(1), "as many steps count alike");
    (finer.request.sampling.beta, finer.request.sampling.start_at_noise_share) = (1.0, true);
    finer.sigmas = vec![0.5, 0.4, 0.3, 0.0];
    assert_eq!(state.step_of(&finer), Some(0), "but not those of another schedule");
    state.show_step(3);
    let shows_its_result = |lane: &Lane| lane.newest().is_some() && state.step_of(lane) == lane.newest();
    assert!(
        state
            .lanes()
            .iter()
            .filter_map(|slot| slot.result.as_ref())
            .all(shows_its_result),
        "results are shown together"
    );
}

#[test]
fn a_branch_keeps_the_steps_before_and_is_a_lane_of_its_own() {
    let mut state = ready();
    let original = mix_all(&mut state).remove(0);
    assert_eq!(state.branch_from_here(), None, "the result has no steps after it");
    state.show_step(1);
    assert_eq!(state.branch_from_here(), Some(1));
    assert_eq!(state.lane_name(1), "haze + rain from step 2");
    let before = state.lane().expect("the steps before are there at once");
    assert!(before.frame(0, StepView::X0Hat).is_some() && before.frame(1, StepView::X0Hat).is_none());
    state.set_ratio("haze", 0.0);
    let lanes = mix_all(&mut state);
    assert_eq!(lanes.len(), 1, "only the branch is mixed");
    let branch = lanes[0].request.branch.as_ref().expect("a branch");
    assert_eq!((branch.step, &branch.from), (1, &original.request));
    assert_eq!(lanes[0].request.sampling.mix.to_string(), "rain=0.7,haze=0");
    let made = state.lane().expect("made");
    let known = made.step_secs.iter().flatten();
    assert_eq!(known.count(), 3, "one of them the original's");
    assert_eq!(made.secs_per_step(), Some(0.1));
    assert!((0..=3).all(|step| made.frame(step, StepView::X0Hat).is_some()));
    state.select_lane(0);
    assert!(!state.result_is_stale(), "the original stays comparable");
}

#[test]
fn a_branch_follows_the_shared_seed() {
    let mut state = ready();
    mix_all(&mut state);
    state.show_step(1);
    state.branch_from_here();
    state.settings.sampling.seed = 77;
    let request = state.request();
    let from = request.branch.as_ref().map(|branch| branch.from.sampling.seed);
    assert_eq!((request.sampling.seed, from), (77, Some(77)));
    assert_eq!(state.request_of(0).sampling.seed, 77);
}

#[test]
fn lanes_can_be_named_and_removed_but_for_the_last() {
    let mut state = ready();
    state.apply_preset(LanePreset::Compare);
    state.rename_lane(2, " together ");
    state.remove_lane(0);
    assert_eq!(names(&state), ["rain", "together", "physical"]);
    assert_eq!(state.selected_lane(), 0);
    state.select_lane(2);
    state.remove_lane(0);
    assert_eq!(
        (names(&state), state.selected_lane()),
        (vec!["together".to_owned(), "physical".to_owned()], 1)
    );
    state.remove_lane(1);
    state.remove_lane(0);
    assert_eq!(names(&state), ["together"]);
    state.rename_lane(0, "");
    assert_eq!(names(&state), ["haze + rain"]);
}

#[test]
fn the_clean_branch_is_made_once_when_it_is_wanted() {
    let mut state = ready();
    state.set_wants_clean(true);
    state.tick(1.0);
    assert!(
        sent_lanes(&mut state).is_empty(),
        "there is nothing to compare with yet"
    );
    state.set_wants_clean(false);
    mix_all(&mut state);
    state.tick(2.0);
    assert!(sent_lanes(&mut state).is_empty());
    state.set_wants_clean(true);
    state.tick(3.0);
    let lanes = sent_lanes(&mut state).pop().expect("the clean branch is mixed");
    assert_eq!(mixes(&lanes), [""]);
    answer(&mut state, &lanes);
    assert!(state.clean_lane().is_some_and(Lane::has_frames));
    state.tick(4.0);
    assert!(sent_lanes(&mut state).is_empty());
    state.settings.sampling.seed = 5;
    assert_eq!(mix_all(&mut state).len(), 2, "on other noise it comes with the mix");
}

#[test]
fn what_a_user_sets_can_be_put_back() {
    let mut state = ready();
    let single = state.document();
    state.apply_preset(LanePreset::Compare);
    state.add_lane();
    state.set_ratio("haze", 1.5);
    let many = state.document();
    let requests: Vec<RenderRequest> = (0..5).map(|index| state.request_of(index)).collect();
    state.set_document(single.clone());
    assert_eq!((state.lanes().len(), state.document()), (1, single));
    state.set_document(many.clone());
    assert_eq!(state.document(), many);
    let again: Vec<RenderRequest> = (0..5).map(|index| state.request_of(index)).collect();
    assert_eq!(again, requests);
    state.add_lane();
    let mut ids: Vec<LaneId> = state.lanes().iter().map(|slot| slot.setup.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 6, "no id is given twice");
}

#[test]
fn lanes_that_make_the_same_are_told_apart_by_name() {
    let mut state = ready();
    state.add_lane();
    state.add_lane();
    let first = state.lane_name(0);
    assert_eq!(
        [1, 2].map(|index| state.lane_name(index)),
        [format!("{first} (2)"), format!("{first} (3)")]
    );
    state.rename_lane(2, &first);
    assert_eq!(state.lane_name(2), first, "a typed name stays as it is");
}
