//! What the studio remembers, and how to change or forget it.

use egui::{Context, Id, Modal, Slider, Ui, WidgetInfo};

use crate::commands::Command;
use crate::config_file::{self, APP_ID};
use crate::state::State;
use crate::theme::{self, Look, space};
use crate::widgets::{caption, section, segmented};

/// Scale factors offered on top of the system's.
const SCALES: std::ops::RangeInclusive<f32> = 0.7..=2.5;

/// Draws the preferences; the command that was asked for, and whether they are to be closed.
pub fn show(ctx: &Context, state: &State) -> (Option<Command>, bool) {
    let modal = Modal::new(Id::unique("preferences")).show(ctx, |ui| {
        ui.set_width(440.0_f32.min(ui.ctx().content_rect().width() - 40.0));
        ui.heading("Preferences");
        ui.add_space(space::ITEM);
        let mut command = look(ui);
        ui.add_space(space::PANE);
        scale(ui);
        ui.add_space(space::PANE);
        command = command.or(reset(ui, state));
        ui.add_space(space::PANE);
        (command, ui.button("Close").clicked())
    });
    let (command, closed) = modal.inner;
    (command, closed || modal.should_close())
}

fn look(ui: &mut Ui) -> Option<Command> {
    section(ui, "Look");
    let before = if ui.visuals().dark_mode {
        Look::Dark
    } else {
        Look::Light
    };
    let mut chosen = before;
    let choices = [
        (Look::Dark, "Dark", "Images are judged best in dim surroundings"),
        (Look::Light, "Light", "For bright rooms"),
    ];
    segmented(ui, "look", &mut chosen, &choices).then_some(Command::ToggleLook)
}

fn scale(ui: &mut Ui) {
    section(ui, "Size of text and controls");
    let ctx = ui.ctx().clone();
    let mut scale = ctx.zoom_factor();
    let slider = Slider::new(&mut scale, SCALES)
        .step_by(0.1)
        .custom_formatter(|value, _| format!("{:.0} %", value * 100.0))
        .custom_parser(|text| {
            text.trim_end_matches(['%', ' '])
                .parse()
                .ok()
                .map(|percent: f64| percent / 100.0)
        });
    let response = ui.add(slider);
    let value = f64::from(scale);
    response.widget_info(|| WidgetInfo::slider(true, value, "size of text and controls"));
    // While it is dragged the slider would move away under the pointer.
    if response.drag_stopped() || (response.changed() && !response.dragged()) {
        ctx.set_zoom_factor(scale);
    }
    let screen = ctx.content_rect().size() * ctx.pixels_per_point();
    caption(
        ui,
        format!(
            "Also Ctrl+Plus and Ctrl+Minus. This window is {:.0} × {:.0} px.",
            screen.x, screen.y
        ),
    );
}

fn reset(ui: &mut Ui, state: &State) -> Option<Command> {
    section(ui, "Remembered");
    let mut command = None;
    ui.horizontal_wrapped(|ui| {
        for one in [Command::ResetLayout, Command::ForgetRecent, Command::ResetPreferences] {
            if ui.add_enabled(state.can(one), egui::Button::new(one.label())).clicked() {
                command = Some(one);
            }
        }
    });
    let place = config_file::data_folder(APP_ID);
    let place = place.map_or_else(
        || "Nothing is remembered on this system.".to_owned(),
        |folder| format!("Kept in {}", folder.display()),
    );
    let color = theme::of(ui).text_weak;
    ui.add(
        egui::Label::new(egui::RichText::new(place).small().color(color))
            .wrap()
            .selectable(true),
    );
    command
}
