//! The menu of presets, and the field for the name of a new one.

use egui::{Key, RichText, Ui, containers::menu::MenuButton};

use crate::icons::Icon;
use crate::panes::context::PaneContext;
use crate::state::presets::Preset;
use crate::theme;
use crate::widgets::{icon_button, text_button, text_field};

/// Draws the menu's button.
pub fn menu(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let color = theme::of(ui).accent_line;
    let button = egui::Button::new(RichText::new("Presets").small().color(color)).frame_when_inactive(false);
    let mut chosen = None;
    MenuButton::from_button(button).ui(ui, |ui| {
        ui.set_min_width(190.0);
        for preset in studio.state.built_in_presets() {
            if ui.button(&preset.name).clicked() {
                chosen = Some(preset);
            }
        }
        ui.separator();
        own_presets(ui, studio, &mut chosen);
        if ui.button("Save these settings…").clicked() {
            studio.looking.preset_name = Some(String::new());
            ui.close();
        }
        if chosen.is_some() {
            ui.close();
        }
    });
    if let Some(preset) = chosen {
        studio.state.apply_mix_preset(&preset);
    }
}

fn own_presets(ui: &mut Ui, studio: &mut PaneContext<'_>, chosen: &mut Option<Preset>) {
    let mut removed = None;
    for preset in &studio.state.presets {
        ui.horizontal(|ui| {
            if ui.button(&preset.name).clicked() {
                *chosen = Some(preset.clone());
            }
            if icon_button(ui, Icon::CLOSE, &format!("Remove the preset {}", preset.name)).clicked() {
                removed = Some(preset.name.clone());
            }
        });
    }
    if let Some(name) = removed {
        studio.state.remove_preset(&name);
    }
}

/// Draws the field while a preset is being named.
pub fn name_field(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let Some(name) = &mut studio.looking.preset_name else {
        return;
    };
    let mut done = false;
    let mut save = None;
    ui.horizontal(|ui| {
        let response = text_field(ui, "preset name", 150.0, name, "Name of the preset");
        if name.is_empty() && !response.has_focus() && !response.lost_focus() {
            response.request_focus();
        }
        let entered = response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        if text_button(ui, "Save preset", "Keep these settings under this name").clicked() || entered {
            save = Some(name.clone());
            done = true;
        }
        done |= text_button(ui, "Cancel", "Keep nothing").clicked();
    });
    if let Some(name) = save {
        studio.state.save_preset(&name);
    }
    if done {
        studio.looking.preset_name = None;
    }
}
