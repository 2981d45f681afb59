//! What the controls do.

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use mdsd3_engine::protocol::{CancelReason, Request};
use mdsd3_gui::prefs::Prefs;

use crate::support::{Drive, FakeEngine, ready, run_until, studio};

#[test]
fn sliders_named_after_the_models_classes_decide_what_is_mixed() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.set_slider("rain ratio", 0.25);
    harness.set_slider("snow ratio", 1.5);
    harness.set_slider("haze ratio", 0.0);
    harness.set_slider("beta", 0.5);
    harness.set_slider("steps", 3.0);
    harness.get_by_role_and_label(Role::Button, "Mix").click();
    run_until(&mut harness, 20, |studio| studio.state().finished_run().is_some());

    let (_, request) = engine.renders().pop().expect("a run was asked for");
    assert_eq!(request.sampling.mix.to_string(), "rain=0.25,haze=0,noise=0,snow=1.5");
    assert_eq!(
        (request.sampling.alpha, request.sampling.beta, request.sampling.steps),
        (1.0, 0.5, 3)
    );
    harness.get_by_role_and_label(Role::Image, "Step image");
    harness.get_by_role_and_label(Role::Image, "Scene image");
    harness.get_by_role_and_label(Role::Image, "2-D spectrum of the result");
}

#[test]
fn the_newest_step_is_followed_until_the_user_scrubs() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.set_slider("steps", 6.0);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    run_until(&mut harness, 20, |studio| studio.state().shown_step() == Some(3));
    harness.key_press(Key::ArrowLeft);
    run_until(&mut harness, 20, |studio| studio.state().finished_run().is_some());
    let shown = harness.state().state().shown_step().expect("a step is shown");
    assert!(shown < 6, "scrubbing stopped the following, yet step {shown} is shown");
    harness.press(Key::End);
    assert_eq!(harness.state().state().shown_step(), Some(6));
    harness
        .get_by_role_and_label(Role::Slider, "step")
        .set_value_accesskit(1.0);
    harness.run();
    assert_eq!(harness.state().state().shown_step(), Some(1));
    harness.get_by_role_and_label(Role::Image, "2-D spectrum of the step 2");
}

#[test]
fn escape_stops_the_run_at_once() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.key_press(Key::Space);
    run_until(&mut harness, 5, |studio| {
        studio
            .state()
            .runs
            .active
            .as_ref()
            .is_some_and(|run| run.steps_done > 0)
    });
    harness.key_press(Key::Escape);
    harness.step();
    assert_eq!(engine.0.borrow().cancels, [CancelReason::User]);
    harness.run();
    assert!(!harness.state().state().is_busy());
    harness.get_by_role_and_label(Role::Button, "Mix");
}

#[test]
fn a_slider_moved_during_a_run_replaces_it_once_with_the_newest_settings() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.key_press(Key::Space);
    run_until(&mut harness, 5, |studio| {
        studio
            .state()
            .runs
            .active
            .as_ref()
            .is_some_and(|run| run.steps_done > 1)
    });
    for value in [0.1, 0.2, 0.3] {
        harness.set_slider("rain ratio", value);
    }
    run_until(&mut harness, 60, |studio| studio.state().finished_run() == Some(1));
    assert_eq!(engine.0.borrow().cancels, [CancelReason::Superseded]);
    let renders = engine.renders();
    assert_eq!(renders.len(), 2, "one run for all three moves");
    assert!((renders[1].1.sampling.mix.ratio("rain") - 0.3).abs() < 1e-6);
}

#[test]
fn dropping_and_typing_a_path_open_a_photo() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let photo = tempfile::Builder::new()
        .suffix(".png")
        .tempfile()
        .expect("a temporary file");
    harness.press_with(Modifiers::COMMAND | Modifiers::SHIFT, Key::O);
    harness
        .get_by_role_and_label(Role::TextInput, "Path")
        .type_text(&photo.path().display().to_string());
    harness.run();
    harness.click_on(Role::Button, "Open");
    let scene = harness
        .state()
        .state()
        .scene
        .as_ref()
        .and_then(|scene| scene.path.clone());
    assert_eq!(scene.as_deref(), Some(photo.path()));
    assert_eq!(harness.state().state().recent, [photo.path().to_owned()]);
}

#[test]
fn the_look_can_be_switched_and_is_remembered() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let before = harness.state().prefs().look;
    harness.click_on(Role::Button, "Dark or light");
    assert_ne!(harness.state().prefs().look, before);
}

#[test]
fn an_unlocked_seed_changes_with_every_mix() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.set_slider("steps", 1.0);
    harness.get_by_label_contains("Seed locked").click();
    harness.run();
    for run in 0..2 {
        harness.key_press(Key::Space);
        run_until(&mut harness, 10, |studio| studio.state().finished_run() == Some(run));
    }
    let seeds: Vec<u64> = engine
        .renders()
        .iter()
        .map(|(_, request)| request.sampling.seed)
        .collect();
    assert_ne!(seeds[0], seeds[1]);
}

#[test]
fn another_size_fits_the_photo_again() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.state_mut().state_mut().set_size(128);
    harness.run();
    let sizes: Vec<u32> = engine
        .0
        .borrow()
        .requests
        .iter()
        .filter_map(|request| {
            if let Request::OpenScene { size, .. } = request {
                Some(*size)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(sizes, [256, 128]);
}

#[test]
fn a_window_of_any_size_is_drawn() {
    let engine = FakeEngine::new();
    for size in [
        egui::vec2(1.0, 1.0),
        egui::vec2(200.0, 900.0),
        egui::vec2(3840.0, 2160.0),
    ] {
        let mut harness = studio(&engine, Prefs::default(), size);
        harness.run_steps(3);
    }
}

#[test]
fn what_is_cut_off_a_photo_is_shown() {
    let engine = FakeEngine::new();
    let harness = ready(&engine);
    // The engine of the tests fits photos of 1600 x 1067 px into 256 x 256.
    harness.get_by_label("The middle 1067 × 1067 of 1600 × 1067 px, shrunk to 256 × 256");
}

#[test]
fn no_control_lies_on_another_in_a_small_window() {
    for size in [egui::vec2(800.0, 500.0), egui::vec2(1024.0, 600.0)] {
        let engine = FakeEngine::new();
        let mut harness = studio(&engine, Prefs::default(), size);
        harness.run();
        let named = [
            (Role::Button, "Open photo…"),
            (Role::Button, "Mix"),
            (Role::Button, "Undo (Ctrl+Z)"),
            (Role::Button, "Menu"),
            (Role::RadioButton, "show: x̂0"),
            (Role::RadioButton, "show: x_t"),
            (Role::ComboBox, "lanes"),
            (Role::Button, "Add a lane"),
            (Role::ComboBox, "compare"),
            (Role::RadioButton, "zoom: Fit"),
            (Role::RadioButton, "zoom: 100 %"),
            (Role::Button, "Save image…"),
            (Role::Slider, "rain ratio"),
            (Role::SpinButton, "rain ratio value"),
        ];
        let place = |(role, name): (Role, &'static str)| (name, harness.get_by_role_and_label(role, name).rect());
        let found = named.map(place);
        let window = egui::Rect::from_min_size(egui::Pos2::ZERO, size);
        for (index, (name, rect)) in found.iter().enumerate() {
            assert!(window.contains_rect(*rect), "{size:?}: {name} at {rect:?}");
            for (other, beside) in &found[..index] {
                assert!(
                    !rect.shrink(1.0).intersects(beside.shrink(1.0)),
                    "{size:?}: {name} and {other}"
                );
            }
        }
    }
}
