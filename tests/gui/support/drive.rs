//! What a user does: keys, clicks and sliders, each followed by the frames that it takes to show.

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use mdsd3_gui::Studio;
use mdsd3_gui::prefs::Prefs;

use super::engine::FakeEngine;
use super::harness::{WINDOW, run_until, studio};

/// Ctrl and Shift, or their like on other systems.
pub const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

/// A studio on its first start, with everything loaded.
pub fn ready(engine: &FakeEngine) -> Harness<'static, Studio> {
    let mut harness = studio(engine, Prefs::default(), WINDOW);
    harness.run();
    assert!(harness.state().state().mix_blocker().is_none());
    harness
}

/// Does things to the studio and draws until it rests.
pub trait Drive {
    /// Presses a key.
    fn press(&mut self, key: Key);
    /// Presses a key with others held.
    fn press_with(&mut self, modifiers: Modifiers, key: Key);
    /// Clicks a control.
    fn click_on(&mut self, role: Role, name: &str);
    /// Types into a field.
    fn type_into(&mut self, name: &str, text: &str);
    /// Sets a slider; draws one frame only, as other moves may follow.
    fn set_slider(&mut self, name: &str, value: f64);
    /// Runs a command by the palette.
    fn command(&mut self, words: &str);
    /// Presses Mix and waits for the result.
    fn mix(&mut self);
}

impl Drive for Harness<'static, Studio> {
    fn press(&mut self, key: Key) {
        self.key_press(key);
        self.run();
    }

    fn press_with(&mut self, modifiers: Modifiers, key: Key) {
        self.key_press_modifiers(modifiers, key);
        self.run();
    }

    fn click_on(&mut self, role: Role, name: &str) {
        self.get_by_role_and_label(role, name).click();
        self.run();
    }

    fn type_into(&mut self, name: &str, text: &str) {
        self.get_by_role_and_label(Role::TextInput, name).type_text(text);
        self.run();
    }

    fn set_slider(&mut self, name: &str, value: f64) {
        self.get_by_role_and_label(Role::Slider, name)
            .set_value_accesskit(value);
        self.step();
    }

    fn command(&mut self, words: &str) {
        self.press_with(CTRL_SHIFT, Key::P);
        self.type_into("Search commands", words);
        self.press(Key::Enter);
    }

    fn mix(&mut self) {
        self.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
        run_until(self, 5, |studio| studio.state().is_busy());
        run_until(self, 60, |studio| studio.state().finished_run().is_some());
        self.run();
    }
}
