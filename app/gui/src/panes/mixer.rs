//! The Mixer: how much of each class, what the noise starts from, and how it is sampled.

use egui::{ComboBox, DragValue, RichText, ScrollArea, Ui, WidgetInfo};
use mdsd3_engine::MAX_RATIO;
use mdsd3_engine::request::Regime;

use super::PaneContext;
use crate::commands::Command;
use crate::icons::Icon;
use crate::run::duration_text;
use crate::theme::{self, space};
use crate::widgets::{LabelledSlider, caption, icon_button, section, section_with, text_button};

/// Sides offered, in pixels; those that the model can't take are left out.
const SIZES_PX: [u32; 6] = [128, 192, 256, 384, 512, 768];

/// Draws the pane.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        degradations(ui, studio);
        ui.add_space(space::SECTION);
        initial_noise(ui, studio);
        ui.add_space(space::SECTION);
        sampling(ui, studio);
    });
}

fn degradations(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let any_on = !studio.state.settings.mix.is_clean();
    let clear = section_with(ui, "Degradations", |ui| {
        ui.add_enabled_ui(any_on, |ui| text_button(ui, "All off", Command::ClearMix.label()))
            .inner
            .clicked()
    });
    if clear {
        studio.commands.push(Command::ClearMix);
    }
    let classes = studio.state.classes().to_vec();
    if classes.is_empty() {
        let loading = studio.state.is_loading_model();
        caption(
            ui,
            if loading {
                "The classes appear when the model is loaded."
            } else {
                "No model is loaded; see the log."
            },
        );
        return;
    }
    let color_of = |ui: &Ui, index: usize| theme::of(ui).class(index);
    for (index, class) in classes.iter().enumerate() {
        let mut ratio = f64::from(studio.state.settings.mix.ratio(class));
        let slider = LabelledSlider {
            label: class,
            name: &format!("{class} ratio"),
            help: "0 is off, 1 (the mark) is the strength of the training data",
            range: 0.0..=f64::from(MAX_RATIO),
            decimals: 2,
            color: Some(color_of(ui, index)),
            mark: Some(1.0),
        };
        if slider.show(ui, &mut ratio) {
            studio.state.set_ratio(class, ratio as f32);
            studio.state.settings_changed();
        }
    }
    caption(ui, "0 is off; the mark at 1 is as strong as in training.");
}

fn initial_noise(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    section(ui, "Initial noise");
    let settings = &mut studio.state.settings;
    let (mut alpha, mut beta) = (f64::from(settings.alpha), f64::from(settings.beta));
    let mut changed = LabelledSlider {
        label: "α noise",
        name: "alpha",
        help: "Weight of the noise in the initial latents",
        range: 0.0..=1.5,
        decimals: 2,
        color: None,
        mark: Some(1.0),
    }
    .show(ui, &mut alpha);
    changed |= LabelledSlider {
        label: "β scene",
        name: "beta",
        help: "Weight of the scene in the initial latents; above 0 the result keeps the scene's colours",
        range: 0.0..=1.5,
        decimals: 2,
        color: None,
        mark: None,
    }
    .show(ui, &mut beta);
    (settings.alpha, settings.beta) = (alpha as f32, beta as f32);
    if changed {
        studio.state.settings_changed();
    }
    regime(ui, alpha as f32, beta as f32);
}

fn regime(ui: &mut Ui, alpha: f32, beta: f32) {
    let theme = theme::of(ui);
    let regime = Regime::of(alpha, beta);
    egui::Frame::new()
        .fill(theme.raised)
        .corner_radius(space::CORNER)
        .inner_margin(8.0)
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = 2.0;
            let condition = regime.name().replace("alpha", "α").replace("beta", "β");
            ui.horizontal(|ui| {
                ui.label(RichText::new(condition).color(theme.text_strong));
                let sum = RichText::new(format!("sum {:.2}", alpha + beta))
                    .font(theme::small_number_font())
                    .color(theme.text_weak);
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| ui.label(sum));
            });
            caption(ui, sentence(regime.explanation()));
        });
}

/// The text with a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        format!("{}{}.", first.to_uppercase(), letters.as_str())
    })
}

