//! The bar along the top: what is loaded, the Mix button, progress, and the menu.

use egui::{
    Align, Button, Layout, Rect, RichText, ScrollArea, Sense, Ui, Vec2, WidgetInfo, containers::menu::MenuButton, pos2,
    vec2,
};

use crate::commands::Command;
use crate::icons::{self, Icon};
use crate::panes::context::PaneContext;
use crate::run::duration_text;
use crate::state::Activity;
use crate::theme::{self, space};
use crate::widgets::{command_line, icon_button, image_at, primary_button, secondary_button};

/// Size of the Mix button, in points.
const MIX_SIZE: Vec2 = vec2(104.0, 32.0);

/// Width of the menu, in points.
const MENU_WIDTH: f32 = 300.0;

/// Draws the bar over the whole of `ui`.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let bar = ui.max_rect().shrink2(vec2(space::PANE, 0.0));
    // The Mix button keeps its place whatever stands beside it: it is pressed without looking.
    let mix = Rect::from_center_size(bar.center() - vec2(40.0, 0.0), MIX_SIZE);
    let left = Rect::from_min_max(bar.min, pos2(mix.left() - space::SECTION, bar.bottom()));
    let right = Rect::from_min_max(pos2(mix.right() + space::PANE, bar.top()), bar.max);
    within(ui, left, Layout::left_to_right(Align::Center), |ui| loaded(ui, studio));
    within(ui, mix, Layout::left_to_right(Align::Center), |ui| {
        mix_button(ui, studio);
    });
    within(ui, right, Layout::right_to_left(Align::Center), |ui| {
        menu(ui, studio);
        if icon_button(ui, Icon::LOOK, Command::ToggleLook.label()).clicked() {
            studio.commands.push(Command::ToggleLook);
        }
        edit_buttons(ui, studio);
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| progress(ui, studio));
    });
}

fn within<R>(ui: &mut Ui, rect: Rect, layout: Layout, add: impl FnOnce(&mut Ui) -> R) -> R {
    ui.scope_builder(egui::UiBuilder::new().max_rect(rect).layout(layout), add)
        .inner
}

fn loaded(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let theme = theme::of(ui);
    brand(ui, studio);
    ui.label(
        RichText::new("MDSD3 Studio")
            .font(theme::strong_font())
            .color(theme.text_strong),
    );
    ui.add_space(space::ITEM);
    let scene = match &studio.state.scene {
        Some(scene) => scene.name(),
        None if studio.state.is_loading_scene() => "Loading photo".to_owned(),
        None => "No photo".to_owned(),
    };
    if icon_button(ui, Icon::FOLDER, Command::OpenPhoto.label()).clicked() {
        studio.commands.push(Command::OpenPhoto);
    }
    let scene_label = egui::Label::new(RichText::new(scene).color(theme.text)).truncate();
    let width = (ui.available_width() * 0.42).min(220.0);
    ui.scope(|ui| {
        ui.set_max_width(width);
        ui.add(scene_label);
    });
    ui.label(RichText::new("·").color(theme.text_weak));
    let model = match &studio.state.model {
        Some(model) => format!("{} · {} {}", model.name, model.device, model.dtype),
        None if studio.state.is_loading_model() => "Loading the model".to_owned(),
        None => "No model".to_owned(),
    };
    let help = studio.state.model.as_ref().map(model_details).unwrap_or_default();
    let label = ui.add(egui::Label::new(RichText::new(model).color(theme.text_weak)).truncate());
    if !help.is_empty() {
        label.on_hover_text(help);
    }
}

fn model_details(model: &mdsd3_words::ModelSummary) -> String {
    let heads: Vec<String> = model
        .classes
        .iter()
        .zip(&model.class_heads)
        .map(|(class, heads)| format!("{class} {}", heads.len()))
        .collect();
    format!(
        "{:.1} million parameters, {} blocks of width {}, {} heads each ({}); images are multiples of {} px",
        model.parameters as f64 / 1e6,
        model.blocks,
        model.width,
        model.heads,
        heads.join(", "),
        model.size_multiple
    )
}

/// The program's icon.
fn brand(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(24.0), Sense::hover());
    if studio.icon.width > 0 {
        let texture = studio.textures.icon(ui.ctx(), studio.icon);
        image_at(ui, rect, rect, texture);
    }
}

