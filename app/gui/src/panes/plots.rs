//! What all plots share: quiet axes, and ranges that stay where they are.

use egui_plot::{AxisHints, Plot};

use crate::theme::{self, Theme};

/// An axis whose labels stay behind the lines.
pub(super) fn quiet_axis(theme: &Theme, hints: AxisHints<'static>) -> AxisHints<'static> {
    hints
        .tick_label_color(theme.text_weak)
        .tick_label_font(theme::small_number_font())
}

/// A plot that always shows its whole range: nothing drags or zooms it.
pub(super) fn still_plot(
    id: impl Into<String>,
    theme: &Theme,
    [x_axis, y_axis]: [AxisHints<'static>; 2],
) -> Plot<'static> {
    Plot::new(id.into())
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .show_background(false)
        .grid_color(theme.line)
        .custom_x_axes(vec![x_axis])
        .custom_y_axes(vec![y_axis])
}
