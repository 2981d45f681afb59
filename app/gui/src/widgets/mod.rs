//! Controls that several panes share, each with a name for screen readers and tests.

mod fields;
mod slider;

use std::sync::Arc;

use egui::text::{LayoutJob, TextFormat};
use egui::{
    Align, Align2, Button, Color32, CornerRadius, FontId, Galley, Layout, Mesh, Painter, Rect, Response, RichText,
    Role, Sense, Stroke, Ui, Vec2, WidgetInfo, pos2, vec2,
};

use crate::commands::Command;
use crate::icons::{self, Icon};
use crate::theme::{self, space};
pub use fields::{drop_down, text_field};
pub use slider::{LabelledSlider, arrow_steps, has_arrows_control, slider_info};

/// Outlines a field that has the keyboard; egui's own outline has the colour of selected text, white.
pub fn focus_ring(ui: &Ui, field: &Response) {
    if field.has_focus() {
        let stroke = Stroke::new(1.5, theme::of(ui).accent_line);
        ui.painter()
            .rect_stroke(field.rect, f32::from(space::CORNER), stroke, egui::StrokeKind::Inside);
    }
}

fn body_font(ui: &Ui) -> FontId {
    egui::TextStyle::Body.resolve(ui.style())
}

/// The label of a row of controls, `width` points wide, so that the controls line up.
pub fn row_label(ui: &mut Ui, text: &str, width: f32) {
    let (rect, _) = ui.allocate_exact_size(vec2(width, space::ROW), Sense::hover());
    let color = theme::of(ui).text;
    let at = rect.left_center();
    ui.painter_at(rect)
        .text(at, Align2::LEFT_CENTER, text, body_font(ui), color);
}

/// A section's title.
pub fn section(ui: &mut Ui, title: &str) {
    ui.label(
        RichText::new(title)
            .font(theme::strong_font())
            .color(theme::of(ui).text_strong),
    );
    ui.add_space(2.0);
}

/// A section's title with something small at the right end of its line.
pub fn section_with<R>(ui: &mut Ui, title: &str, right: impl FnOnce(&mut Ui) -> R) -> R {
    ui.horizontal(|ui| {
        section(ui, title);
        ui.with_layout(Layout::right_to_left(Align::Center), right).inner
    })
    .inner
}

/// A section that is folded away until it is opened; `note` says what is set in it. What is open stays open between
/// sessions.
pub fn folded_section(ui: &mut Ui, title: &str, note: &str, add: impl FnOnce(&mut Ui)) {
    let theme = theme::of(ui);
    let mut text = LayoutJob::default();
    text.append(title, 0.0, TextFormat::simple(theme::strong_font(), theme.text_strong));
    text.append(note, 8.0, TextFormat::simple(theme::small_font(), theme.accent_line));
    let header = egui::CollapsingHeader::new(text)
        .id_salt(title)
        .show_unindented(ui, |ui| {
            ui.add_space(2.0);
            add(ui);
        });
    let open = header.fully_open();
    header
        .header_response
        .widget_info(|| WidgetInfo::selected(Role::DisclosureTriangle, true, open, title));
}

/// A caption in small, weak type that wraps.
pub fn caption(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = theme::of(ui).text_weak;
    ui.add(egui::Label::new(RichText::new(text).small().color(color)).wrap())
}

/// A quiet button that is only text.
pub fn text_button(ui: &mut Ui, text: &str, help: &str) -> Response {
    let color = if ui.is_enabled() {
        theme::of(ui).accent_line
    } else {
        theme::of(ui).text_weak
    };
    let button = Button::new(RichText::new(text).small().color(color)).frame_when_inactive(false);
    ui.add(button).on_hover_text(help)
}

/// A button that shows only an icon; `name` is its tooltip and its accessible name.
pub fn icon_button(ui: &mut Ui, icon: Icon, name: &str) -> Response {
    let response = ui.add_sized(Vec2::splat(space::ROW), Button::new(""));
    let color = ui.style().interact(&response).fg_stroke.color;
    icons::paint(
        ui.painter(),
        Rect::from_center_size(response.rect.center(), Vec2::splat(15.0)),
        icon,
        color,
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), name));
    response.on_hover_text(name)
}

/// A command as a line of a list: its icon, its words and its shortcut. Without `fill` it has a background under the
/// pointer alone.
pub fn command_line(ui: &mut Ui, command: Command, enabled: bool, color: Color32, fill: Option<Color32>) -> Response {
    let height = space::ROW + 4.0;
    let mut text = LayoutJob::default();
    text.append(command.label(), 20.0, TextFormat::simple(body_font(ui), color));
    let shortcut = RichText::new(command.shortcut_text(ui.ctx())).color(theme::of(ui).text_weak);
    let button = Button::new(text)
        .shortcut_text(shortcut)
        .min_size(vec2(ui.available_width(), height));
    let button = match fill {
        Some(fill) => button.fill(fill),
        None => button.frame_when_inactive(false),
    };
    let response = ui.add_enabled(enabled, button);
    if let Some(icon) = command.icon() {
        let center = response.rect.left_center() + vec2(ui.spacing().button_padding.x + 7.0, 0.0);
        icons::paint(
            ui.painter(),
            Rect::from_center_size(center, Vec2::splat(14.0)),
            icon,
            color,
        );
    }
    response
}

/// The big accent button with an icon.
pub fn primary_button(ui: &mut Ui, icon: Icon, label: &str, enabled: bool) -> Response {
    big_button(ui, icon, label, enabled, true)
}

/// The same size without the accent.
pub fn secondary_button(ui: &mut Ui, icon: Icon, label: &str, enabled: bool) -> Response {
    big_button(ui, icon, label, enabled, false)
}

