//! How the studio looks in its main states, dark and light, drawn by a software rasteriser.

use egui::{Key, vec2};
use mdsd3_gui::prefs::Prefs;
use mdsd3_gui::theme::Look;

use crate::support::{FakeEngine, WINDOW, drawn_studio, run_until};

fn prefs(look: Look) -> Prefs {
    Prefs {
        look,
        ..Prefs::default()
    }
}

#[test]
fn finished_mix_dark() {
    let engine = FakeEngine::new();
    let Some(mut harness) = drawn_studio(&engine, prefs(Look::Dark), WINDOW) else {
        return;
    };
    harness.run();
    harness.key_press(Key::Space);
    run_until(&mut harness, 40, |studio| studio.state().finished_run().is_some());
    harness.run();
    harness.snapshot("finished_mix_dark");
}

#[test]
fn running_mix_light() {
    let engine = FakeEngine::new();
    let Some(mut harness) = drawn_studio(&engine, prefs(Look::Light), vec2(1280.0, 800.0)) else {
        return;
    };
    harness.run();
    harness.key_press(Key::Space);
    run_until(&mut harness, 40, |studio| {
        studio.state().active.as_ref().is_some_and(|run| run.steps_done == 12)
    });
    engine.0.borrow_mut().stalled = true;
    harness.run();
    harness.snapshot("running_mix_light");
}

#[test]
fn first_start_before_anything_is_loaded() {
    let engine = FakeEngine::default();
    let Some(mut harness) = drawn_studio(&engine, prefs(Look::Dark), WINDOW) else {
        return;
    };
    harness.run();
    harness.snapshot("model_loading_dark");
}

#[test]
fn a_bad_photo_has_a_banner() {
    let engine = FakeEngine::new();
    let Some(mut harness) = drawn_studio(&engine, prefs(Look::Dark), vec2(1280.0, 800.0)) else {
        return;
    };
    harness.run();
    harness
        .state_mut()
        .state_mut()
        .open_scene(Some("holiday/broken.jpg".into()));
    harness.run();
    harness.snapshot("bad_photo_dark");
}
