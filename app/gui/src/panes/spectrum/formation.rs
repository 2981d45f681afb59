//! Band energy over the noise level for each class of the mix, with the measured "formed at" marks.

use egui::{Color32, DragValue, ProgressBar, Role, ScrollArea, Ui, WidgetInfo};
use egui_plot::{AxisHints, FilledArea, HLine, HoverPosition, Line, LineStyle, Plot, PlotPoints, PlotUi, Points};
use mdsd3_engine::data::{BandFormation, Formation, Interval, LaneFormation};

use super::look::BandChoice;
use super::radial::legend;
use crate::icons::Icon;
use crate::panes::context::PaneContext;
use crate::panes::plots::{label, quiet_axis, still_plot};
use crate::run::duration_text;
use crate::state::State;
use crate::theme::{self, Theme, space};
use crate::widgets::{caption, drop_down, empty_state, text_button};

/// Top of the plot: shares can overshoot their final value.
const TOP_SHARE: f64 = 1.4;

/// End of the axis of sigma: a little behind 0, whose grid line would be left out otherwise.
const END: f64 = 0.01;

/// Height of the plot, in points.
const PLOT_HEIGHT: f32 = 240.0;

/// Draws the view.
pub(super) fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    measuring(ui, studio);
    ui.add_space(space::ITEM);
    let Some((_, formation)) = studio.state.formation.result.clone() else {
        let rect = ui.available_rect_before_wrap();
        let color = theme::of(ui).text_weak;
        let (title, hint) = if studio.state.formation.active.is_some() {
            (
                "Measuring",
                "Every class alone and all together run on the same noise. The curves appear when the last seed is done.",
            )
        } else {
            (
                "Not measured yet",
                "Measure when each class of the mix forms: every class alone and all together run on the same noise over several seeds.",
            )
        };
        empty_state(ui, rect, Icon::PICTURE, title, hint, color);
        return;
    };
    if studio.state.formation_is_stale() {
        caption(ui, "The settings have changed since this was measured");
    }
    let band = &mut studio.looking.spectrum.band;
    band_choice(ui, band, &formation);
    let (band, state) = (*band, &*studio.state);
    let lanes = shown_lanes(&formation, band);
    ui.horizontal_wrapped(|ui| {
        for lane in &lanes {
            legend(ui, &lane.name, lane_color(theme::of(ui), state, &lane.name));
        }
    });
    plot(ui, state, &formation, &lanes, band);
    caption(
        ui,
        "Share of the final band energy over the noise level sigma; time runs to the right",
    );
    ui.add_space(space::ITEM);
    ScrollArea::vertical().auto_shrink([false, true]).show(ui, |ui| {
        for lane in &lanes {
            ui.label(formed_text(lane, band, formation.seeds));
        }
        ui.add_space(space::TIGHT);
        for finding in &formation.findings {
            caption(ui, finding.clone());
        }
    });
}

/// Lanes whose band has energy: what a mix does beyond its parts may be nothing.
fn shown_lanes(formation: &Formation, band: BandChoice) -> Vec<&LaneFormation> {
    let has_energy = |lane: &&LaneFormation| {
        let shares = band.of(lane).map(|band| &band.shares);
        shares.is_some_and(|shares| shares.iter().any(Option::is_some))
    };
    formation.lanes.iter().filter(has_energy).collect()
}

/// Number of seeds and the button, or the progress of the measurement that goes on.
fn measuring(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    if let Some(active) = studio.state.formation.active.clone() {
        ui.horizontal(|ui| {
            ui.add_enabled_ui(!active.stopping, |ui| {
                if text_button(ui, "Stop", "Stop measuring").clicked() {
                    studio.state.stop_formation();
                }
            });
            let left = active.remaining_secs(studio.state.now_secs());
            let text = match left {
                _ if active.stopping => "Stopping after this step".to_owned(),
                Some(secs) => format!("{}/{} steps · {} left", active.done, active.total, duration_text(secs)),
                None => "Preparing the scene".to_owned(),
            };
            let bar = ProgressBar::new(active.progress()).text(text.clone());
            let response = ui.add(bar);
            response.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, &text));
        });
        return;
    }
    let blocker = studio.state.formation_blocker();
    ui.horizontal(|ui| {
        let help = "Runs every class alone and all together, over several seeds";
        let button = ui.add_enabled(blocker.is_none(), egui::Button::new("Measure formation"));
        let response = button
            .on_hover_text(help)
            .on_disabled_hover_text(blocker.unwrap_or_default());
        if response.clicked() {
            studio.state.measure_formation();
        }
        let value = DragValue::new(&mut studio.state.formation.seeds)
            .range(2..=64)
            .speed(0.1);
        let field = ui.add(value);
        let label = ui.label("seeds");
        field
            .labelled_by(label.id)
            .on_hover_text("More seeds take longer and make the intervals narrower");
    });
}

fn band_choice(ui: &mut Ui, band: &mut BandChoice, formation: &Formation) {
    let Some(lane) = formation.lanes.first() else { return };
    let last = lane.bands.len().saturating_sub(1);
    let choice_of = |index: usize| {
        if index == last {
            BandChoice::All
        } else {
            BandChoice::Band(index)
        }
    };
    let name_of = |found: &BandFormation| match found.name.as_str() {
        "all" => "all bands".to_owned(),
        name => name.to_owned(),
    };
    let choices = (0..=last)
        .rev()
        .map(|index| (choice_of(index), name_of(&lane.bands[index]), ""));
    drop_down(ui, "formation band", 160.0, band, choices);
}

