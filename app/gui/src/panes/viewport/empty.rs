//! What stands in place of images that are not there.

use egui::{Rect, Stroke, StrokeKind, Ui};

use crate::icons::Icon;
use crate::lane::Lane;
use crate::panes::context::PaneContext;
use crate::theme::{self, space};
use crate::widgets::empty_state;

/// In place of everything, when there is no photo.
pub(super) fn no_scene(ui: &mut Ui, studio: &PaneContext<'_>, canvas: Rect) {
    let color = theme::of(ui).canvas_text;
    if studio.state.is_loading_scene() {
        empty_state(
            ui,
            canvas,
            Icon::PICTURE,
            "Loading the photo",
            "It is decoded and fitted to the model's size.",
            color,
        );
    } else {
        let hint = "Drop a photo here, or press Ctrl+O. PNG, JPEG, WebP, TIFF and BMP are read.";
        empty_state(ui, canvas, Icon::PICTURE, "No photo", hint, color);
    }
}

/// In place of a lane's image.
pub(super) fn no_step(ui: &mut Ui, studio: &PaneContext<'_>, lane: Option<&Lane>, area: Rect) {
    let theme = theme::of(ui);
    let state = &studio.state;
    ui.painter().rect_stroke(
        area,
        f32::from(space::CORNER),
        Stroke::new(1.0, theme.canvas_text.gamma_multiply(0.25)),
        StrokeKind::Inside,
    );
    let color = theme.canvas_text;
    let (title, hint) = if state.is_loading_model() {
        ("Loading the model", "Mix is ready as soon as it is loaded.")
    } else if lane.is_some_and(Lane::has_frames) {
        // Only x_t can be missing: it is decoded after the run, so that sampling gets all of the processor.
        (
            "Decoding x_t",
            "The noisy latents of all steps are decoded after the run; x̂0 is there at once.",
        )
    } else if state.runs.active.is_some() {
        ("Mixing", "The first step appears here in a moment.")
    } else if lane.is_some() {
        ("No step was finished", "Press Mix to start again.")
    } else if state.model.is_none() {
        ("No model", "See the message above, or the log.")
    } else {
        let hint = "Set how much of each degradation you want on the left, then press Mix (Space).";
        ("No mix yet", hint)
    };
    empty_state(ui, area, Icon::PLAY, title, hint, color);
}

/// In place of a comparison that lacks what to compare with.
pub(super) fn nothing_to_compare(ui: &mut Ui, area: Rect, why: &str) {
    let color = theme::of(ui).canvas_text;
    empty_state(ui, area, Icon::PICTURE, "Nothing to compare with", why, color);
}
