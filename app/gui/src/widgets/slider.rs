//! Sliders, and what else is moved by dragging and by arrow keys.

use std::ops::RangeInclusive;

use egui::{
    Align2, Color32, Context, DragValue, EventFilter, Id, Key, Modifiers, Rect, Response, Sense, Slider, Stroke, Ui,
    Vec2, WidgetInfo, pos2, vec2,
};

use super::{body_font, focus_ring};
use crate::theme::{self, space};

/// A slider with its label on the left and its number on the right.
pub struct LabelledSlider<'a> {
    /// The label shown.
    pub label: &'a str,
    /// The name for screen readers, such as "rain ratio".
    pub name: &'a str,
    /// Explanation on hover.
    pub help: &'a str,
    /// Accepted values.
    pub range: RangeInclusive<f64>,
    /// Digits after the point.
    pub decimals: usize,
    /// Colour of the filled part; the accent when `None`.
    pub color: Option<Color32>,
    /// A value to mark on the rail, such as 1 for "as trained".
    pub mark: Option<f64>,
    /// Width of the column of labels, in points; [`Self::LABEL_WIDTH`] where all labels fit.
    pub label_width: f32,
}

/// Width of the number column of [`LabelledSlider`], in points.
const NUMBER_WIDTH: f32 = 52.0;

impl LabelledSlider<'_> {
    /// Width of the column of labels, in points.
    pub const LABEL_WIDTH: f32 = 76.0;
    /// Side of the colour before a label with the room behind it, in points.
    const SWATCH: f32 = 17.0;

    /// Width of a column in which all of these labels fit, each behind a colour.
    pub fn width_for(ui: &Ui, labels: &[String]) -> f32 {
        let width_of = |label: &String| {
            let text = ui
                .painter()
                .layout_no_wrap(label.clone(), body_font(ui), Color32::WHITE);
            text.size().x + Self::SWATCH
        };
        labels.iter().map(width_of).fold(Self::LABEL_WIDTH, f32::max).ceil()
    }

    /// Draws it over the available width; true when the user changed the value.
    pub fn show(self, ui: &mut Ui, value: &mut f64) -> bool {
        let theme = theme::of(ui);
        // Controls round to the digits that they show; 0.7 as a 32-bit float is not 0.7, and must not count as a change.
        let scale = 10_f64.powi(self.decimals as i32);
        let before = (*value * scale).round() / scale;
        let mut edited = before;
        self.row(ui, theme, &mut edited);
        let changed = (edited - before).abs() > 0.5 / scale;
        if changed {
            *value = edited;
        }
        changed
    }

    fn row(&self, ui: &mut Ui, theme: &theme::Theme, value: &mut f64) {
        ui.horizontal(|ui| {
            let (label_rect, label) = ui.allocate_exact_size(vec2(self.label_width, space::ROW), Sense::hover());
            let mut text_x = label_rect.left();
            if let Some(color) = self.color {
                let swatch = Rect::from_center_size(pos2(text_x + 5.0, label_rect.center().y), Vec2::splat(10.0));
                ui.painter().rect_filled(swatch, 3.0, color);
                text_x += Self::SWATCH;
            }
            let painter = ui.painter_at(label_rect);
            painter.text(
                pos2(text_x, label_rect.center().y),
                Align2::LEFT_CENTER,
                self.label,
                body_font(ui),
                theme.text,
            );
            label.on_hover_text(self.help);
            self.rail(ui, value);
            self.number(ui, value);
        });
    }

    fn rail(&self, ui: &mut Ui, value: &mut f64) {
        let width = (ui.available_width() - NUMBER_WIDTH - ui.spacing().item_spacing.x).max(40.0);
        let slider = Slider::new(value, self.range.clone())
            .show_value(false)
            .fixed_decimals(self.decimals);
        let response = ui
            .scope(|ui| {
                // egui gives rail and handle one fill; they are drawn below instead, over an invisible slider.
                make_slider_invisible(ui);
                ui.spacing_mut().slider_width = width;
                ui.add(slider)
            })
            .inner;
        let shown = *value;
        response.widget_info(|| WidgetInfo::slider(ui.is_enabled(), shown, self.name));
        needs_arrows_alone(ui, &response);
        // No tooltip here: it would cover the next slider while this one is dragged. The label has it.
        self.paint_rail(ui, &response, shown);
    }

    fn paint_rail(&self, ui: &Ui, slider: &Response, value: f64) {
        let theme = theme::of(ui);
        let track = slider.rect.x_range().shrink(slider.rect.height() / 2.5);
        let x_of = |value: f64| {
            let share = (value - self.range.start()) / (self.range.end() - self.range.start());
            egui::lerp(track.min..=track.max, share as f32)
        };
        let (y, handle_x) = (slider.rect.center().y, x_of(value));
        let rail = Rect::from_x_y_ranges(track.min - 2.0..=track.max + 2.0, y - 2.0..=y + 2.0);
        let painter = ui.painter();
        painter.rect_filled(rail, 2.0, theme.control_active);
        painter.rect_filled(rail.with_max_x(handle_x), 2.0, self.color.unwrap_or(theme.accent_line));
        if let Some(mark) = self.mark {
            painter.vline(x_of(mark), y + 6.0..=y + 10.0, Stroke::new(1.0, theme.text_weak));
        }
        let center = pos2(handle_x, y);
        if slider.has_focus() {
            painter.circle_stroke(center, 9.0, Stroke::new(1.5, theme.accent_line));
        }
        let radius = if slider.hovered() || slider.dragged() { 7.0 } else { 6.0 };
        painter.circle(center, radius, theme.handle, Stroke::new(1.0, theme.handle_edge));
    }

    fn number(&self, ui: &mut Ui, value: &mut f64) {
        let speed = (self.range.end() - self.range.start()) / 300.0;
        let field = DragValue::new(value)
            .range(self.range.clone())
            .speed(speed)
            .fixed_decimals(self.decimals);
        let response = ui.add_sized([NUMBER_WIDTH, space::ROW], field);
        let shown = *value;
        response.widget_info(|| WidgetInfo {
            label: Some(format!("{} value", self.name)),
            ..WidgetInfo::drag_value(ui.is_enabled(), shown)
        });
        focus_ring(ui, &response);
    }
}

