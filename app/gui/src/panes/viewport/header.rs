//! The row over the images: what is shown of them, which lanes there are, and how large they are.

use egui::{Align, ComboBox, Label, Layout, RichText, Role, Ui, WidgetInfo};

use super::compare_bar;
use crate::commands::Command;
use crate::icons::Icon;
use crate::panes::context::PaneContext;
use crate::state::ViewChoice;
use crate::theme;
use crate::widgets::{icon_button, segmented};
use crate::zoom::is_smoothed;

/// Width from which all fits into one row, in points.
const ONE_ROW: f32 = 540.0;

/// Draws the row, or several in a narrow pane.
pub(super) fn header(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    if ui.available_width() < ONE_ROW {
        ui.horizontal_wrapped(|ui| {
            choices(ui, studio);
            magnification(ui, studio);
        });
        return;
    }
    ui.horizontal(|ui| {
        choices(ui, studio);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            magnification(ui, studio);
            scale(ui, studio);
        });
    });
}

/// What is shown.
fn choices(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let mut view = studio.state.shown.view;
    let choices = [
        (
            ViewChoice::Prediction,
            "x̂0",
            "The clean-data prediction at each step: what the result would be if sampling ended here",
        ),
        (ViewChoice::Noisy, "x_t", "The noisy latents that each step starts from"),
    ];
    if segmented(ui, "show", &mut view, &choices) {
        studio.commands.push(Command::ToggleView);
    }
    lanes(ui, studio);
    compare_bar::mode(ui, studio);
}

/// Saving, and how large images are.
fn magnification(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let can_save = studio.state.finished_run().is_some();
    let save = ui.add_enabled_ui(can_save, |ui| icon_button(ui, Icon::SAVE, Command::SaveImage.label()));
    if save.inner.clicked() {
        studio.commands.push(Command::SaveImage);
    }
    let mut chosen = match studio.looking.zoom.scale {
        None => Some(Command::ZoomFit),
        Some(scale) if (scale - 1.0).abs() < 1e-3 => Some(Command::ZoomOriginal),
        Some(_) => None,
    };
    let choices = [
        (Some(Command::ZoomFit), "Fit", "As large as fits (F, or double-click)"),
        (
            Some(Command::ZoomOriginal),
            "100 %",
            "One image pixel per screen pixel (1)",
        ),
    ];
    if segmented(ui, "zoom", &mut chosen, &choices) {
        studio.commands.extend(chosen);
    }
}

/// How many lanes there are, and which to set up at once.
fn lanes(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let count = studio.state.lanes().len();
    let text = if count == 1 {
        "1 lane".to_owned()
    } else {
        format!("{count} lanes")
    };
    let combo = ComboBox::from_id_salt("lanes").selected_text(text).width(88.0);
    let mut chosen = None;
    let response = combo.show_ui(ui, |ui| {
        for (command, hint) in [
            (Command::SingleLane, "The whole mix in one lane"),
            (
                Command::CompareLanes,
                "Each class of the mix alone, all together, and the physical baseline of the same severities",
            ),
        ] {
            if ui
                .selectable_label(false, command.label())
                .on_hover_text(hint)
                .clicked()
            {
                chosen = Some(command);
            }
        }
    });
    let info = || WidgetInfo::labeled(Role::ComboBox, true, "lanes");
    response.response.widget_info(info);
    if icon_button(ui, Icon::ADD, Command::AddLane.label()).clicked() {
        chosen = Some(Command::AddLane);
    }
    studio.commands.extend(chosen);
}

/// Size and magnification of the images, as fully as there is room for; in any case whether pixels are smoothed.
fn scale(ui: &mut Ui, studio: &PaneContext<'_>) {
    let Some(scene) = &studio.state.scene else {
        return;
    };
    let scale = studio.looking.shown_scale;
    let smoothed = if is_smoothed(scale) { ", smoothed" } else { "" };
    let (width, height) = (scene.image.width, scene.image.height);
    let size = format!("{width} × {height} px");
    let percent = format!("{:.0} %{smoothed}", scale * 100.0);
    let full = format!("{size}, shown at {percent}");
    let texts = [full.clone(), format!("{size}, {percent}"), percent];
    let font = egui::TextStyle::Body.resolve(ui.style());
    let width_of = |text: &String| {
        let color = theme::of(ui).text_weak;
        ui.painter().layout_no_wrap(text.clone(), font.clone(), color).size().x
    };
    let room = ui.available_width();
    let fitting = texts.iter().find(|text| width_of(text) <= room);
    let text = RichText::new(fitting.unwrap_or(&texts[2])).color(theme::of(ui).text_weak);
    let label = ui.add(Label::new(text).truncate());
    label.widget_info(|| WidgetInfo::labeled(Role::Label, true, &full));
    label.on_hover_text(format!("{full}; {}", scene.fit_in_words()));
}
