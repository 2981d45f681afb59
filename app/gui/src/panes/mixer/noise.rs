//! What the noise starts from: the pad of alpha and beta, its regime and its signal-to-noise ratio.

use egui::{Align2, Checkbox, Painter, Pos2, Rect, Response, RichText, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use mdsd3_words::RenderRequest;
use mdsd3_words::balance::{self, Regime};

use crate::panes::context::PaneContext;
use crate::theme::{self, Theme, space};
use crate::widgets::{LabelledSlider, arrow_steps, caption, section, slider_info};

/// Largest weight offered.
const MAX_WEIGHT: f32 = 1.5;

/// Side of the pad, in points.
const SIDE: f32 = 140.0;

/// Room around the pad's values, so that the handle is whole at the edges, in points.
const MARGIN: f32 = 10.0;

/// How near to alpha + beta = 1 a drag snaps onto the line.
const SNAP: f32 = 0.03;

/// Draws the section.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    section(ui, "Initial noise");
    let sampling = &studio.state.settings().sampling;
    let mut weights = (sampling.alpha, sampling.beta);
    ui.horizontal_top(|ui| {
        pad(ui, &mut weights);
        ui.add_space(space::TIGHT);
        ui.vertical(|ui| read_outs(ui, weights));
    });
    sliders(ui, &mut weights);
    studio
        .state
        .edit(|RenderRequest { sampling, .. }| (sampling.alpha, sampling.beta) = weights);
    start(ui, studio);
    caption(ui, what_to_expect(studio.state.settings()));
}

fn sliders(ui: &mut Ui, weights: &mut (f32, f32)) {
    let rows = [
        (
            &mut weights.0,
            "α noise",
            "alpha",
            "Weight of the noise in the initial latents",
            Some(1.0),
        ),
        (
            &mut weights.1,
            "β scene",
            "beta",
            "Weight of the scene in the initial latents; above 0 the result keeps the scene's colours",
            None,
        ),
    ];
    for (weight, label, name, help, mark) in rows {
        let mut value = f64::from(*weight);
        let slider = LabelledSlider {
            label,
            name,
            help,
            range: 0.0..=f64::from(MAX_WEIGHT),
            decimals: 2,
            color: None,
            mark,
            label_width: LabelledSlider::LABEL_WIDTH,
        };
        if slider.show(ui, &mut value) {
            *weight = value as f32;
        }
    }
}

/// What the weights do to a result, or where sampling begins.
fn what_to_expect(settings: &RenderRequest) -> String {
    if settings.sampling.start_at_noise_share {
        let sigma = settings.first_sigma();
        return format!(
            "The first step is at sigma {sigma:.2}, from the scene under that much noise; the ratio of α to β counts."
        );
    }
    let regime = Regime::of(settings.sampling.alpha, settings.sampling.beta);
    format!("{}.", crate::state::sentence_case(regime.explanation()))
}

/// Whether the first step is at the noise's share.
fn start(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let help = "Starts at sigma = alpha / (alpha + beta), from the scene under that much noise, as SDEdit and img2img do. Less \
                noise keeps more of the scene; the steps are as many and finer";
    studio.state.edit(|settings| {
        let check = Checkbox::new(&mut settings.sampling.start_at_noise_share, "Start at the noise share");
        ui.add(check).on_hover_text(help);
    });
}

/// The pad: alpha to the right, beta up; a drag near the line alpha + beta = 1 stays on it.
fn pad(ui: &mut Ui, weights: &mut (f32, f32)) {
    let (rect, response) = ui.allocate_exact_size(vec2(SIDE, SIDE), Sense::click_and_drag());
    if let Some(pointer) = response.interact_pointer_pos() {
        *weights = weights_at(rect.shrink(MARGIN), pointer);
    }
    let steps = arrow_steps(ui, &response);
    if steps != egui::Vec2::ZERO {
        let moved = |weight: f32, step: f32| hundredths((weight + 0.05 * step).clamp(0.0, MAX_WEIGHT));
        *weights = (moved(weights.0, steps.x), moved(weights.1, -steps.y));
    }
    slider_info(ui, &response, "alpha and beta pad", f64::from(weights.0));
    paint_pad(ui, rect, *weights, &response);
    response.on_hover_text("Drag: noise to the right, scene upwards. On the line alpha + beta = 1 the scale is kept.");
}

fn weights_at(rect: Rect, pointer: Pos2) -> (f32, f32) {
    let share = |value: f32| hundredths(value.clamp(0.0, 1.0) * MAX_WEIGHT);
    let (alpha, beta) = (
        share((pointer.x - rect.left()) / rect.width()),
        share((rect.bottom() - pointer.y) / rect.height()),
    );
    let excess = alpha + beta - 1.0;
    if excess.abs() <= SNAP {
        let alpha = hundredths((alpha - excess / 2.0).clamp(0.0, 1.0));
        return (alpha, hundredths(1.0 - alpha));
    }
    // Nothing at all is no start.
    if alpha + beta <= 0.0 {
        (0.01, 0.0)
    } else {
        (alpha, beta)
    }
}