fn big_button(ui: &mut Ui, icon: Icon, label: &str, enabled: bool, primary: bool) -> Response {
    let theme = theme::of(ui);
    let sense = if enabled { Sense::click() } else { Sense::hover() };
    let (rect, response) = ui.allocate_exact_size(vec2(104.0, 32.0), sense);
    let hot = enabled && (response.hovered() || response.has_focus());
    let (fill, text) = match (enabled, primary) {
        (false, _) => (theme.control, theme.text_weak),
        (true, true) => (if hot { theme.accent_hover } else { theme.accent }, theme.on_accent),
        (true, false) => (if hot { theme.control_hover } else { theme.control }, theme.text_strong),
    };
    let painter = ui.painter();
    painter.rect_filled(rect, CornerRadius::same(space::CORNER + 1), fill);
    if response.has_focus() {
        painter.rect_stroke(
            rect.expand(2.0),
            8.0,
            Stroke::new(1.5, theme.accent_line),
            egui::StrokeKind::Outside,
        );
    }
    let galley = painter.layout_no_wrap(label.to_owned(), theme::strong_font(), text);
    let width = 16.0 + 6.0 + galley.size().x;
    let left = rect.center().x - width / 2.0;
    icons::paint(
        painter,
        Rect::from_center_size(pos2(left + 8.0, rect.center().y), Vec2::splat(16.0)),
        icon,
        text,
    );
    painter.galley(pos2(left + 22.0, rect.center().y - galley.size().y / 2.0), galley, text);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled && ui.is_enabled(), label));
    response
}

/// A row of mutually exclusive choices; true when the choice changed. `name` goes before each choice's accessible name.
pub fn segmented<T: PartialEq + Copy>(ui: &mut Ui, name: &str, current: &mut T, choices: &[(T, &str, &str)]) -> bool {
    let theme = theme::of(ui);
    let before = *current;
    egui::Frame::new()
        .fill(theme.control)
        .corner_radius(CornerRadius::same(space::CORNER))
        .inner_margin(2.0)
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            // With the frame's margin as tall as other controls.
            ui.spacing_mut().button_padding.y = 1.0;
            ui.spacing_mut().interact_size.y = space::ROW - 4.0;
            ui.horizontal(|ui| {
                // In a row that is filled from the right, the last choice comes first.
                let reversed = ui.layout().prefer_right_to_left();
                for index in 0..choices.len() {
                    let index = if reversed { choices.len() - 1 - index } else { index };
                    let (choice, label, help) = choices[index];
                    let selected = *current == choice;
                    let color = if selected { theme.on_accent } else { theme.text };
                    let fill = if selected { theme.accent } else { Color32::TRANSPARENT };
                    let button = Button::new(RichText::new(label).color(color))
                        .fill(fill)
                        .min_size(vec2(34.0, space::ROW - 4.0));
                    let response = ui.add(button);
                    response.widget_info(|| {
                        WidgetInfo::selected(Role::RadioButton, ui.is_enabled(), selected, format!("{name}: {label}"))
                    });
                    if response.on_hover_text(help).clicked() {
                        *current = choice;
                    }
                }
            });
        });
    *current != before
}

/// What an empty pane says: an icon, what is missing, and what to do.
pub fn empty_state(ui: &mut Ui, rect: Rect, icon: Icon, title: &str, hint: &str, color: Color32) {
    let painter = ui.painter_at(rect);
    let center = rect.center();
    let side = 34.0;
    icons::paint(
        &painter,
        Rect::from_center_size(center - vec2(0.0, 38.0), Vec2::splat(side)),
        icon,
        color.gamma_multiply(0.7),
    );
    let width = (rect.width() - 2.0 * space::PANE).max(40.0);
    let hint_color = color.gamma_multiply(0.85);
    let title_galley = centred(&painter, title, theme::strong_font(), color, width);
    let hint_galley = centred(&painter, hint, body_font(ui), hint_color, width.min(340.0));
    let title_height = title_galley.size().y;
    painter.galley(pos2(center.x, center.y - 10.0), title_galley, color);
    painter.galley(pos2(center.x, center.y - 6.0 + title_height), hint_galley, hint_color);
    let name = format!("{title}. {hint}");
    let id = ui.make_persistent_id(("empty state", title));
    ui.interact(rect, id, Sense::hover())
        .widget_info(|| WidgetInfo::labeled(Role::Label, true, &name));
}

/// Text whose lines are centred on the position it is painted at.
fn centred(painter: &Painter, text: &str, font: FontId, color: Color32, width: f32) -> Arc<Galley> {
    let mut job = LayoutJob::simple(text.to_owned(), font, color, width);
    job.halign = Align::Center;
    painter.layout_job(job)
}

/// An image at `rect` with an accessible name.
pub fn image_at(ui: &Ui, rect: Rect, clip: Rect, texture: egui::TextureId) {
    let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
    ui.painter_at(clip).image(texture, rect, whole, Color32::WHITE);
}

/// A colour table from left to right over `bar`.
pub fn gradient(bar: Rect, table: &[Color32]) -> Mesh {
    const CELLS: u32 = 64;
    let mut mesh = Mesh::default();
    for index in 0..=CELLS {
        let share = index as f32 / CELLS as f32;
        let x = egui::lerp(bar.x_range(), share);
        let color = table[(share * (table.len() - 1) as f32).round() as usize];
        mesh.colored_vertex(pos2(x, bar.top()), color);
        mesh.colored_vertex(pos2(x, bar.bottom()), color);
        if index > 0 {
            let next = index * 2;
            mesh.add_triangle(next - 2, next - 1, next);
            mesh.add_triangle(next - 1, next, next + 1);
        }
    }
    mesh
}
