//! Radially averaged power of the scene and of every lane, over cycles per pixel.

use egui::{Color32, RichText, Role, Sense, Ui, WidgetInfo, vec2};
use egui_plot::{AxisHints, GridMark, HoverPosition, Line, LineStyle, Plot, PlotPoints};
use mdsd3_words::image::SpectrumFrame;

use super::source::{AllShown, Shown};
use crate::panes::plots::{label, quiet_axis, still_plot};
use crate::theme::{self, Theme};
use crate::widgets::{caption, section};

/// Right end of the radial plot in cycles per pixel: a little over the highest frequency, so that its label has room.
const X_END: f64 = 0.52;

/// Draws the plot over the rest of `ui`, between the powers of ten of `range`.
pub(super) fn show(ui: &mut Ui, shown: &AllShown, (low, high): (f32, f32)) {
    let theme = theme::of(ui);
    section(ui, "Radial average");
    ui.horizontal_wrapped(|ui| shown.lines().for_each(|line| legend(ui, &line.name, line.color)));
    let height = (ui.available_height() - 20.0).max(90.0);
    let plot = plot(theme, low, high).width(ui.available_width()).height(height);
    let response = plot.show(ui, |plot| {
        plot.set_plot_bounds_x(0.0..=X_END);
        plot.set_plot_bounds_y(f64::from(low)..=f64::from(high));
        shown.lines().for_each(|line| plot.line(plot_line(line)));
    });
    let names: Vec<&str> = shown.lines().map(|line| line.name.as_str()).collect();
    let label = format!("Radially averaged power of {}", names.join(", "));
    response
        .response
        .widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
    caption(ui, "log10 power over cycles per pixel");
}

fn plot_line(line: &Shown) -> Line<'static> {
    let style = if line.dashed {
        LineStyle::dashed_dense()
    } else {
        LineStyle::Solid
    };
    Line::new(line.name.clone(), points(&line.spectrum))
        .color(line.color)
        .style(style)
        .width(1.8)
}

/// A plot that stays where it is: both axes are fixed, so that steps can be compared by eye.
fn plot(theme: &Theme, low: f32, high: f32) -> Plot<'static> {
    let axis = |hints| quiet_axis(theme, hints);
    let x_axis = axis(AxisHints::new_x());
    // The lowest label would lie on the first one of the other axis.
    let lowest = f64::from(low) + 0.01;
    let y_label = move |mark: GridMark| {
        if mark.value > lowest {
            label(mark.value, mark.step_size)
        } else {
            String::new()
        }
    };
    let y_axis = axis(AxisHints::new_y())
        .formatter(move |mark, _| y_label(mark))
        .min_thickness(24.0);
    still_plot("radial average", theme, [x_axis, y_axis])
        .default_x_bounds(0.0, X_END)
        .default_y_bounds(f64::from(low), f64::from(high))
        .label_formatter(hover_label)
}

/// A line's name after a sample of it.
pub(super) fn legend(ui: &mut Ui, name: &str, color: Color32) {
    let (rect, _) = ui.allocate_exact_size(vec2(14.0, 10.0), Sense::hover());
    ui.painter()
        .hline(rect.x_range(), rect.center().y, egui::Stroke::new(2.5, color));
    ui.label(RichText::new(name).small().color(theme::of(ui).text));
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
