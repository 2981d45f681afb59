//! What a cell shows: an image, a wipe between two, or a signed map.

use egui::emath::GuiRounding as _;
use egui::{CursorIcon, Rect, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};
use mdsd3_words::image::Rgba8;

use super::read_out::Placed;
use crate::compare::{Cell, WeightedSum};
use crate::compare_gpu::{CompareImage, Operation};
use crate::panes::context::PaneContext;
use crate::theme;
use crate::widgets::image_at;
use crate::zoom::is_smoothed;

/// Half the width of the strip around a wipe's line that can be dragged, in points.
const GRIP: f32 = 6.0;

/// Draws what a comparison made of a lane.
pub(super) fn draw(ui: &Ui, studio: &mut PaneContext<'_>, place: usize, placed: &Placed<'_>, cell: &Cell, name: &str) {
    match cell {
        Cell::Image(shown, _) => image(ui, studio, placed, shown),
        Cell::Wipe(left, right) => wipe(ui, studio, place, placed, (left, right)),
        Cell::Map(sum, _) => map(ui, studio, place, placed, sum),
        Cell::Layer(picture) => image(ui, studio, placed, &picture.image),
        Cell::NoImage | Cell::Missing(_) => return,
    }
    let visible = placed.rect.intersect(placed.area);
    let response = ui.interact(visible, ui.make_persistent_id(("cell", place)), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, name));
    if matches!(cell, Cell::Wipe(..)) {
        grip(ui, studio, place, placed);
    }
}

/// Draws an image as it is.
pub(super) fn image(ui: &Ui, studio: &mut PaneContext<'_>, placed: &Placed<'_>, image: &Rgba8) {
    let texture = studio.textures.full(ui.ctx(), image, !is_smoothed(scale(ui, placed)));
    image_at(ui, placed.rect, placed.area, texture);
}

/// Screen pixels per image pixel.
fn scale(ui: &Ui, placed: &Placed<'_>) -> f32 {
    placed.rect.width() * ui.pixels_per_point() / placed.image.width.max(1) as f32
}

fn wipe(ui: &Ui, studio: &mut PaneContext<'_>, place: usize, placed: &Placed<'_>, (left, right): (&Rgba8, &Rgba8)) {
    let split = studio.looking.comparing.split;
    if studio.shader_target.is_some() {
        let operation = Operation::Wipe {
            split,
            squares: !is_smoothed(scale(ui, placed)),
        };
        by_shader(ui, studio, place, placed, vec![left.clone(), right.clone()], operation);
        return;
    }
    let line = line_x(placed, split);
    for (shown, area) in [
        (left, placed.area.with_max_x(line.min(placed.area.right()))),
        (right, placed.area.with_min_x(line.max(placed.area.left()))),
    ] {
        let half = Placed { area, ..*placed };
        image(ui, studio, &half, shown);
    }
}

fn map(ui: &Ui, studio: &mut PaneContext<'_>, place: usize, placed: &Placed<'_>, sum: &WeightedSum) {
    let range_levels = studio.looking.comparing.range_levels;
    if studio.shader_target.is_some() {
        let (images, weights) = sum.parts.iter().cloned().unzip();
        let range = f32::from(range_levels) / 255.0;
        by_shader(ui, studio, place, placed, images, Operation::Sum { weights, range });
    } else if let Some(texture) = studio.textures.map(ui.ctx(), sum, range_levels) {
        image_at(ui, placed.rect, placed.area, texture);
    }
}

fn by_shader(
    ui: &Ui,
    studio: &PaneContext<'_>,
    place: usize,
    placed: &Placed<'_>,
    images: Vec<Rgba8>,
    operation: Operation,
) {
    let Some(target) = studio.shader_target else {
        return;
    };
    // The viewport of a callback is cut off at the window's edge and rounded to whole pixels, so only what is visible is
    // drawn, and the rounding is taken into account.
    let visible = placed.rect.intersect(placed.area).intersect(ui.clip_rect());
    let visible = visible.round_to_pixels(ui.pixels_per_point());
    if !visible.is_positive() {
        return;
    }
    let share = |at: egui::Pos2| ((at - placed.rect.min) / placed.rect.size()).to_pos2();
    let image = CompareImage {
        images,
        operation,
        window: Rect::from_min_max(share(visible.min), share(visible.max)),
        place,
        target,
    };
    ui.painter_at(placed.area).add(image.into_shape(visible));
}

fn line_x(placed: &Placed<'_>, split: f32) -> f32 {
    egui::lerp(placed.rect.x_range(), split)
}

/// The line of a wipe, which can be dragged in every cell and moves in all of them.
fn grip(ui: &Ui, studio: &mut PaneContext<'_>, place: usize, placed: &Placed<'_>) {
    let x = line_x(placed, studio.looking.comparing.split);
    let visible = placed.rect.intersect(placed.area);
    if !visible.x_range().expand(1.0).contains(x) {
        return;
    }
    let strip = Rect::from_x_y_ranges(x - GRIP..=x + GRIP, visible.y_range());
    let response = ui.interact(strip, ui.make_persistent_id(("wipe", place)), Sense::drag());
    let theme = theme::of(ui);
    let painter = ui.painter_at(placed.area);
    painter.vline(x, visible.y_range(), Stroke::new(3.0, theme.mark_edge));
    painter.vline(x, visible.y_range(), Stroke::new(1.0, theme.mark));
    let knob = Rect::from_center_size(pos2(x, visible.center().y), vec2(6.0, 28.0));
    painter.rect(
        knob,
        3.0,
        theme.mark,
        Stroke::new(1.0, theme.mark_edge),
        egui::StrokeKind::Outside,
    );
    if response.hovered() || response.dragged() {
        ui.ctx().set_cursor_icon(CursorIcon::ResizeHorizontal);
    }
    if response.dragged()
        && let Some(pointer) = response.interact_pointer_pos()
    {
        let share = (pointer.x - placed.rect.left()) / placed.rect.width().max(1.0);
        studio.looking.comparing.split = share.clamp(0.0, 1.0);
    }
    response.widget_info(|| WidgetInfo::labeled(Role::Splitter, true, "Wipe line"));
}