fn mix_button(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    if studio.state.is_busy() || studio.state.writing.is_some() {
        let stop = secondary_button(ui, Icon::STOP, "Stop", true);
        if stop.on_hover_text("Stop within one step (Esc)").clicked() {
            studio.commands.push(Command::Stop);
        }
        return;
    }
    let blocker = studio.state.mix_blocker();
    let mix = primary_button(ui, Icon::PLAY, "Mix", blocker.is_none());
    let help = blocker.unwrap_or_else(|| "Run the mix with the settings shown (Space or Ctrl+Enter)".to_owned());
    if mix.on_hover_text(help).clicked() {
        studio.commands.push(Command::Mix);
    }
}

fn progress(ui: &mut Ui, studio: &PaneContext<'_>) {
    let theme = theme::of(ui);
    let state = &studio.state;
    if let Some(activity) = state.activity() {
        bar(ui, &activity);
        ui.label(
            RichText::new(activity.text)
                .font(theme::number_font())
                .color(theme.text),
        );
        return;
    }
    let text = if state.is_busy() {
        "Waiting for the sliders to rest".to_owned()
    } else if let Some(blocker) = state.mix_blocker() {
        blocker
    } else if let Some(lane) = state.lead() {
        match lane.elapsed_secs {
            Some(secs) => format!("{} steps in {}", lane.steps(), duration_text(secs)),
            None => format!("Stopped after {} of {} steps", lane.step_secs.len(), lane.steps()),
        }
    } else {
        "Ready".to_owned()
    };
    ui.add(egui::Label::new(RichText::new(text).color(theme.text_weak)).truncate());
}

fn bar(ui: &mut Ui, activity: &Activity) {
    let theme = theme::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(150.0, 6.0), Sense::hover());
    let filled = rect.with_max_x(rect.left() + rect.width() * activity.share);
    ui.painter().rect_filled(rect, 3.0, theme.control);
    ui.painter().rect_filled(filled, 3.0, theme.accent_line);
    response.widget_info(|| WidgetInfo {
        value: Some(f64::from(activity.share)),
        ..WidgetInfo::labeled(egui::Role::ProgressIndicator, true, activity.name)
    });
}

/// Undo, redo and the way to every other command; from right to left.
fn edit_buttons(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    for (icon, command) in [
        (Icon::SEARCH, Command::ShowPalette),
        (Icon::REDO, Command::Redo),
        (Icon::UNDO, Command::Undo),
    ] {
        let name = format!("{} ({})", command.label(), command.shortcut_text(ui.ctx()));
        let enabled = studio.state.can(command);
        let button = ui.add_enabled_ui(enabled, |ui| icon_button(ui, icon, &name)).inner;
        if button.clicked() {
            studio.commands.push(command);
        }
    }
}

fn menu(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let button = Button::new("").min_size(Vec2::splat(space::ROW));
    // A window may be lower than the list of all commands.
    let height = ui.ctx().content_rect().height() - space::TOP_BAR - 2.0 * space::SECTION;
    let (response, _) = MenuButton::from_button(button).ui(ui, |ui| {
        ui.set_min_width(MENU_WIDTH);
        ui.set_max_width(MENU_WIDTH);
        // Without the minimum a menu gets a part of the window alone.
        ScrollArea::vertical()
            .max_height(height)
            .min_scrolled_height(height)
            .show(ui, |ui| entries(ui, studio));
    });
    let color = ui.style().interact(&response).fg_stroke.color;
    icons::paint(
        ui.painter(),
        Rect::from_center_size(response.rect.center(), Vec2::splat(15.0)),
        Icon::MENU,
        color,
    );
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Button, true, "Menu"));
    response.on_hover_text("Menu");
}

/// All commands by heading.
fn entries(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    for (index, group) in Command::GROUPS.iter().enumerate() {
        if index > 0 {
            ui.separator();
        }
        ui.label(RichText::new(group.title).small().color(theme::of(ui).text_weak));
        for &command in group.commands {
            let enabled = studio.state.can(command);
            let theme = theme::of(ui);
            let color = if enabled { theme.text } else { theme.text_weak };
            let entry = command_line(ui, command, enabled, color, None);
            entry.widget_info(|| WidgetInfo::labeled(egui::Role::Button, enabled, command.label()));
            if entry.clicked() {
                studio.commands.push(command);
                ui.close();
            }
        }
    }
}
