//! Noise levels and times under the strips.

use egui::{Rangef, Rect, Ui, pos2};

use super::strip::{LABEL_LINE, Strip, label_lines};
use crate::lane::Lane;
use crate::theme;

/// Draws the noise level of each step under its pictures and, under a single strip, the time it took.
pub(super) fn show(ui: &Ui, lane: &Lane, strip: Strip, strips: Rect, shown: Option<usize>) {
    let last = strip.count - 1;
    let sigma = |index: usize| match lane.sigmas.get(index) {
        _ if index == last => Some("result".to_owned()),
        Some(sigma) if sigma.is_finite() => Some(format!("{sigma:.2}")),
        _ => None,
    };
    line(ui, strip, strips, shown, (3.0, 34.0), sigma);
    if label_lines(strip.rows) > 1 {
        let secs = |index: usize| lane.secs_of(index).map(|secs| format!("{secs:.2} s"));
        line(ui, strip, strips, shown, (3.0 + LABEL_LINE, 40.0), secs);
    }
}

/// One line of labels, `offset` points under the pictures and at least `width` apart: the chosen step's first, then the
/// result's, then the others'.
fn line(
    ui: &Ui,
    strip: Strip,
    strips: Rect,
    shown: Option<usize>,
    (offset, width): (f32, f32),
    text: impl Fn(usize) -> Option<String>,
) {
    let theme = theme::of(ui);
    let last = strip.count - 1;
    let others = (0..last).step_by(strip.label_every(width));
    let mut taken: Vec<Rangef> = Vec::new();
    for index in shown.into_iter().chain([last]).chain(others) {
        let Some(text) = text(index) else {
            continue;
        };
        let color = if shown == Some(index) {
            theme.text_strong
        } else {
            theme.text_weak
        };
        let galley = ui.painter().layout_no_wrap(text, theme::small_number_font(), color);
        let picture = strip.column(strips, index);
        let half = galley.size().x / 2.0;
        let right_most = (strips.right() - half).max(strips.left() + half);
        let center = picture.center().x.clamp(strips.left() + half, right_most);
        let range = Rangef::new(center - half - 3.0, center + half + 3.0);
        if taken.iter().all(|other| range.max < other.min || range.min > other.max) {
            taken.push(range);
            ui.painter()
                .galley(pos2(center - half, picture.bottom() + offset), galley, color);
        }
    }
}
