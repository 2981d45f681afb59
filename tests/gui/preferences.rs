//! What is remembered, and how it is changed and forgotten.

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use mdsd3_gui::prefs::Prefs;
use mdsd3_gui::theme::Look;

use crate::support::{Drive, FakeEngine, WINDOW, studio};

#[test]
fn preferences_are_changed_and_put_back() {
    let engine = FakeEngine::new();
    let prefs = Prefs {
        recent: vec!["a.png".into()],
        ..Prefs::default()
    };
    let mut harness = studio(&engine, prefs, WINDOW);
    harness.run();
    harness
        .state_mut()
        .state_mut()
        .edit(|settings| settings.sampling.steps = 3);
    harness.press_with(Modifiers::COMMAND, Key::Comma);
    harness.click_on(Role::RadioButton, "look: Light");
    assert_eq!(harness.state().prefs().look, Look::Light);
    harness.click_on(Role::Button, "Forget recent photos");
    assert!(harness.state().prefs().recent.is_empty());
    harness.click_on(Role::Button, "Reset all preferences");
    let prefs = harness.state().prefs();
    assert_eq!((prefs.look, prefs.settings.sampling.steps), (Look::Dark, 20));
    harness.click_on(Role::Button, "Close");
    assert!(harness.query_by_label("Preferences").is_none());
    harness.press_with(Modifiers::COMMAND, Key::Z);
    assert_eq!(harness.state().prefs().settings.sampling.steps, 3);
}

#[test]
fn every_scale_and_size_is_drawn() {
    let engine = FakeEngine::new();
    for (size, scale) in [
        (egui::vec2(1280.0, 800.0), 1.0),
        (egui::vec2(1280.0, 800.0), 2.5),
        (egui::vec2(3840.0, 2160.0), 0.7),
        (egui::vec2(3840.0, 2160.0), 2.0),
    ] {
        let mut harness = studio(&engine, Prefs::default(), size / scale);
        harness.set_pixels_per_point(scale);
        harness.run();
        let mix = harness.get_by_role_and_label(Role::Button, "Mix").rect();
        let window = egui::Rect::from_min_size(egui::Pos2::ZERO, size / scale);
        assert!(window.contains_rect(mix), "{size:?} at {scale}: Mix is at {mix:?}");
    }
}
