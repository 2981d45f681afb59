//! The scale over a map: what its colours mean.

use egui::{Align2, Color32, Rect, Role, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use super::read_out::Placed;
use crate::picture::{Picture, Scale};
use crate::theme;
use crate::widgets::gradient;

/// Widest scale, in points.
const WIDTH: f32 = 260.0;
/// Height of the scale with its numbers, in points.
const HEIGHT: f32 = 34.0;
/// Room of the sky's colour with its word, in points.
const SKY: f32 = 48.0;
/// Least distance of two numbers, in points.
const APART: f32 = 26.0;

/// Draws the scale in the lower left corner of a map.
pub(super) fn show(ui: &Ui, placed: &Placed<'_>, picture: &Picture) {
    let scale = &picture.scale;
    let words = format!("Scale of {}", picture.in_words());
    let visible = placed.rect.intersect(placed.area);
    let width = (visible.width() - 8.0).min(WIDTH);
    let rect = Rect::from_min_size(visible.left_bottom() + vec2(4.0, -HEIGHT - 4.0), vec2(width, HEIGHT));
    let response = ui.interact(rect, ui.make_persistent_id(("scale", &picture.title)), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
    if width < 2.0 * APART {
        return;
    }
    let (theme, painter) = (theme::of(ui), ui.painter_at(visible));
    painter.rect_filled(rect, 3.0, theme.mark_edge);
    let inner = rect.shrink2(vec2(10.0, 4.0));
    let room = if scale.has_sky { SKY } else { 0.0 };
    let bar = Rect::from_min_max(inner.min, pos2(inner.right() - room, inner.top() + 10.0));
    painter.add(Shape::mesh(gradient(bar, &colors(scale))));
    numbers(&painter, scale, bar, theme.mark);
    if scale.has_sky {
        let swatch = Rect::from_min_max(pos2(bar.right() + 22.0, bar.top()), pos2(inner.right(), bar.bottom()));
        let [red, green, blue, _] = Picture::SKY;
        painter.rect(
            swatch,
            0.0,
            Color32::from_rgb(red, green, blue),
            Stroke::new(1.0, theme.mark_edge),
            StrokeKind::Outside,
        );
        let at = pos2(swatch.center().x, bar.bottom() + 2.0);
        painter.text(at, Align2::CENTER_TOP, "sky", theme::small_number_font(), theme.mark);
    }
}

/// As many numbers as have room, the unit behind the last.
fn numbers(painter: &egui::Painter, scale: &Scale, bar: Rect, color: Color32) {
    let ticks = scale.ticks();
    let mut free_from = f32::NEG_INFINITY;
    for (index, (share, text)) in ticks.iter().enumerate() {
        let x = egui::lerp(bar.x_range(), *share);
        if x < free_from {
            continue;
        }
        free_from = x + APART;
        let is_last = ticks[index + 1..]
            .iter()
            .all(|(share, _)| egui::lerp(bar.x_range(), *share) < free_from);
        let text = if is_last {
            format!("{text} {}", scale.unit)
        } else {
            text.clone()
        };
        painter.vline(x, bar.bottom()..=bar.bottom() + 3.0, Stroke::new(1.0, color));
        // At the end there is no room to its right.
        let right = bar.right() + 8.0;
        let (x, align) = if is_last && x + APART > right {
            (right, Align2::RIGHT_TOP)
        } else {
            (x, Align2::CENTER_TOP)
        };
        let at = pos2(x, bar.bottom() + 3.0);
        painter.text(at, align, text.trim_end(), theme::small_number_font(), color);
    }
}

/// The colours from the left end to the right.
fn colors(scale: &Scale) -> Vec<Color32> {
    match scale.table {
        Some((map, true)) => map.table().iter().rev().copied().collect(),
        Some((map, false)) => map.table().to_vec(),
        None => vec![Color32::BLACK, Color32::WHITE],
    }
}
