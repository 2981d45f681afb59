//! The Training pane: a recipe's run with its losses, validation and newest samples.

use egui::{Button, Color32, ProgressBar, Rect, RichText, Role, ScrollArea, Sense, Ui, WidgetInfo, vec2};
use egui_plot::{AxisHints, Line, Plot, PlotPoints};
use mdsd3_engine::training::{BINS, TrainingRequest, bin_name};

use super::plots::{quiet_axis, still_plot};
use crate::dialogs::Purpose;
use crate::icons::Icon;
use crate::pane_id::{self, PaneId};
use crate::panes::context::{Pane, PaneContext};
use crate::state::State;
use crate::state::training::{Phase, Training};
use crate::theme::{self, Theme, space};
use crate::widgets::{caption, empty_state, icon_button, image_at, row_label, section_with, text_button, text_field};

/// Widths that a curve's plot may have, in points.
const PLOT_WIDTHS: std::ops::RangeInclusive<f32> = 190.0..=360.0;
/// Least height of the plots, in points.
const PLOT_HEIGHT: f32 = 70.0;
/// Height of a plot's title, in points.
const PLOT_WORDS: f32 = 28.0;
/// Width of the buttons that start, pause and stop, in points.
const BUTTON: f32 = 72.0;

/// A training run.
pub const PANE: PaneId = pane_id::TRAINING;

pub(super) struct TrainingPane;

impl Pane for TrainingPane {
    fn title(&self, _state: &State) -> String {
        "Training".to_owned()
    }

    fn show(&self, ui: &mut Ui, studio: &mut PaneContext<'_>) {
        show(ui, studio);
    }
}

fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    controls(ui, studio);
    status(ui, studio);
    let training = &studio.state.training;
    if training.is_untouched() {
        nothing_yet(ui);
    }
    if !training.has_curves() {
        return;
    }
    let has_numbers = !training.steps.is_empty();
    ScrollArea::both().auto_shrink([false, false]).show(ui, |ui| {
        // Less a little, or rounding would bring up scroll bars.
        let room = ui.available_size() - vec2(8.0, 2.0);
        let height = (room.y - PLOT_WORDS).max(PLOT_HEIGHT);
        let aspect = training_strip_aspect(&studio.state.training);
        let strip_width = aspect.map_or(0.0, |aspect| height * aspect + space::PANE);
        let plots = if has_numbers { 3.0 } else { 1.0 };
        let width = (room.x - strip_width) / plots - space::PANE;
        let width = width.clamp(*PLOT_WIDTHS.start(), *PLOT_WIDTHS.end());
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::PANE;
            losses(ui, studio, vec2(width, height));
            if has_numbers {
                timesteps(ui, studio, vec2(width, height));
                validation(ui, studio, vec2(width, height));
            }
            strip(ui, studio, height);
        });
    });
}

fn nothing_yet(ui: &mut Ui) {
    let hint = "A recipe is a TOML file that names images and rates, and a checkpoint where an adapter is trained. The run \
                goes on beside your mixes; started again, it resumes. See docs/training.md.";
    let color = theme::of(ui).text_weak;
    let rect = ui.available_rect_before_wrap();
    empty_state(ui, rect, Icon::PLAY, "No training yet", hint, color);
}

fn controls(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let mut request = None;
    ui.horizontal(|ui| {
        row_label(ui, "Recipe", 48.0);
        let room = space::ROW + 3.0 * BUTTON + 4.0 * ui.spacing().item_spacing.x;
        let entered = recipe(ui, &mut studio.state.training, (ui.available_width() - room).max(80.0));
        let training = &mut studio.state.training;
        let is_idle = training.phase == Phase::Idle;
        let browse = ui.add_enabled_ui(is_idle, |ui| icon_button(ui, Icon::FILE, "Choose a recipe"));
        if browse.inner.clicked() {
            studio.looking.ask_for = Some(Purpose::Recipe);
        }
        request = buttons(ui, training, entered);
    });
    if let Some(request) = request {
        studio.state.train(request);
    }
}

/// The field for the recipe's path; true when Enter was pressed in it.
fn recipe(ui: &mut Ui, training: &mut Training, width: f32) -> bool {
    let is_idle = training.phase == Phase::Idle;
    let response = ui.add_enabled_ui(is_idle, |ui| {
        let recipe = &mut training.recipe;
        text_field(ui, "Training recipe", width, recipe, "~/recipes/adapter.toml")
    });
    response.inner.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter))
}

fn buttons(ui: &mut Ui, training: &mut Training, entered: bool) -> Option<TrainingRequest> {
    let theme = theme::of(ui);
    let mut button = |label: &str, enabled: bool, is_main: bool| {
        let button = if is_main && enabled {
            Button::new(RichText::new(label).color(theme.on_accent)).fill(theme.accent)
        } else {
            Button::new(label)
        };
        let response = ui.add_enabled(enabled, button.min_size(vec2(BUTTON, space::ROW)));
        response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled, format!("{label} training")));
        response.clicked()
    };
    let (can_start, is_paused) = (training.can_start(), training.phase == Phase::Paused);
    let can_pause = is_paused || training.phase == Phase::Running;
    if button("Start", can_start, true) || (entered && can_start) {
        return training.start();
    }
    if button(if is_paused { "Resume" } else { "Pause" }, can_pause, false) {
        return training.pause_or_resume();
    }
    if button("Stop", can_pause, false) {
        return training.stop();
    }
    None
}

