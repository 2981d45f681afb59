//! Radially averaged power of the scene and of the chosen step, over cycles per pixel.

use egui::{Align, Color32, Layout, RichText, Role, Sense, Ui, WidgetInfo, vec2};
use egui_plot::{AxisHints, GridMark, HoverPosition, Line, Plot, PlotPoints};
use mdsd3_engine::protocol::SpectrumFrame;

use crate::theme::{self, Theme};
use crate::widgets::{caption, section};

/// Right end of the radial plot in cycles per pixel: a little over the highest frequency, so that its label has room.
const X_END: f64 = 0.52;

/// Draws the plot over the rest of `ui`, between the powers of ten of `range`.
pub fn show(
    ui: &mut Ui,
    scene: &SpectrumFrame,
    step: Option<&SpectrumFrame>,
    step_name: &str,
    (low, high): (f32, f32),
) {
    let theme = theme::of(ui);
    heading(ui, step.map(|_| step_name));
    let height = (ui.available_height() - 20.0).max(90.0);
    let plot = plot(theme, low, high).width(ui.available_width()).height(height);
    let scene_line = Line::new("scene", points(scene)).color(theme.scene_line).width(1.5);
    let line_of = |step| {
        Line::new(step_name.to_owned(), points(step))
            .color(theme.accent_line)
            .width(2.0)
    };
    let step_line = step.map(line_of);
    let shown = plot.show(ui, |plot| {
        plot.set_plot_bounds_x(0.0..=X_END);
        plot.set_plot_bounds_y(f64::from(low)..=f64::from(high));
        plot.line(scene_line);
        if let Some(line) = step_line {
            plot.line(line);
        }
    });
    let info = || WidgetInfo::labeled(Role::Image, true, "Radially averaged power");
    shown.response.widget_info(info);
    caption(ui, "log10 power over cycles per pixel");
}

fn heading(ui: &mut Ui, step_name: Option<&str>) {
    let theme = theme::of(ui);
    ui.horizontal(|ui| {
        section(ui, "Radial average");
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if let Some(name) = step_name {
                legend(ui, name, theme.accent_line);
            }
            legend(ui, "scene", theme.scene_line);
        });
    });
}

/// A plot that stays where it is: both axes are fixed, so that steps can be compared by eye.
fn plot(theme: &Theme, low: f32, high: f32) -> Plot<'static> {
    let axis = |hints: AxisHints<'static>| {
        hints
            .tick_label_color(theme.text_weak)
            .tick_label_font(theme::small_number_font())
    };
    let x_axis = axis(AxisHints::new_x()).formatter(|mark, _| number(mark, 1));
    // The lowest label would lie on the first one of the other axis.
    let lowest = f64::from(low) + 0.01;
    let y_label = move |mark: GridMark| {
        if mark.value > lowest {
            number(mark, 0)
        } else {
            String::new()
        }
    };
    let y_axis = axis(AxisHints::new_y())
        .formatter(move |mark, _| y_label(mark))
        .min_thickness(24.0);
    Plot::new("radial average")
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
        .default_x_bounds(0.0, X_END)
        .default_y_bounds(f64::from(low), f64::from(high))
        .label_formatter(hover_label)
}

fn legend(ui: &mut Ui, name: &str, color: Color32) {
    ui.label(RichText::new(name).small().color(theme::of(ui).text));
    let (rect, _) = ui.allocate_exact_size(vec2(14.0, 10.0), Sense::hover());
    ui.painter()
        .hline(rect.x_range(), rect.center().y, egui::Stroke::new(2.5, color));
}

fn number(mark: GridMark, decimals: usize) -> String {
    // A grid finer than the digits shown would repeat labels.
    let scale = 10_f64.powi(decimals as i32);
    let rounded = (mark.value * scale).round() / scale;
    if (rounded - mark.value).abs() > 1e-6 {
        String::new()
    } else {
        format!("{rounded:.decimals$}").replace('-', "−")
    }
}

fn hover_label(position: &HoverPosition<'_>) -> Option<String> {
    match position {
        HoverPosition::NearDataPoint {
            plot_name, position, ..
        } if !plot_name.is_empty() => Some(format!(
            "{plot_name}\n{:.3} cycles/px\nlog10 power {:.2}",
            position.x, position.y
        )),
        _ => None,
    }
}

fn points(spectrum: &SpectrumFrame) -> PlotPoints<'static> {
    // The mean itself (radius 0) is brightness, not texture, and would flatten the rest of the curve.
    let textured = spectrum
        .radial
        .iter()
        .filter(|(radius, power)| *radius > 0.0 && *power > 0.0);
    textured
        .map(|&(radius, power)| [f64::from(radius), f64::from(power.log10())])
        .collect()
}
