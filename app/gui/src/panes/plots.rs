//! What all plots share: quiet axes, a grid with room for its labels, and ranges that stay where they are.

use egui::Rangef;
use egui_plot::{AxisHints, GridInput, Plot, uniform_grid_spacer};

use crate::theme::{self, Theme};

/// The least distance of grid lines, and so of labels, along each axis in points.
const LEAST_SPACING: [f32; 2] = [44.0, 20.0];

/// Distance in points at which a grid line begins to show, which [`GridInput::base_step_size`] spans.
const BASE_SPACING: f32 = 8.0;

/// Distance in points from which it shows in full.
const FULL_SPACING: f32 = 300.0;

/// An axis whose labels stay behind the lines.
pub(super) fn quiet_axis(theme: &Theme, hints: AxisHints<'static>) -> AxisHints<'static> {
    hints
        .tick_label_color(theme.text_weak)
        .tick_label_font(theme::small_number_font())
        // The grid is wide enough for all of its labels.
        .label_spacing(Rangef::new(BASE_SPACING, BASE_SPACING + 1.0))
        .formatter(|mark, _| label(mark.value, mark.step_size))
}

/// A grid line's value with the digits that the grid's step needs.
pub(super) fn label(value: f64, step: f64) -> String {
    let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
    // Adding 0 turns -0 into 0.
    format!("{:.decimals$}", value + 0.0).replace('-', "−")
}

/// Steps of 1, 2 or 5 times a power of ten, not closer than `spacing` points.
fn steps(input: GridInput, spacing: f32) -> [f64; 3] {
    let least = input.base_step_size * f64::from(spacing / BASE_SPACING);
    let decade = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0]
        .map(|times| times * decade)
        .into_iter()
        .find(|step| *step >= least)
        .unwrap_or(10.0 * decade);
    // All lines alike, so that all labels have as many digits.
    [step; 3]
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
        .grid_spacing(Rangef::new(BASE_SPACING, FULL_SPACING))
        .x_grid_spacer(uniform_grid_spacer(|input| steps(input, LEAST_SPACING[0])))
        .y_grid_spacer(uniform_grid_spacer(|input| steps(input, LEAST_SPACING[1])))
        .custom_x_axes(vec![x_axis])
        .custom_y_axes(vec![y_axis])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grid_lines_are_round_and_have_room_for_labels() {
        let step = |base_step_size| {
            let bounds = (0.0, 1.0);
            steps(GridInput { bounds, base_step_size }, 40.0)[0]
        };
        for (base_step_size, expected) in [(0.025, 0.2), (3.0, 20.0), (12.0, 100.0), (0.2, 1.0), (0.1, 0.5)] {
            assert!(
                (step(base_step_size) - expected).abs() < 1e-9,
                "{}",
                step(base_step_size)
            );
        }
        for (value, step_size, expected) in [
            (0.5, 0.5, "0.5"),
            (-0.02, 0.01, "−0.02"),
            (40.0, 20.0, "40"),
            (3.0, 1.0, "3"),
        ] {
            assert_eq!(label(value, step_size), expected);
        }
    }
}
