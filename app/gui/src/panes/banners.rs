//! Messages over the viewport, and the hint while a file is dragged over the window.

use egui::{Align2, Rect, RichText, Role, Sense, Stroke, StrokeKind, Ui, UiBuilder, WidgetInfo, vec2};

use crate::commands::Command;
use crate::icons::{self, Icon};
use crate::notice::{Level, Notice};
use crate::panes::context::PaneContext;
use crate::theme::{self, space};
use crate::widgets::icon_button;

/// What a click on a message asks for.
enum Click {
    Dismiss(usize),
    Act(usize, Command),
}

/// Draws the messages at the top of `canvas`, newest last.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>, canvas: Rect) {
    let area = canvas.shrink(space::ITEM);
    let mut click = None;
    ui.scope_builder(UiBuilder::new().max_rect(area), |ui| {
        for (index, notice) in studio.state.messages.notices.iter().enumerate() {
            click = banner(ui, index, notice).or(click.take());
        }
    });
    match click {
        Some(Click::Dismiss(index)) => studio.state.messages.dismiss(index),
        Some(Click::Act(index, command)) => {
            studio.state.messages.dismiss(index);
            studio.commands.push(command);
        }
        None => {}
    }
}

fn banner(ui: &mut Ui, index: usize, notice: &Notice) -> Option<Click> {
    let theme = theme::of(ui);
    let (icon, color, fill) = match notice.level {
        Level::Error => (Icon::WARNING, theme.error, theme.error_fill),
        Level::Warning => (Icon::WARNING, theme.warning, theme.raised),
        Level::Success => (Icon::CHECK, theme.success, theme.raised),
        Level::Info => (Icon::PICTURE, theme.text, theme.raised),
    };
    let frame = egui::Frame::new()
        .fill(fill)
        .corner_radius(6)
        .stroke(Stroke::new(1.0, color.gamma_multiply(0.5)))
        .inner_margin(8.0);
    let row = |ui: &mut Ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(18.0, space::ROW), Sense::hover());
        let icon_rect = Rect::from_center_size(rect.center(), vec2(16.0, 16.0));
        icons::paint(ui.painter(), icon_rect, icon, color);
        let buttons = if notice.action.is_some() { 170.0 } else { 40.0 };
        let text_width = (ui.available_width() - buttons).max(80.0);
        ui.scope(|ui| {
            ui.set_max_width(text_width);
            let text = RichText::new(&notice.message).color(theme.text_strong);
            ui.add(egui::Label::new(text).wrap().selectable(true));
        });
        answers(ui, index, notice)
    };
    frame
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal(row).inner
        })
        .inner
}

/// The buttons at the right end of a message.
fn answers(ui: &mut Ui, index: usize, notice: &Notice) -> Option<Click> {
    let mut click = None;
    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
        if icon_button(ui, Icon::CLOSE, "Dismiss").clicked() {
            click = Some(Click::Dismiss(index));
        }
        if let Some(command) = notice.action
            && ui.button(notice.action_label).clicked()
        {
            click = Some(Click::Act(index, command));
        }
    });
    click
}

/// Says what a drop would do while a file is over the window.
pub fn drop_hint(ui: &Ui, canvas: Rect, shows_depth: bool) {
    if ui.input(|input| input.raw.hovered_files.is_empty()) {
        return;
    }
    let theme = theme::of(ui);
    let painter = ui.painter();
    painter.rect_filled(canvas, f32::from(space::CORNER), theme.canvas.gamma_multiply(0.9));
    painter.rect_stroke(
        canvas.shrink(6.0),
        6.0,
        Stroke::new(2.0, theme.accent_line),
        StrokeKind::Inside,
    );
    let text = if shows_depth {
        "Drop to take this as the photo's depth map"
    } else {
        "Drop to open this photo"
    };
    painter.text(
        canvas.center(),
        Align2::CENTER_CENTER,
        text,
        theme::strong_font(),
        theme.canvas_text,
    );
    let response = ui.interact(canvas, ui.make_persistent_id("drop hint"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
}