fn sampling(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    section(ui, "Sampling");
    let settings = &mut studio.state.settings;
    let (mut steps, mut guidance) = (settings.steps as f64, f64::from(settings.guidance));
    let mut changed = LabelledSlider {
        label: "Steps",
        name: "steps",
        help: "Denoising steps; more are slower and finer",
        range: 1.0..=100.0,
        decimals: 0,
        color: None,
        mark: None,
    }
    .show(ui, &mut steps);
    changed |= LabelledSlider {
        label: "Guidance",
        name: "guidance",
        help: "How far the mix is pushed away from the clean branch; 1 is not at all",
        range: 0.0..=8.0,
        decimals: 1,
        color: None,
        mark: Some(1.0),
    }
    .show(ui, &mut guidance);
    (settings.steps, settings.guidance) = (steps.round().max(1.0) as usize, guidance as f32);
    changed |= seed(ui, studio);
    if changed {
        studio.state.settings_changed();
    }
    size(ui, studio);
    cost(ui, studio);
}

fn seed(ui: &mut Ui, studio: &mut PaneContext<'_>) -> bool {
    let mut changed = false;
    ui.horizontal(|ui| {
        row_label(ui, "Seed");
        let seed = &mut studio.state.settings.seed;
        let width = (ui.available_width() - 2.0 * space::ROW - 2.0 * ui.spacing().item_spacing.x).max(60.0);
        let response = ui.add_sized([width, space::ROW], DragValue::new(seed).speed(1.0));
        let value = *seed as f64;
        response.widget_info(|| WidgetInfo {
            label: Some("seed".to_owned()),
            ..WidgetInfo::drag_value(true, value)
        });
        changed = response
            .on_hover_text("The same seed and settings give the same image")
            .changed();
        if icon_button(ui, Icon::Dice, Command::NewSeed.label()).clicked() {
            studio.commands.push(Command::NewSeed);
        }
        let locked = studio.state.seed_locked;
        let (icon, name) = if locked {
            (
                Icon::Locked,
                "Seed locked: every mix uses it. Click to draw another for each mix",
            )
        } else {
            (
                Icon::Unlocked,
                "Seed unlocked: every mix draws another. Click to keep this one",
            )
        };
        if icon_button(ui, icon, name).clicked() {
            studio.state.seed_locked = !locked;
        }
    });
    changed
}

fn size(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let current = studio.state.settings.size;
    let fits = |side: u32| {
        studio
            .state
            .model
            .as_ref()
            .is_none_or(|model| side.is_multiple_of(model.size_multiple) && side <= model.max_size)
    };
    let choices: Vec<u32> = SIZES_PX.into_iter().filter(|&side| fits(side)).collect();
    let mut chosen = current;
    ui.horizontal(|ui| {
        row_label(ui, "Size");
        let text = |side: u32| format!("{side} × {side} px");
        let combo = ComboBox::from_id_salt("size")
            .selected_text(text(current))
            .width(ui.available_width());
        let response = combo.show_ui(ui, |ui| {
            for side in choices {
                ui.selectable_value(&mut chosen, side, text(side));
            }
        });
        response
            .response
            .widget_info(|| WidgetInfo::labeled(egui::Role::ComboBox, true, "size"));
    });
    if chosen != current {
        studio.state.set_size(chosen);
    }
}

fn row_label(ui: &mut Ui, text: &str) {
    let (rect, _) = ui.allocate_exact_size(egui::vec2(76.0, space::ROW), egui::Sense::hover());
    let font = egui::TextStyle::Body.resolve(ui.style());
    let color = theme::of(ui).text;
    ui.painter()
        .text(rect.left_center(), egui::Align2::LEFT_CENTER, text, font, color);
}

/// What a run will take, from what the last one took.
fn cost(ui: &mut Ui, studio: &PaneContext<'_>) {
    let state = &studio.state;
    let is_guided = |guidance: f32| (guidance - 1.0).abs() > 1e-6;
    let guided = is_guided(state.settings.guidance);
    let pace = state.lane().and_then(|lane| {
        let same_cost = lane.request.size == state.settings.size && is_guided(lane.request.guidance) == guided;
        (same_cost && !lane.step_secs.is_empty())
            .then(|| lane.step_secs.iter().sum::<f32>() / lane.step_secs.len() as f32)
    });
    let per_step = if guided {
        "Two evaluations per step"
    } else {
        "One evaluation per step"
    };
    let text = match pace {
        Some(secs) => format!(
            "{per_step}; about {} for {} steps.",
            duration_text(secs * state.settings.steps as f32),
            state.settings.steps
        ),
        None => format!("{per_step}."),
    };
    caption(ui, text);
}
