//! Where classes act: an overlay on the photo, and the rectangle that is being drawn.

use egui::{Color32, CursorIcon, Rect, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2};

use super::read_out::Placed;
use crate::panes::context::PaneContext;
use crate::theme;
use crate::widgets::image_at;

/// Draws the overlay and takes a drag for a new region.
pub(super) fn show(ui: &Ui, studio: &mut PaneContext<'_>, placed: &Placed<'_>) {
    // Over a depth map its colours would be no colours of the scale.
    if !studio.looking.weather.shows_depth {
        overlay(ui, studio, placed);
    }
    let visible = placed.rect.intersect(placed.area);
    let Some((class, corners)) = &mut studio.looking.weather.drawing else {
        return;
    };
    let response = ui.interact(visible, ui.make_persistent_id("region"), Sense::drag());
    response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, format!("Draw where {class} acts")));
    ui.ctx().set_cursor_icon(CursorIcon::Crosshair);
    let share = |at: egui::Pos2| {
        let share = (at - placed.rect.min) / placed.rect.size();
        [share.x.clamp(0.0, 1.0), share.y.clamp(0.0, 1.0)]
    };
    if let Some([x, y]) = response.interact_pointer_pos().map(share) {
        if response.drag_started() {
            // A drag counts from where the button went down.
            let from = ui.input(|input| input.pointer.press_origin()).map_or([x, y], share);
            *corners = [from[0], from[1], x, y];
        }
        [corners[2], corners[3]] = [x, y];
    }
    let [left, top, right, bottom] = *corners;
    let at = |x: f32, y: f32| placed.rect.min + placed.rect.size() * egui::vec2(x, y);
    let rect = Rect::from_two_pos(at(left, top), at(right, bottom));
    let (theme, painter) = (theme::of(ui), ui.painter_at(visible));
    painter.rect_stroke(rect, 0.0, Stroke::new(3.0, theme.mark_edge), StrokeKind::Middle);
    painter.rect_stroke(rect, 0.0, Stroke::new(1.5, theme.mark), StrokeKind::Middle);
    if response.drag_stopped() {
        studio.looking.weather.drawn = studio.looking.weather.drawing.take();
    }
}

fn overlay(ui: &Ui, studio: &mut PaneContext<'_>, placed: &Placed<'_>) {
    let Some(Ok(view)) = studio.state.scene_weather() else {
        return;
    };
    let view = std::sync::Arc::clone(view);
    let regions = &studio.state.settings().weather.regions;
    if view.regions.is_empty() || regions.is_empty() {
        return;
    }
    let theme = theme::of(ui);
    let color_of = |class: &str| {
        let place = studio.state.class_place(class);
        place.map_or(theme.accent_line, |place| theme.class(place))
    };
    let colors: Vec<Color32> = view.regions.iter().map(|region| color_of(&region.name)).collect();
    let Some(image) = studio.looking.weather.pictures.overlay(&view, &colors) else {
        return;
    };
    let texture = studio.textures.full(ui.ctx(), &image, true);
    image_at(ui, placed.rect, placed.area, texture);
    let names: Vec<&str> = view.regions.iter().map(|region| region.name.as_str()).collect();
    let visible = placed.rect.intersect(placed.area);
    let corner = Rect::from_min_max(
        pos2(visible.left(), visible.top()),
        pos2(visible.left() + 1.0, visible.top() + 1.0),
    );
    let response = ui.interact(corner, ui.make_persistent_id("regions"), Sense::hover());
    let words = format!("Regions of {}", names.join(", "));
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
}