/// Where the run is, or how the last one ended.
fn status(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let (theme, training) = (theme::of(ui), &studio.state.training);
    if let Some(share) = training.share() {
        let bar = ProgressBar::new(share)
            .desired_height(5.0)
            .fill(theme.accent)
            .corner_radius(2.0);
        let name = "Training progress";
        ui.add(bar)
            .widget_info(|| WidgetInfo::slider(true, f64::from(share), name));
    }
    if let Some(failure) = &training.failure {
        let text = RichText::new(failure).color(theme.error);
        ui.add(egui::Label::new(text).wrap().selectable(true));
        if let Ok(folder) = std::env::current_dir() {
            caption(ui, format!("Paths in a recipe count from {}.", folder.display()));
        }
    }
    let text = training.status();
    if text.is_empty() {
        return;
    }
    let mut to_load = None;
    ui.horizontal(|ui| {
        caption(ui, text);
        let Some((path, key)) = training.result.as_ref().filter(|_| training.phase == Phase::Idle) else {
            return;
        };
        if text_button(ui, "Load", "Load what was trained, to mix with it").clicked() {
            to_load = Some(key.clone());
        }
        if text_button(ui, "Copy path", "Copy the path of what was trained").clicked() {
            ui.ctx().copy_text(path.display().to_string());
        }
    });
    if let Some(key) = to_load {
        studio.state.load_as_drafted(&key);
    }
}

fn training_strip_aspect(training: &Training) -> Option<f32> {
    let (_, image) = training.strip.as_ref()?;
    Some(image.width as f32 / image.height.max(1) as f32)
}

/// The losses of every step or, of runs that don't tell them, those of the part that is being computed.
fn losses(ui: &mut Ui, studio: &PaneContext<'_>, size: egui::Vec2) {
    let (theme, training) = (theme::of(ui), &studio.state.training);
    let Some(newest) = training.steps.last() else {
        let points: PlotPoints<'static> = training.part_losses.iter().map(|(s, loss)| point(*s, *loss)).collect();
        let line = Line::new("loss", points).color(theme.accent_line);
        let newest = training.part_losses.last();
        let note = newest.map_or(String::new(), |(step, loss)| format!("{loss:.4}, step {step}"));
        return curve(ui, ("Training loss", &note), &[], vec![line], size);
    };
    let of = |value: fn(&mdsd3_engine::training::StepNumbers) -> Option<f32>| -> PlotPoints<'static> {
        let steps = training.steps.iter();
        steps.filter_map(|n| Some(point(n.step, value(n)?))).collect()
    };
    let lines = vec![
        Line::new("total", of(|n| Some(n.loss))).color(theme.accent_line),
        Line::new("flow", of(|n| Some(n.flow))).color(theme.scene_line),
    ];
    let note = format!("{:.4}, step {}", newest.loss, newest.step);
    let legend = [
        ("total".to_owned(), theme.accent_line),
        ("flow".to_owned(), theme.scene_line),
    ];
    curve(ui, ("Training loss", &note), &legend, lines, size);
}

/// One line per fifth of the timesteps, from grey for little noise to blue for much.
fn timesteps(ui: &mut Ui, studio: &PaneContext<'_>, size: egui::Vec2) {
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
    let legend = [
        ("t near 0".to_owned(), shade(theme, 0, BINS)),
        ("near 1".to_owned(), shade(theme, BINS - 1, BINS)),
    ];
    curve(ui, ("Loss by timestep", ""), &legend, lines, size);
}

fn validation(ui: &mut Ui, studio: &PaneContext<'_>, size: egui::Vec2) {
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
            format!("best {:.4}, step {}", v.mean, v.step)
        });
    let mut legend = vec![("mean".to_owned(), theme.text_strong)];
    if let Some(((lowest, ..), (highest, ..))) = validations.first().and_then(|v| v.levels.first().zip(v.levels.last()))
    {
        legend.push((format!("σ {lowest}"), shade(theme, 0, levels)));
        legend.push((format!("{highest}"), shade(theme, levels - 1, levels)));
    }
    curve(ui, ("Validation", &best), &legend, lines, size);
}

/// A plot under its title, a note, and what its colours mean.
fn curve(
    ui: &mut Ui,
    (title, note): (&str, &str),
    legend: &[(String, Color32)],
    lines: Vec<Line<'static>>,
    size: egui::Vec2,
) {
    let theme = theme::of(ui);
    ui.vertical(|ui| {
        ui.set_width(size.x);
        section_with(ui, title, |ui| {
            ui.spacing_mut().item_spacing.x = space::TIGHT;
            // Filled from the right.
            for (name, color) in legend.iter().rev() {
                ui.label(RichText::new(name).small().color(*color));
            }
            quiet_note(ui, note);
        });
        let shown = plot(theme, title).width(size.x).height(size.y).show(ui, |plot| {
            for line in lines {
                plot.line(line);
            }
        });
        shown
            .response
            .widget_info(|| WidgetInfo::labeled(Role::Image, true, title));
    });
}

/// A note beside a title, on one line.
fn quiet_note(ui: &mut Ui, note: &str) {
    let text = RichText::new(note).small().color(theme::of(ui).text_weak);
    ui.add(egui::Label::new(text).truncate());
}

fn plot(theme: &Theme, title: &str) -> Plot<'static> {
    let axes = [AxisHints::new_x(), AxisHints::new_y()].map(|hints| quiet_axis(theme, hints));
    still_plot(title, theme, axes).include_y(0.0)
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
        ui.set_width(height * training_strip_aspect(&studio.state.training).unwrap_or(1.0));
        section_with(ui, "Samples", |ui| quiet_note(ui, &format!("step {step}")));
        let (slot, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
        let rect = Rect::from_min_size(slot.min, slot.size());
        ui.painter().rect_filled(rect, 0.0, canvas(ui));
        image_at(ui, rect, rect, texture);
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "Training samples"));
        response.on_hover_text("From left to right scene, target and sample");
    });
}

fn canvas(ui: &Ui) -> Color32 {
    theme::of(ui).canvas
}
