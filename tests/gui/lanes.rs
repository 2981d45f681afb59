//! Lanes side by side, comparisons of them, and branches.

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use mdsd3_gui::Studio;
use mdsd3_gui::colormap::difference_color;
use mdsd3_gui::compare::CompareMode;
use mdsd3_gui::prefs::Prefs;
use mdsd3_gui::state::CLEAN_LANE;
use mdsd3_words::lane::LaneKind;

use crate::support::{Drive, FakeEngine, WINDOW, run_until, studio};

/// A studio that has mixed the comparison of haze, rain, both, and the physical baseline.
fn compared(engine: &FakeEngine) -> Harness<'static, Studio> {
    let mut harness = studio(engine, Prefs::default(), WINDOW);
    harness.run();
    choose(&mut harness, "lanes", "Each class, together, physical");
    harness.get_by_role_and_label(Role::Button, "Mix").click();
    run_until(&mut harness, 40, |studio| studio.state().finished_run().is_some());
    harness.run();
    harness
}

/// Chooses an entry of a combo box.
fn choose(harness: &mut Harness<'static, Studio>, combo: &str, entry: &str) {
    harness.get_by_role_and_label(Role::ComboBox, combo).click();
    harness.run_steps(4);
    harness.get_by_role_and_label(Role::Button, entry).click();
    harness.run_steps(4);
}

fn mode(harness: &mut Harness<'static, Studio>, entry: &str) {
    choose(harness, "compare", entry);
    run_until(harness, 60, |studio| !studio.state().is_busy());
    harness.run_steps(4);
}

#[test]
fn the_comparison_is_mixed_in_one_run_and_every_lane_has_its_image() {
    let engine = FakeEngine::new();
    let harness = compared(&engine);
    let (_, lanes) = engine.runs().pop().expect("a run was asked for");
    assert_eq!(engine.runs().len(), 1);
    assert_eq!(lanes.len(), 4);
    assert_eq!(lanes[3].kind, LaneKind::Physical);
    for lane in ["haze", "rain", "haze + rain", "physical"] {
        harness.get_by_role_and_label(Role::Image, &format!("{lane} image"));
        harness.get_by_role_and_label(Role::Button, &format!("Lane menu: {lane}"));
    }
    harness.get_by_role_and_label(Role::Image, "Scene image");
}

#[test]
fn a_lane_is_selected_by_its_title_and_one_scrubber_moves_all() {
    let engine = FakeEngine::new();
    let mut harness = compared(&engine);
    harness.click_on(Role::RadioButton, "lane: rain");
    assert_eq!(harness.state().state().selected_lane(), 1);
    harness
        .get_by_role_and_label(Role::Slider, "step")
        .set_value_accesskit(4.0);
    harness.run();
    let state = harness.state().state();
    let steps: Vec<Option<usize>> = state
        .lanes()
        .iter()
        .map(|slot| state.step_of(slot.result.as_ref().expect("made")))
        .collect();
    assert_eq!(steps, [Some(4), Some(4), Some(4), Some(0)]);
    harness.press(Key::L);
    assert_eq!(harness.state().state().selected_lane(), 2);
}

#[test]
fn differences_to_the_scene_and_to_the_clean_branch_are_maps_with_a_scale() {
    let engine = FakeEngine::new();
    let mut harness = compared(&engine);
    mode(&mut harness, "Difference");
    harness.get_by_role_and_label(Role::Image, "Map of haze − scene");
    harness.get_by_label("Difference scale from −64 to +64 levels of 255");
    assert_eq!(engine.runs().len(), 1, "the scene needs no run");
    choose(&mut harness, "difference range", "±16 levels");
    harness.get_by_label("Difference scale from −16 to +16 levels of 255");
    choose(&mut harness, "compare with", "clean branch");
    run_until(&mut harness, 60, |studio| {
        studio
            .state()
            .clean_lane()
            .is_some_and(|lane| lane.elapsed_secs.is_some())
    });
    harness.run_steps(4);
    let (_, lanes) = engine.runs().pop().expect("the clean branch was asked for");
    assert_eq!((lanes.len(), lanes[0].lane), (1, CLEAN_LANE));
    assert!(lanes[0].request.sampling.mix.is_clean());
    harness.get_by_role_and_label(Role::Image, "Map of haze − clean branch");
    harness.get_by_role_and_label(Role::Image, "Clean branch image");
    the_map_is_what_is_saved(&mut harness);
}

/// Not the plain image: the difference in its colours, and what it is in words.
fn the_map_is_what_is_saved(harness: &mut Harness<'static, Studio>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("map.png");
    harness.state_mut().save_seen(path.clone());
    let saved = image::open(&path).expect("a PNG").to_rgb8();
    let state = harness.state().state();
    let of = |lane: &mdsd3_gui::lane::Lane| state.frame_of(lane).expect("a frame").image.clone();
    let shown = of(state.lane().expect("a lane"));
    let clean = of(state.clean_lane().expect("the clean branch"));
    assert_eq!(saved.dimensions(), (shown.width, shown.height));
    let luma = |pixel: &[u8]| 0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2]);
    let differences = shown.pixels.chunks(4).zip(clean.pixels.chunks(4));
    let differences = differences.map(|(shown, clean)| luma(shown) - luma(clean));
    let mut colors = std::collections::BTreeSet::new();
    for (difference, pixel) in differences.zip(saved.pixels()) {
        assert_eq!(
            pixel.0,
            difference_color(difference, 16.0).to_array()[..3],
            "{difference}"
        );
        colors.insert(pixel.0);
    }
    assert!(colors.len() > 2, "a map of one colour says nothing");
    let text = std::fs::read(&path).expect("readable");
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("haze − clean branch, luma from -16 to 16 of 255 levels"));
    harness.state_mut().save_seen(folder.path().join("map.jpg"));
    assert!(!folder.path().join("map.jpg").exists(), "no PNG under another name");
}

