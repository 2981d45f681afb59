//! Values under the pointer, in all images at once.

use egui::{Align2, Rect, Stroke, Ui, Vec2, pos2, vec2};
use mdsd3_words::image::Rgba8;

use crate::compare::WeightedSum;
use crate::picture::Picture;
use crate::theme::{self, space};

/// An image and where it is drawn.
#[derive(Clone, Copy)]
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

/// An image that the read-out speaks of.
pub(super) struct Item<'a> {
    /// What it is called.
    pub name: String,
    /// The image and where it is.
    pub placed: Placed<'a>,
    /// What its values are.
    pub values: Values<'a>,
}

/// What the values of an image are.
#[derive(Clone, Copy)]
pub(super) enum Values<'a> {
    /// Its own: levels of 255.
    Levels,
    /// Those of the signed map that is drawn in its place.
    Sum(&'a WeightedSum),
    /// Those of the map that it shows in colours.
    Map(&'a Picture),
}

impl Item<'_> {
    /// Values of a pixel: 8-bit levels per channel, signed for a map.
    fn value_text(&self, (x, y): (u32, u32)) -> Option<String> {
        let texts = match self.values {
            Values::Map(picture) => return picture.value_at(x, y),
            Values::Sum(sum) => sum.levels_at(x, y)?.map(|level| theme::padded(&signed(level), 4)),
            Values::Levels => self
                .placed
                .value((x, y))?
                .map(|level| theme::padded(&level.to_string(), 3)),
        };
        Some(texts.join(" "))
    }
}

/// A signed whole number with a true minus.
fn signed(level: f32) -> String {
    let level = level.round() as i32;
    let sign = match level {
        0 => "",
        1.. => "+",
        _ => "−",
    };
    format!("{sign}{}", level.abs())
}

/// The pixel under the pointer in all images, which are marked there: position and values at the bottom of the canvas, or,
/// when there are more than two images, the values on the images.
pub(super) fn read_out(ui: &Ui, canvas: Rect, pointer: Option<egui::Pos2>, items: &[Item<'_>]) {
    let theme = theme::of(ui);
    let found = pointer.and_then(|at| items.iter().find_map(|item| item.placed.pixel_at(at)));
    let strip =
        Rect::from_min_max(pos2(canvas.min.x, canvas.max.y - 22.0), canvas.max).shrink2(vec2(space::ITEM + 2.0, 0.0));
    let Some((x, y)) = found else {
        return;
    };
    let number = |value: u32| theme::padded(&value.to_string(), 4);
    let mut text = format!("x {}\u{2007}\u{2007}y {}", number(x), number(y));
    let on_images = items.len() > 2;
    for item in items {
        let Some(value) = item.value_text((x, y)) else {
            continue;
        };
        mark(ui, &item.placed, (x, y));
        if on_images {
            label(ui, &item.placed, &value);
        } else {
            text.extend(["\u{2007}\u{2007}\u{2007}", &item.name, " ", &value]);
        }
    }
    ui.painter().text(
        strip.left_center(),
        Align2::LEFT_CENTER,
        text,
        theme::small_number_font(),
        theme.canvas_text,
    );
}

/// Values in the lower left corner of an image.
fn label(ui: &Ui, placed: &Placed<'_>, value: &str) {
    let theme = theme::of(ui);
    let visible = placed.rect.intersect(placed.area);
    let painter = ui.painter_at(visible);
    let galley = painter.layout_no_wrap(value.to_owned(), theme::small_number_font(), theme.mark);
    let corner = visible.left_bottom() + vec2(4.0, -4.0);
    let rect = Rect::from_min_size(
        corner - vec2(0.0, galley.size().y + 4.0),
        galley.size() + vec2(8.0, 4.0),
    );
    painter.rect_filled(rect, 3.0, theme.mark_edge);
    painter.galley(rect.min + vec2(4.0, 2.0), galley, theme.mark);
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
