//! The strips: one per lane that has steps, all on the columns of the lead lane.

use egui::{Color32, Rect, Role, Sense, Stroke, StrokeKind, TextWrapMode, Ui, WidgetInfo, pos2, vec2};

use super::strip::{GAP, NAMES, Strip};
use crate::lane::Lane;
use crate::panes::context::PaneContext;
use crate::panes::lane_color::lane_color;
use crate::state::State;
use crate::theme::{self, space};

/// Lanes that have steps, by their places; a physical baseline has none.
pub(super) fn lanes(state: &State) -> Vec<usize> {
    let has_steps = |index: &usize| lane_at(state, *index).is_some_and(|lane| lane.steps() > 0);
    (0..state.lanes().len()).filter(has_steps).collect()
}

fn lane_at(state: &State, index: usize) -> Option<&Lane> {
    state.lanes().get(index)?.result.as_ref()
}

/// The lanes' names beside their strips; a click selects the lane.
pub(super) fn names(ui: &mut Ui, studio: &mut PaneContext<'_>, strip: Strip, lanes: &[usize]) {
    let (rect, _) = ui.allocate_exact_size(vec2(NAMES, strip.size().y), Sense::hover());
    let theme = theme::of(ui);
    for (row, &lane) in lanes.iter().enumerate() {
        let top = rect.top() + row as f32 * strip.row_height();
        let line = Rect::from_min_size(pos2(rect.left(), top), vec2(NAMES, strip.row_height() - GAP));
        let response = ui.interact(line, ui.scope_id().with(("strip", row)), Sense::click());
        if response.clicked() {
            studio.state.select_lane(lane);
        }
        let is_selected = lane == studio.state.selected_lane();
        if response.hovered() || response.has_focus() {
            ui.painter().rect_filled(line, f32::from(space::CORNER), theme.raised);
        }
        let mark = Rect::from_min_size(line.min, vec2(3.0, line.height()));
        ui.painter()
            .rect_filled(mark, 1.5, lane_color(theme, studio.state, lane));
        let color = if is_selected {
            theme.text_strong
        } else {
            theme.text_weak
        };
        let name = studio.state.lane_name(lane);
        let text = egui::WidgetText::from(name.as_str());
        let room = NAMES - space::ITEM - space::TIGHT;
        let text = text.into_galley(ui, Some(TextWrapMode::Truncate), room, theme::small_font());
        let at = line.left_center() + vec2(space::ITEM, -text.size().y / 2.0);
        ui.painter().galley(at, text, color);
        let label = format!("Steps of {name}");
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_selected, &label));
        response.on_hover_text(name);
    }
}

/// The pictures of the lane at `lane` in the strip at `row`.
pub(super) fn pictures(ui: &Ui, studio: &mut PaneContext<'_>, strip: Strip, strips: Rect, (row, lane): (usize, usize)) {
    for column in 0..strip.count {
        let rect = strip.picture(strips, row, column);
        if ui.is_rect_visible(rect) {
            picture(ui, studio, rect, (lane, column));
        }
    }
    let state = &studio.state;
    let branched = lane_at(state, lane).and_then(|lane| Some((lane, lane.request.branch.as_ref()?.step)));
    let first = branched.and_then(|(lane, step)| {
        let mut columns = 0..strip.count;
        columns.find(|column| state.step_beside(lane, *column) >= step)
    });
    if let Some(column) = first {
        // Steps before this line are those of the run that this one branches from.
        let rect = strip.picture(strips, row, column);
        let (x, color) = (rect.left() - GAP / 2.0, theme::of(ui).canvas_note);
        ui.painter().vline(x, rect.y_range(), Stroke::new(2.0, color));
        ui.painter().circle_filled(pos2(x, rect.top() + 2.0), 3.0, color);
    }
}

fn picture(ui: &Ui, studio: &mut PaneContext<'_>, rect: Rect, (lane, column): (usize, usize)) {
    let state = &studio.state;
    let frame = lane_at(state, lane).and_then(|lane| {
        let step = state.step_beside(lane, column);
        lane.thumbnail(step, state.shown.view.step_view())
    });
    match frame {
        Some(frame) => {
            let texture = studio.textures.thumbnail(ui.ctx(), &frame.image);
            let shown = middle(frame.image.width, frame.image.height, rect);
            ui.painter().image(texture, rect, shown, Color32::WHITE);
        }
        None => {
            ui.painter().rect_filled(rect, 2.0, theme::of(ui).slot);
        }
    }
}

/// Marks the chosen step in all strips.
pub(super) fn outline(ui: &Ui, column: Rect) {
    let stroke = Stroke::new(2.0, theme::of(ui).accent_line);
    ui.painter()
        .rect_stroke(column.expand(1.0), 2.0, stroke, StrokeKind::Outside);
}

/// The part of an image that fills `rect` without changing its shape, in shares of its sides.
fn middle(width: u32, height: u32, rect: Rect) -> Rect {
    let image_aspect = width as f32 / height.max(1) as f32;
    let aspect = rect.width() / rect.height().max(1.0);
    let share = if aspect < image_aspect {
        vec2(aspect / image_aspect, 1.0)
    } else {
        vec2(1.0, image_aspect / aspect)
    };
    Rect::from_center_size(pos2(0.5, 0.5), share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_keep_the_middle() {
        let crop = middle(200, 100, Rect::from_min_size(pos2(0.0, 0.0), vec2(50.0, 50.0)));
        assert!((crop.width() - 0.5).abs() < 1e-6 && (crop.height() - 1.0).abs() < 1e-6);
        assert_eq!(crop.center(), pos2(0.5, 0.5));
    }
}