#[test]
fn non_additivity_takes_the_classes_alone_from_both_together() {
    let engine = FakeEngine::new();
    let mut harness = compared(&engine);
    mode(&mut harness, "Non-additivity");
    harness.get_by_role_and_label(Role::Image, "Map of (haze + rain) − haze − rain");
    harness.get_by_role_and_label(Role::Image, "Map of rain − clean branch");
    harness.get_by_role_and_label(Role::Image, "physical image");
    harness.state_mut().state_mut().remove_lane(0);
    harness.run_steps(4);
    harness.get_by_label_contains("A lane with each class alone at the same ratio is needed");
}

#[test]
fn a_wipe_has_a_line_in_every_lane_and_a_position() {
    let engine = FakeEngine::new();
    let mut harness = compared(&engine);
    mode(&mut harness, "Wipe");
    assert_eq!(harness.query_all_by_label("Wipe line").count(), 4);
    harness
        .get_by_role_and_label(Role::Slider, "wipe position")
        .set_value_accesskit(0.25);
    harness.run_steps(4);
    let line = harness.query_all_by_label("Wipe line").next().expect("a line").rect();
    let image = harness.get_by_role_and_label(Role::Image, "haze image").rect();
    let share = (line.center().x - image.left()) / image.width();
    assert!((share - 0.25).abs() < 0.02, "{share}");
}

#[test]
fn a_flicker_shows_the_lane_and_what_it_is_compared_with_in_turns() {
    let engine = FakeEngine::new();
    let mut harness = compared(&engine);
    harness.key_press(Key::C);
    harness.key_press(Key::C);
    harness.step();
    let state = harness.state();
    let shown = |studio: &Studio| {
        let comparing = mdsd3_gui::compare::Comparing {
            mode: CompareMode::Flicker,
            ..Default::default()
        };
        comparing.cell(studio.state(), 0, studio.state().now_secs())
    };
    let first = shown(state);
    run_until(&mut harness, 20, |studio| shown(studio) != first);
    let second = shown(harness.state());
    run_until(&mut harness, 20, |studio| shown(studio) != second);
    assert_eq!(shown(harness.state()), first);
}

#[test]
fn a_branch_is_mixed_from_its_step_and_stays_beside_the_original() {
    let engine = FakeEngine::new();
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    harness.get_by_role_and_label(Role::Button, "Mix").click();
    run_until(&mut harness, 40, |studio| studio.state().finished_run().is_some());
    harness
        .get_by_role_and_label(Role::Slider, "step")
        .set_value_accesskit(7.0);
    harness.run();
    harness.click_on(Role::Button, "Branch from this step");
    assert_eq!(harness.state().state().selected_lane(), 1);
    harness
        .get_by_role_and_label(Role::Slider, "haze ratio")
        .set_value_accesskit(1.5);
    harness.step();
    harness.get_by_role_and_label(Role::Button, "Mix").click();
    run_until(&mut harness, 40, |studio| studio.state().finished_run() == Some(1));
    harness.run();
    let (_, lanes) = engine.runs().pop().expect("the branch was asked for");
    assert_eq!(lanes.len(), 1, "the original is not mixed again");
    let branch = lanes[0].request.branch.as_ref().expect("a branch");
    assert_eq!(branch.step, 7);
    assert!((branch.from.sampling.mix.ratio("haze") - 0.6).abs() < 1e-6);
    assert!((lanes[0].request.sampling.mix.ratio("haze") - 1.5).abs() < 1e-6);
    harness.get_by_role_and_label(Role::Image, "haze + rain image");
    harness.get_by_role_and_label(Role::Image, "haze + rain from step 8 image");
}

#[test]
fn steps_play_to_the_last_one_and_stop() {
    let engine = FakeEngine::new();
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    harness
        .get_by_role_and_label(Role::Slider, "steps")
        .set_value_accesskit(5.0);
    harness.step();
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    run_until(&mut harness, 40, |studio| studio.state().finished_run().is_some());
    harness.run();
    harness.get_by_role_and_label(Role::Button, "Play the steps").click();
    harness.run_steps(2);
    assert!(harness.state().state().is_playing());
    assert!(harness.state().state().shown_step().is_some_and(|step| step < 5));
    run_until(&mut harness, 40, |studio| !studio.state().is_playing());
    assert_eq!(harness.state().state().shown_step(), Some(5));
}

#[test]
fn a_lanes_menu_names_it_gives_it_settings_of_its_own_and_removes_it() {
    let engine = FakeEngine::new();
    let mut harness = compared(&engine);
    harness.get_by_role_and_label(Role::Button, "Lane menu: rain").click();
    harness.run_steps(4);
    harness.get_by_role_and_label(Role::TextInput, "Lane name").click();
    harness.run_steps(4);
    harness
        .get_by_role_and_label(Role::TextInput, "Lane name")
        .type_text("streaks");
    harness.run_steps(4);
    harness.get_by_role_and_label(Role::RadioButton, "lane: streaks");
    harness.get_by_label("Settings of its own").click();
    harness.run_steps(4);
    let state = harness.state().state();
    assert_eq!(state.selected_lane(), 1);
    assert!(state.lanes()[1].setup.own.is_some());
    harness.key_press(Key::Escape);
    harness.run_steps(4);
    harness.get_by_role_and_label(Role::Button, "Lane menu: haze").click();
    harness.run_steps(4);
    harness.get_by_label("Remove this lane").click();
    harness.run_steps(4);
    assert_eq!(harness.state().state().lanes().len(), 3);
}
