//! Palette, shortcut sheet, and undo.

use egui::accesskit::Role;
use egui::{Key, Modifiers, OutputCommand};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use mdsd3_gui::Studio;

use crate::support::{CTRL_SHIFT, Drive, FakeEngine, ready, run_until};

fn ratio(harness: &Harness<'static, Studio>, class: &str) -> f32 {
    harness.state().state().settings().sampling.mix.ratio(class)
}

#[test]
fn the_palette_finds_a_command_and_runs_it() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.press_with(CTRL_SHIFT, Key::P);
    harness.type_into("Search commands", "all classes off");
    harness.get_by_role_and_label(Role::ListItem, "Turn all classes off");
    harness.press(Key::Enter);
    assert!(harness.state().state().settings().sampling.mix.is_clean());
    assert!(
        harness
            .query_by_role_and_label(Role::TextInput, "Search commands")
            .is_none(),
        "the palette closes"
    );
}

#[test]
fn the_palette_moves_by_arrows_clicks_and_closes_by_escape() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let look = harness.state().prefs().look;
    harness.press_with(CTRL_SHIFT, Key::P);
    harness.press(Key::ArrowDown);
    harness.press(Key::Enter);
    harness.get_by_role_and_label(Role::TextInput, "Path");
    harness.press(Key::Escape);
    assert!(!harness.state().state().is_busy());
    harness.press_with(CTRL_SHIFT, Key::P);
    harness.type_into("Search commands", "light");
    harness.click_on(Role::ListItem, "Dark or light");
    assert_ne!(harness.state().prefs().look, look);
}

#[test]
fn the_sheet_lists_every_shortcut() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.press(Key::F1);
    harness.get_by_label("Mix, Ctrl+Enter or Space");
    harness.get_by_label("Turn all classes off, Ctrl+Backspace");
    harness.press(Key::Escape);
    assert!(harness.query_by_label("Mix, Ctrl+Enter or Space").is_none());
    harness.press(Key::F1);
    harness.click_on(Role::Button, "Close");
    assert!(harness.query_by_label("Mix, Ctrl+Enter or Space").is_none());
}

#[test]
fn undo_and_redo_go_through_the_changes_one_by_one() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    for value in [0.2, 0.9] {
        harness.set_slider("rain ratio", value);
        harness.run_steps(8);
    }
    harness.set_slider("steps", 7.0);
    harness.run_steps(8);
    let undo = |harness: &mut Harness<'static, Studio>| {
        harness.press_with(Modifiers::COMMAND, Key::Z);
    };
    undo(&mut harness);
    assert_eq!(harness.state().state().settings().sampling.steps, 20);
    undo(&mut harness);
    assert!((ratio(&harness, "rain") - 0.2).abs() < 1e-6);
    undo(&mut harness);
    assert!((ratio(&harness, "rain") - 0.7).abs() < 1e-6);
    harness.click_on(Role::Button, "Redo (Ctrl+Shift+Z)");
    harness.press_with(Modifiers::COMMAND, Key::Y);
    assert!((ratio(&harness, "rain") - 0.9).abs() < 1e-6);
}

#[test]
fn a_drag_with_the_mouse_is_one_undo_entry() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let rail = harness.get_by_role_and_label(Role::Slider, "haze ratio").rect();
    let at = |share: f32| egui::pos2(rail.left() + share * rail.width(), rail.center().y);
    harness.drag_at(at(0.5));
    for index in 0_u8..20 {
        harness.hover_at(at(0.2 + 0.02 * f32::from(index)));
        harness.run_steps(2);
    }
    harness.drop_at(at(0.9));
    harness.run_steps(8);
    assert!(ratio(&harness, "haze") > 1.0);
    harness.press_with(Modifiers::COMMAND, Key::Z);
    assert!(
        (ratio(&harness, "haze") - 0.6).abs() < 1e-6,
        "{}",
        ratio(&harness, "haze")
    );
}

#[test]
fn another_photo_can_be_taken_back() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    let photo = tempfile::Builder::new()
        .suffix(".png")
        .tempfile()
        .expect("a temporary file");
    harness
        .state_mut()
        .state_mut()
        .open_scene(Some(photo.path().to_owned()));
    harness.run_steps(10);
    assert_eq!(
        harness.state().state().settings().scene.path.as_deref(),
        Some(photo.path())
    );
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.run_steps(10);
    let shown = harness
        .state()
        .state()
        .scene
        .as_ref()
        .and_then(|scene| scene.path.clone());
    assert_eq!(shown, None, "the demo photo again");
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Y);
    harness.run_steps(10);
    let shown = harness
        .state()
        .state()
        .scene
        .as_ref()
        .and_then(|scene| scene.path.clone());
    assert_eq!(shown.as_deref(), Some(photo.path()));
}

#[test]
fn copy_puts_the_shown_image_on_the_clipboard() {
    let engine = FakeEngine::new();
    let mut harness = ready(&engine);
    harness.key_press(Key::Space);
    run_until(&mut harness, 40, |studio| studio.state().finished_run().is_some());
    harness.run();
    harness.event(egui::Event::Copy);
    harness.step();
    let copied = harness
        .output()
        .platform_output
        .commands
        .iter()
        .any(|command| matches!(command, OutputCommand::CopyImage(image) if image.size == [256, 256]));
    assert!(copied, "an image is handed to the system");
}
