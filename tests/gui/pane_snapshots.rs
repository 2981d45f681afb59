//! How single panes look, cut out of the window; the model's images are in none of them.

use egui::accesskit::Role;
use egui::{Key, Modifiers, Rect, pos2, vec2};
use egui_kittest::{Harness, image_snapshot_options};
use mdsd3_engine::protocol::Event;
use mdsd3_gui::Studio;
use mdsd3_gui::prefs::Prefs;
use mdsd3_gui::theme::Look;

use crate::support::{CTRL_SHIFT, Drive, FakeEngine, WINDOW, drawn_studio, inspection, run_until, snapshot_options};
use crate::{queue, training};

/// The panes under the viewport.
const STRIP: Rect = Rect::from_min_max(pos2(300.0, 660.0), pos2(1060.0, 900.0));

/// The panes on the left.
const LEFT: Rect = Rect::from_min_max(pos2(0.0, 52.0), pos2(300.0, 560.0));

fn drawn(engine: &FakeEngine, look: Look) -> Option<Harness<'static, Studio>> {
    let prefs = Prefs {
        look,
        ..Prefs::default()
    };
    let mut harness = drawn_studio(engine, prefs, WINDOW)?;
    harness.run();
    Some(harness)
}

/// Compares a part of the window with its snapshot.
fn check(harness: &mut Harness<'static, Studio>, name: &str, part: Rect) {
    // Nothing is under the pointer.
    harness.remove_cursor();
    harness.run_steps(4);
    let image = harness.render().expect("a picture of the studio");
    let [x, y, width, height] = [part.left(), part.top(), part.width(), part.height()].map(|points| points as u32);
    let image = image::imageops::crop_imm(&image, x, y, width, height).to_image();
    image_snapshot_options(&image, name, &snapshot_options());
}

#[test]
fn the_palette() {
    for (look, name) in [(Look::Dark, "palette_dark"), (Look::Light, "palette_light")] {
        let Some(mut harness) = drawn(&FakeEngine::new(), look) else {
            return;
        };
        harness.press_with(CTRL_SHIFT, Key::P);
        harness.type_into("Search commands", "save");
        let middle = Rect::from_center_size(pos2(WINDOW.x / 2.0, 180.0), vec2(560.0, 260.0));
        check(&mut harness, name, middle);
    }
}

#[test]
fn the_sheet_of_shortcuts() {
    let Some(mut harness) = drawn(&FakeEngine::new(), Look::Dark) else {
        return;
    };
    harness.press(Key::F1);
    let middle = Rect::from_center_size((WINDOW / 2.0).to_pos2(), vec2(1010.0, 620.0));
    check(&mut harness, "shortcuts_dark", middle);
}

#[test]
fn the_model() {
    let engine = FakeEngine::new();
    let Some(mut harness) = drawn(&engine, Look::Light) else {
        return;
    };
    let key = harness.state().state().desk.draft.key();
    engine.0.borrow_mut().found = Some(inspection(key));
    harness.press_with(Modifiers::COMMAND, Key::M);
    harness.run_steps(12);
    check(&mut harness, "model_light", LEFT);
}

#[test]
fn the_queue_empty_and_at_work() {
    let engine = FakeEngine::new();
    let Some(mut harness) = drawn(&engine, Look::Dark) else {
        return;
    };
    harness.press_with(Modifiers::COMMAND, Key::J);
    check(&mut harness, "queue_empty_dark", STRIP);
    engine.tell(Event::Queue(queue::entries()));
    harness.run();
    check(&mut harness, "queue_dark", STRIP);
}

#[test]
fn a_training_before_and_while_it_runs() {
    let engine = FakeEngine::new();
    let Some(mut harness) = drawn(&engine, Look::Light) else {
        return;
    };
    harness.command("training");
    check(&mut harness, "training_empty_light", STRIP);
    harness.click_on(Role::TextInput, "Training recipe");
    harness.type_into("Training recipe", "adapter.toml");
    harness.click_on(Role::Button, "Start training");
    for event in training::events() {
        engine.tell(event);
    }
    run_until(&mut harness, 20, |studio| studio.state().training.strip.is_some());
    check(&mut harness, "training_light", STRIP);
}

/// Depth with its scale beside a layer with its own, a region over the photo, and the pane that sets them.
#[test]
fn the_weather() {
    let engine = FakeEngine::new();
    let Some(mut harness) = drawn(&engine, Look::Dark) else {
        return;
    };
    harness.command("show the weather");
    harness.command("add a physical lane");
    harness.mix();
    harness.press(Key::Y);
    harness
        .state_mut()
        .state_mut()
        .set_region("rain", Some("rain-left.png".into()));
    harness.press(Key::D);
    let right = Rect::from_min_max(pos2(300.0, 52.0), WINDOW.to_pos2());
    check(&mut harness, "weather_dark", right);
}