/// The class's colour, the accent for a mix, grey for what a mix does beyond the sum of its parts.
fn lane_color(theme: &Theme, state: &State, name: &str) -> Color32 {
    if let Some(class) = state.classes().iter().position(|class| class == name) {
        return theme.class(class);
    }
    if name.starts_with('(') {
        theme.scene_line
    } else {
        theme.accent_line
    }
}

/// Curves from sigma 1 on the left to 0 on the right; sigma is drawn negated, as plots run upwards only.
fn plot(ui: &mut Ui, state: &State, formation: &Formation, lanes: &[&LaneFormation], band: BandChoice) {
    let theme = theme::of(ui);
    let response = frame(theme).width(ui.available_width()).show(ui, |plot| {
        plot.set_plot_bounds_x(-1.0..=END);
        plot.set_plot_bounds_y(0.0..=TOP_SHARE);
        let half = HLine::new("half", 0.5).color(theme.text_weak).width(1.0);
        plot.hline(half.style(LineStyle::dashed_dense()).allow_hover(false));
        for lane in lanes {
            if let Some(found) = band.of(lane) {
                let color = lane_color(theme, state, &lane.name);
                draw(plot, &lane.name, color, &formation.sigmas, found);
            }
        }
    });
    let names: Vec<&str> = lanes.iter().map(|lane| lane.name.as_str()).collect();
    let label = format!("Band energy over sigma for {}", names.join(", "));
    response
        .response
        .widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
}

/// Interval, curve, and the mark where half is there.
fn draw(plot: &mut PlotUi<'_>, name: &str, color: Color32, sigmas: &[f32], band: &BandFormation) {
    let steps: Vec<(f64, Interval)> = sigmas
        .iter()
        .zip(&band.shares)
        .filter_map(|(sigma, share)| Some((-f64::from(*sigma), (*share)?)))
        .collect();
    let column = |of: &dyn Fn(&(f64, Interval)) -> f64| steps.iter().map(of).collect::<Vec<f64>>();
    let (xs, lows, highs) = (
        column(&|step| step.0),
        column(&|step| step.1.low),
        column(&|step| step.1.high),
    );
    plot.add(
        FilledArea::new("", &xs, &lows, &highs)
            .fill_color(color.gamma_multiply(0.15))
            .allow_hover(false),
    );
    let curve: PlotPoints<'_> = steps.iter().map(|(x, share)| [*x, share.mean]).collect();
    plot.line(Line::new(name.to_owned(), curve).color(color).width(2.0));
    if let Some(formed) = band.formed_at_sigma {
        let bar = vec![[-formed.high, 0.5], [-formed.low, 0.5]];
        plot.line(Line::new("", bar).color(color).width(4.0).allow_hover(false));
        let mark = Points::new(format!("{name} formed"), vec![[-formed.mean, 0.5]]);
        plot.points(mark.color(color).radius(5.0).shape(egui_plot::MarkerShape::Diamond));
    }
}

fn frame(theme: &Theme) -> Plot<'static> {
    let axis = |hints| quiet_axis(theme, hints);
    let x_axis = axis(AxisHints::new_x()).formatter(|mark, _| label(-mark.value, mark.step_size));
    // The lowest label would lie on the first one of the other axis.
    let y_axis = axis(AxisHints::new_y())
        .formatter(|mark, _| {
            if mark.value > 0.0 {
                label(mark.value, mark.step_size)
            } else {
                String::new()
            }
        })
        .min_thickness(24.0);
    still_plot("formation", theme, [x_axis, y_axis])
        .height(PLOT_HEIGHT)
        .label_formatter(hover_label)
}

fn hover_label(position: &HoverPosition<'_>) -> Option<String> {
    match position {
        HoverPosition::NearDataPoint {
            plot_name, position, ..
        } if !plot_name.is_empty() => Some(format!(
            "{plot_name}\nsigma {:.2}\n{:.0} % of the final energy",
            -position.x,
            100.0 * position.y
        )),
        _ => None,
    }
}

/// "haze formed at sigma 0.81 [0.78, 0.84], 8 seeds".
fn formed_text(lane: &LaneFormation, band: BandChoice, seeds: u64) -> String {
    let Some((found, formed)) = band.of(lane).and_then(|found| Some((found, found.formed_at_sigma?))) else {
        return format!("{} never reaches half of its final energy for good", lane.name);
    };
    let start = if found.runs_at_start > 0 {
        format!(", there from the first step in {}", found.runs_at_start)
    } else {
        String::new()
    };
    format!(
        "{} formed at sigma {:.2} [{:.2}, {:.2}], {seeds} seeds{start}",
        lane.name, formed.mean, formed.low, formed.high
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(formed: Option<Interval>, at_start: usize) -> LaneFormation {
        LaneFormation {
            name: "haze".to_owned(),
            bands: vec![BandFormation {
                name: "all".to_owned(),
                edges_per_px: (0.0, 0.5),
                final_share: 1.0,
                shares: vec![formed],
                formed_at_sigma: formed,
                runs_at_start: at_start,
            }],
        }
    }

    #[test]
    fn the_sentence_has_sigma_its_interval_and_the_seeds() {
        let formed = Some(Interval {
            mean: 0.81,
            low: 0.78,
            high: 0.84,
        });
        let text = |lane: &LaneFormation| formed_text(lane, BandChoice::All, 8);
        assert_eq!(
            text(&lane(formed, 0)),
            "haze formed at sigma 0.81 [0.78, 0.84], 8 seeds"
        );
        assert!(text(&lane(formed, 3)).ends_with("first step in 3"));
        assert!(text(&lane(None, 0)).contains("never"));
        assert!(BandChoice::Band(4).of(&lane(formed, 0)).is_none());
    }
}
