//! The Training pane: a recipe's run with its losses, validation and newest samples.

use egui::{Align, Color32, Layout, Rect, RichText, Role, ScrollArea, Sense, TextEdit, Ui, WidgetInfo, vec2};
use egui_plot::{AxisHints, Line, Plot, PlotPoints};
use mdsd3_engine::training::{BINS, bin_name};

use super::PaneContext;
use crate::state::training::Phase;
use crate::theme::{self, Theme, space};
use crate::widgets::{caption, focus_ring, image_at, section, text_button};

/// Width of a curve's plot, in points.
const PLOT_WIDTH: f32 = 320.0;
/// Least height of the plots, in points.
const PLOT_HEIGHT: f32 = 110.0;

/// Draws the pane.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    controls(ui, studio);
    let training = &studio.state.training;
    if training.steps.is_empty() && training.strip.is_none() {
        caption(
            ui,
            "A recipe is a TOML file that names a checkpoint, images and rates; docs/training.md takes you from photos to an adapter. The run goes on beside your mixes, and the same recipe resumes it.",
        );
        return;
    }
    ScrollArea::horizontal().auto_shrink([false, false]).show(ui, |ui| {
        let height = (ui.available_height() - 44.0).max(PLOT_HEIGHT);
        ui.horizontal_top(|ui| {
            losses(ui, studio, height);
            ui.add_space(space::PANE);
            timesteps(ui, studio, height);
            ui.add_space(space::PANE);
            validation(ui, studio, height);
            ui.add_space(space::PANE);
            strip(ui, studio, height + 20.0);
        });
    });
}

fn controls(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let mut request = None;
    let training = &mut studio.state.training;
    ui.horizontal(|ui| {
        let idle = training.phase == Phase::Idle;
        let field = TextEdit::singleline(&mut training.recipe)
            .hint_text("Path of a recipe, such as adapter.toml")
            .desired_width(280.0);
        let response = ui.add_enabled(idle, field);
        response.widget_info(|| WidgetInfo {
            label: Some("Training recipe".to_owned()),
            ..WidgetInfo::text_edit(idle, "", &training.recipe, "")
        });
        focus_ring(ui, &response);
        let entered = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let can_start = training.can_start();
        if ui.add_enabled(can_start, egui::Button::new("Start training")).clicked() || (entered && can_start) {
            request = training.start();
        }
        let label = if training.phase == Phase::Paused {
            "Resume training"
        } else {
            "Pause training"
        };
        let can_pause = matches!(training.phase, Phase::Running | Phase::Paused);
        if ui.add_enabled(can_pause, egui::Button::new(label)).clicked() {
            request = training.pause_or_resume();
        }
        if ui.add_enabled(can_pause, egui::Button::new("Stop training")).clicked() {
            request = training.stop();
        }
        let status = RichText::new(training.status()).color(theme::of(ui).text_weak);
        ui.label(status);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if let Some(path) = &training.result
                && text_button(ui, "Copy path", "Copy the path of what was trained").clicked()
            {
                ui.ctx().copy_text(path.display().to_string());
            }
        });
    });
    if let Some(request) = request {
        studio.state.train(request);
    }
}

fn losses(ui: &mut Ui, studio: &PaneContext<'_>, height: f32) {
    let (theme, steps) = (theme::of(ui), &studio.state.training.steps);
    let of = |value: fn(&mdsd3_engine::training::StepNumbers) -> Option<f32>| -> PlotPoints<'static> {
        steps.iter().filter_map(|n| Some(point(n.step, value(n)?))).collect()
    };
    let lines = vec![
        Line::new("total", of(|n| Some(n.loss))).color(theme.accent_line),
        Line::new("flow", of(|n| Some(n.flow))).color(theme.scene_line),
    ];
    let newest = steps
        .last()
        .map_or(String::new(), |n| format!("{:.4} at step {}", n.loss, n.step));
    curve(ui, "Training loss", &newest, lines, height);
}

