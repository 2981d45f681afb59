//! Values under the pointer, in all images at once.

use egui::{Align2, Rect, Stroke, Ui, Vec2, pos2, vec2};
use mdsd3_engine::protocol::Rgba8;

use crate::theme::{self, space};

/// An image and where it is drawn.
pub(super) struct Placed<'a> {
    pub image: &'a Rgba8,
    /// The part of the screen that it may cover.
    pub area: Rect,
    /// Where its whole would be.
    pub rect: Rect,
}

impl Placed<'_> {
    /// The pixel under a screen position.
    fn pixel_at(&self, position: egui::Pos2) -> Option<(u32, u32)> {
        if !self.area.contains(position) || !self.rect.contains(position) {
            return None;
        }
        let share = (position - self.rect.min) / self.rect.size();
        let x = ((share.x * self.image.width as f32) as u32).min(self.image.width - 1);
        let y = ((share.y * self.image.height as f32) as u32).min(self.image.height - 1);
        Some((x, y))
    }

    fn value(&self, (x, y): (u32, u32)) -> Option<[u8; 3]> {
        let at = (y * self.image.width + x) as usize * 4;
        self.image
            .pixels
            .get(at..at + 3)
            .and_then(|bytes| bytes.try_into().ok())
    }
}

/// The pixel under the pointer, in all images, at the bottom of the canvas; its twins in the other images are marked.
pub(super) fn read_out(ui: &Ui, canvas: Rect, pointer: Option<egui::Pos2>, images: &[(String, Placed<'_>)]) {
    let theme = theme::of(ui);
    let found = pointer.and_then(|at| images.iter().find_map(|(_, placed)| placed.pixel_at(at)));
    let strip =
        Rect::from_min_max(pos2(canvas.min.x, canvas.max.y - 22.0), canvas.max).shrink2(vec2(space::ITEM + 2.0, 0.0));
    let Some((x, y)) = found else {
        return;
    };
    let number = |value: u32, digits: usize| theme::padded(&value.to_string(), digits);
    let mut text = format!("x {}\u{2007}\u{2007}y {}", number(x, 4), number(y, 4));
    for (name, placed) in images {
        if let Some([r, g, b]) = placed.value((x, y)) {
            let [r, g, b] = [r, g, b].map(|value| number(u32::from(value), 3));
            text.extend(["\u{2007}\u{2007}\u{2007}", name, " ", &r, " ", &g, " ", &b]);
        }
        mark(ui, placed, (x, y));
    }
    ui.painter().text(
        strip.left_center(),
        Align2::LEFT_CENTER,
        text,
        theme::small_number_font(),
        theme.canvas_text,
    );
}

fn mark(ui: &Ui, placed: &Placed<'_>, (x, y): (u32, u32)) {
    let share = vec2(
        (x as f32 + 0.5) / placed.image.width as f32,
        (y as f32 + 0.5) / placed.image.height as f32,
    );
    let center = placed.rect.min + placed.rect.size() * share;
    let pixel = placed.rect.width() / placed.image.width as f32;
    let painter = ui.painter_at(placed.area);
    let square = Rect::from_center_size(center, Vec2::splat(pixel.max(5.0)));
    painter.rect_stroke(
        square.expand(1.0),
        0.0,
        Stroke::new(1.0, theme::of(ui).mark_edge),
        egui::StrokeKind::Outside,
    );
    painter.rect_stroke(
        square,
        0.0,
        Stroke::new(1.0, theme::of(ui).mark),
        egui::StrokeKind::Outside,
    );
}