/// How often each arrow key was pressed while `response` had the keyboard, to the right and downwards; the presses are used
/// up, and the arrows stay with the control.
pub fn arrow_steps(ui: &Ui, response: &Response) -> Vec2 {
    if response.gained_focus() || response.has_focus() {
        let filter = EventFilter {
            horizontal_arrows: true,
            vertical_arrows: true,
            ..EventFilter::default()
        };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
    }
    if response.clicked() || response.dragged() {
        response.request_focus();
    }
    needs_arrows_alone(ui, response);
    if !response.has_focus() {
        return Vec2::ZERO;
    }
    ui.input_mut(|input| {
        let mut count = |key| input.count_and_consume_key(Modifiers::NONE, key) as f32;
        let (right, left) = (count(Key::ArrowRight), count(Key::ArrowLeft));
        vec2(right - left, count(Key::ArrowDown) - count(Key::ArrowUp))
    })
}

/// Notes a control with the keyboard that does nothing with other keys than arrows, so that Space and letters stay shortcuts.
fn needs_arrows_alone(ui: &Ui, response: &Response) {
    if response.has_focus() {
        ui.data_mut(|data| data.insert_temp(arrows_control(), response.id));
    }
}

/// Whether the control with the keyboard uses arrows alone.
pub fn has_arrows_control(ctx: &Context) -> bool {
    let focused = ctx.memory(egui::Memory::focused);
    focused.is_some() && focused == ctx.data(|data| data.get_temp(arrows_control()))
}

fn arrows_control() -> Id {
    Id::unique("control that uses arrows alone")
}

/// Gives something that is dragged the role of a slider.
pub fn slider_info(ui: &Ui, response: &Response, name: &str, value: f64) {
    response.widget_info(|| WidgetInfo::slider(ui.is_enabled(), value, name));
}

fn make_slider_invisible(ui: &mut Ui) {
    let visuals = ui.visuals_mut();
    visuals.selection.bg_fill = Color32::TRANSPARENT;
    let widgets = &mut visuals.widgets;
    for state in [&mut widgets.inactive, &mut widgets.hovered, &mut widgets.active] {
        state.bg_fill = Color32::TRANSPARENT;
        state.fg_stroke = Stroke::NONE;
    }
}