fn timesteps(ui: &mut Ui, studio: &PaneContext<'_>, height: f32) {
    let (theme, steps) = (theme::of(ui), &studio.state.training.steps);
    let lines = (0..BINS)
        .map(|bin| {
            let points: PlotPoints<'static> = steps
                .iter()
                .filter_map(|n| Some(point(n.step, (*n.bins.get(bin)?)?)))
                .collect();
            Line::new(format!("t {}", bin_name(bin).replace('_', " to ")), points).color(shade(theme, bin, BINS))
        })
        .collect();
    curve(
        ui,
        "Loss by timestep",
        "fifths of 0 to 1000, from grey for little noise to blue for much",
        lines,
        height,
    );
}

fn validation(ui: &mut Ui, studio: &PaneContext<'_>, height: f32) {
    let (theme, validations) = (theme::of(ui), &studio.state.training.validations);
    let levels = validations.first().map_or(0, |v| v.levels.len());
    let mut lines: Vec<Line<'static>> = (0..levels)
        .map(|level| {
            let points: PlotPoints<'static> = validations
                .iter()
                .filter_map(|v| Some(point(v.step, v.levels.get(level)?.1)))
                .collect();
            let sigma = validations[0].levels[level].0;
            Line::new(format!("sigma {sigma}"), points).color(shade(theme, level, levels))
        })
        .collect();
    let mean: PlotPoints<'static> = validations.iter().map(|v| point(v.step, v.mean)).collect();
    lines.push(Line::new("mean", mean).color(theme.text_strong).width(2.0));
    let best = validations
        .iter()
        .rev()
        .find(|v| v.is_best)
        .map_or("none yet".to_owned(), |v| {
            format!("best {:.4} at step {}", v.mean, v.step)
        });
    curve(ui, "Validation", &best, lines, height);
}

fn curve(ui: &mut Ui, title: &str, note: &str, lines: Vec<Line<'static>>, height: f32) {
    let theme = theme::of(ui);
    ui.vertical(|ui| {
        ui.set_width(PLOT_WIDTH);
        section(ui, title);
        let shown = plot(theme, title).width(PLOT_WIDTH).height(height).show(ui, |plot| {
            for line in lines {
                plot.line(line);
            }
        });
        shown
            .response
            .widget_info(|| WidgetInfo::labeled(Role::Image, true, title));
        caption(ui, note);
    });
}

fn plot(theme: &Theme, title: &str) -> Plot<'static> {
    let axis = |hints: AxisHints<'static>| {
        hints
            .tick_label_color(theme.text_weak)
            .tick_label_font(theme::small_number_font())
    };
    Plot::new(title.to_owned())
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .show_background(false)
        .grid_color(theme.line)
        .include_y(0.0)
        .custom_x_axes(vec![axis(AxisHints::new_x())])
        .custom_y_axes(vec![axis(AxisHints::new_y())])
}

/// Grey for the lowest of `count` noise levels, the accent for the highest.
fn shade(theme: &Theme, index: usize, count: usize) -> Color32 {
    let share = index as f32 / count.saturating_sub(1).max(1) as f32;
    theme.scene_line.lerp_to_gamma(theme.accent_line, share)
}

fn point(step: usize, value: f32) -> [f64; 2] {
    [step as f64, f64::from(value)]
}

fn strip(ui: &mut Ui, studio: &mut PaneContext<'_>, height: f32) {
    let Some((step, image)) = &studio.state.training.strip else {
        return;
    };
    let texture = studio.textures.full(ui.ctx(), image, false);
    ui.vertical(|ui| {
        section(ui, "Samples");
        let aspect = image.width as f32 / image.height.max(1) as f32;
        let (slot, response) = ui.allocate_exact_size(vec2(height * aspect, height), Sense::hover());
        let rect = Rect::from_min_size(slot.min, slot.size());
        ui.painter().rect_filled(rect, 0.0, canvas(ui));
        image_at(ui, rect, rect, texture);
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "Training samples"));
        caption(ui, format!("scene, target and sample at step {step}"));
    });
}

fn canvas(ui: &Ui) -> Color32 {
    theme::of(ui).canvas
}
