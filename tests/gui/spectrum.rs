//! The Spectrum: residuals, lanes overlaid, formation, and saving what is shown.

use egui::Key;
use egui::Modifiers;
use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use mdsd3_engine::protocol::{CancelReason, Request};
use mdsd3_gui::Studio;
use mdsd3_gui::prefs::Prefs;
use mdsd3_gui::theme::Look;

use crate::support::{Drive, FakeEngine, WINDOW, drawn_studio, run_until, studio};

fn choose(harness: &mut Harness<'static, Studio>, choice: &str) {
    harness.get_by_role_and_label(Role::RadioButton, choice).click();
    harness.run();
}

fn mix(harness: &mut Harness<'static, Studio>) {
    harness.key_press(Key::Space);
    run_until(harness, 60, |studio| studio.state().finished_run().is_some());
    harness.run();
}

#[test]
fn every_lane_has_a_line_and_residuals_are_named() {
    let engine = FakeEngine::new();
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    harness.press_with(Modifiers::COMMAND, Key::Num4);
    mix(&mut harness);
    harness.get_by_role_and_label(
        Role::Image,
        "Radially averaged power of scene, haze, rain, haze + rain, physical",
    );
    choose(&mut harness, "spectrum residual: Minus scene");
    harness.get_by_role_and_label(Role::Image, "2-D spectrum of the result minus scene");
    let before = engine.runs().len();
    choose(&mut harness, "spectrum residual: Minus clean");
    run_until(&mut harness, 60, |studio| {
        studio
            .state()
            .clean_lane()
            .is_some_and(|lane| lane.elapsed_secs.is_some())
    });
    harness.run();
    assert_eq!(engine.runs().len(), before + 1, "the clean branch is rendered for it");
    harness.get_by_role_and_label(Role::Image, "2-D spectrum of the result minus clean");
}

#[test]
fn formation_is_measured_over_seeds_and_read_in_words() {
    let engine = FakeEngine::new();
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    choose(&mut harness, "spectrum view: Formation");
    harness.get_by_label_contains("Not measured yet");
    harness.get_by_role_and_label(Role::Button, "Measure formation").click();
    run_until(&mut harness, 20, |studio| studio.state().formation.result.is_some());
    harness.run();
    harness.get_by_role_and_label(Role::Image, "Band energy over sigma for rain, haze, rain+haze");
    harness.get_by_label("rain formed at sigma 0.80 [0.77, 0.83], 4 seeds");
    harness.get_by_label_contains("haze forms before rain");
    let wire = engine.0.borrow();
    let Some(Request::Analyze { request, .. }) = wire.requests.last() else {
        panic!("a measurement was asked for");
    };
    assert_eq!((request.seeds, request.lanes.len()), (4, 3));
}

#[test]
fn a_measurement_can_be_stopped() {
    let engine = FakeEngine::new();
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    choose(&mut harness, "spectrum view: Formation");
    engine.0.borrow_mut().stalled = true;
    harness.get_by_role_and_label(Role::Button, "Measure formation").click();
    harness.run_steps(3);
    harness.get_by_role_and_label(Role::Button, "Stop").click();
    harness.run_steps(3);
    assert_eq!(engine.0.borrow().cancels, [CancelReason::User]);
    assert!(harness.state().state().formation.active.is_none());
    harness.get_by_role_and_label(Role::Button, "Measure formation");
}

#[test]
fn what_is_shown_is_saved_as_a_figure_or_its_numbers() {
    let engine = FakeEngine::new();
    let mut harness = studio(&engine, Prefs::default(), WINDOW);
    harness.run();
    mix(&mut harness);
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, start) in [
        ("a.svg", &b"<svg "[..]),
        ("a.png", b"\x89PNG"),
        ("a.csv", b"image,radius,power\n"),
    ] {
        let path = folder.path().join(name);
        harness.state_mut().save_figure(&path);
        assert!(std::fs::read(&path).expect("written").starts_with(start), "{name}");
    }
    let csv = std::fs::read_to_string(folder.path().join("a.csv")).expect("written");
    assert!(csv.contains("\nscene,") && csv.contains("\nresult,"));
    harness.state_mut().save_figure(&folder.path().join("a.pdf"));
    harness.run();
    harness.get_by_label_contains("use one of these extensions");
}

#[test]
fn formation_dark() {
    let engine = FakeEngine::new();
    let prefs = Prefs {
        look: Look::Dark,
        ..Prefs::default()
    };
    let Some(mut harness) = drawn_studio(&engine, prefs, WINDOW) else {
        return;
    };
    harness.run();
    harness.press_with(Modifiers::COMMAND, Key::Num4);
    mix(&mut harness);
    choose(&mut harness, "spectrum view: Formation");
    harness.get_by_role_and_label(Role::Button, "Measure formation").click();
    run_until(&mut harness, 20, |studio| studio.state().formation.result.is_some());
    harness.run();
    harness.snapshot("spectrum_formation_dark");
}
