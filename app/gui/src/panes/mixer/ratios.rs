//! How much of each class, with what that amounts to in an image.

use egui::Ui;
use mdsd3_words::MAX_RATIO;

use super::presets;
use crate::commands::Command;
use crate::panes::context::PaneContext;
use crate::theme;
use crate::widgets::{LabelledSlider, caption, section_with, text_button};

/// Draws the section.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let any_on = !studio.state.settings().sampling.mix.is_clean();
    section_with(ui, "Degradations", |ui| {
        let all_off = ui.add_enabled_ui(any_on, |ui| text_button(ui, "All off", Command::ClearMix.label()));
        if all_off.inner.clicked() {
            studio.commands.push(Command::ClearMix);
        }
        presets::menu(ui, studio);
    });
    presets::name_field(ui, studio);
    let classes = studio.state.offered_classes();
    if classes.is_empty() {
        caption(ui, without_classes(studio));
        return;
    }
    let label_width = LabelledSlider::width_for(ui, &classes);
    for (index, class) in classes.iter().enumerate() {
        let ratio = ratio(ui, studio, class, label_width);
        if !studio.state.is_by_formula() {
            strength(ui, studio, index, ratio);
        }
    }
    caption(
        ui,
        if studio.state.is_by_formula() {
            "0 is off; the mark at 1 is strong."
        } else {
            "0 is off; the mark at 1 is as strong as in training."
        },
    );
}

fn without_classes(studio: &PaneContext<'_>) -> &'static str {
    let state = &studio.state;
    match (&state.model, state.is_loading_model()) {
        (Some(_), _) => "This checkpoint has no classes: load an MDSD3 adapter over it in the Model pane.",
        (None, true) => "The classes appear when the model is loaded.",
        (None, false) => "No model is loaded; choose one in the Model pane.",
    }
}

/// Draws the slider of a class; what it is at.
fn ratio(ui: &mut Ui, studio: &mut PaneContext<'_>, class: &str, label_width: f32) -> f32 {
    let mut ratio = f64::from(studio.state.settings().sampling.mix.ratio(class));
    let slider = LabelledSlider {
        label: class,
        name: &format!("{class} ratio"),
        help: "0 is off, 1 (the mark) is the strength of the training data, or strong weather by formula",
        range: 0.0..=f64::from(MAX_RATIO),
        decimals: 2,
        color: studio.state.class_place(class).map(|place| theme::of(ui).class(place)),
        mark: Some(1.0),
        label_width,
    };
    if slider.show(ui, &mut ratio) {
        studio.state.set_ratio(class, ratio as f32);
    }
    ratio as f32
}

/// What the ratio amounts to, under the rail.
fn strength(ui: &mut Ui, studio: &PaneContext<'_>, index: usize, ratio: f32) {
    let Some(model) = &studio.state.model else {
        return;
    };
    let measured = model.calibration.get(index).and_then(Option::as_ref);
    let words = measured.and_then(|measured| measured.in_words(ratio));
    if let Some(words) = words {
        ui.scope(|ui| strength_line(ui, words));
    }
}

fn strength_line(ui: &mut Ui, words: String) {
    let help = "Measured on photos that the model has not seen, for it and for the formulas that it learned from: the share of \
                contrast that is lost, or the root mean square of what is new at high frequency";
    ui.spacing_mut().interact_size.y = 0.0;
    ui.horizontal(|ui| {
        ui.add_space(LabelledSlider::LABEL_WIDTH + ui.spacing().item_spacing.x);
        caption(ui, words).on_hover_text(help);
    });
}