fn hundredths(value: f32) -> f32 {
    (value * 100.0).round() / 100.0
}

fn paint_pad(ui: &Ui, outer: Rect, weights: (f32, f32), response: &Response) {
    let theme = theme::of(ui);
    let painter = ui.painter_at(outer);
    let rect = outer.shrink(MARGIN);
    let at = |alpha: f32, beta: f32| {
        pos2(
            rect.left() + alpha / MAX_WEIGHT * rect.width(),
            rect.bottom() - beta / MAX_WEIGHT * rect.height(),
        )
    };
    painter.rect_filled(outer, f32::from(space::CORNER), theme.slot);
    let grid = Stroke::new(1.0, theme.line);
    painter.line_segment([at(1.0, 0.0), at(1.0, MAX_WEIGHT)], grid);
    painter.line_segment([at(0.0, 1.0), at(MAX_WEIGHT, 1.0)], grid);
    let balanced = Regime::of(weights.0, weights.1) == Regime::Balanced;
    let line = if balanced { theme.accent_line } else { theme.text_weak };
    painter.line_segment([at(0.0, 1.0), at(1.0, 0.0)], Stroke::new(1.5, line));
    axis_names(&painter, rect, outer, theme);
    let handle = at(weights.0, weights.1);
    painter.circle(handle, 6.0, theme.handle, Stroke::new(1.0, theme.handle_edge));
    if response.has_focus() {
        painter.circle_stroke(handle, 9.0, Stroke::new(1.5, theme.accent_line));
    }
    painter.rect_stroke(outer, f32::from(space::CORNER), grid, StrokeKind::Inside);
}

fn axis_names(painter: &Painter, rect: Rect, outer: Rect, theme: &Theme) {
    let font = theme::small_font();
    let name = |at: Pos2, align: Align2, text: &str| {
        painter.text(at, align, text, font.clone(), theme.text_weak);
    };
    name(outer.right_bottom() - vec2(5.0, 14.0), Align2::RIGHT_BOTTOM, "α noise");
    name(outer.left_top() + vec2(5.0, 3.0), Align2::LEFT_TOP, "β scene");
    name(rect.left_bottom() + vec2(14.0, -12.0), Align2::LEFT_BOTTOM, "< 1");
    name(rect.right_top() + vec2(-6.0, 8.0), Align2::RIGHT_TOP, "> 1");
}

/// Regime, sum, ratio and share, one under the other.
fn read_outs(ui: &mut Ui, (alpha, beta): (f32, f32)) {
    let theme = theme::of(ui);
    ui.spacing_mut().item_spacing.y = 2.0;
    let condition = Regime::of(alpha, beta)
        .name()
        .replace("alpha", "α")
        .replace("beta", "β");
    ui.label(
        RichText::new(condition)
            .font(theme::strong_font())
            .color(theme.text_strong),
    );
    let snr = match balance::snr_db(alpha, beta) {
        Some(ratio) => format!("{ratio:+.1} dB"),
        None if beta > 0.0 => "no noise".to_owned(),
        None => "no scene".to_owned(),
    };
    let rows = [
        ("Sum", format!("{:.2}", alpha + beta), "alpha + beta"),
        (
            "SNR",
            snr,
            "Scene to noise in the initial latents, 20 log10(beta / alpha)",
        ),
        (
            "Noise share",
            format!("{:.2}", balance::noise_share(alpha, beta)),
            "alpha / (alpha + beta), the sigma that this start looks like",
        ),
        (
            "Scale",
            format!("{:.2}", balance::latent_scale(alpha, beta)),
            "Deviation of the initial latents; a start at sigma 1 expects 1",
        ),
    ];
    for (label, value, help) in rows {
        ui.horizontal(|ui| {
            caption(ui, label);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                ui.label(RichText::new(value).font(theme::small_number_font()).color(theme.text));
            });
        })
        .response
        .on_hover_text(help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drags_near_the_line_stay_on_it_and_never_reach_nothing() {
        let rect = Rect::from_min_size(pos2(0.0, 0.0), vec2(150.0, 150.0));
        assert_eq!(weights_at(rect, pos2(50.0, 101.0)), (0.51, 0.49));
        assert_eq!(weights_at(rect, pos2(100.0, 50.0)), (1.0, 1.0));
        assert_eq!(weights_at(rect, pos2(-20.0, 500.0)), (0.01, 0.0));
        assert_eq!(weights_at(rect, pos2(500.0, -20.0)), (1.5, 1.5));
    }
}
