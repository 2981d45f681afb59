//! How the docks look, and what is drawn in them.

use egui::{
    Color32, CursorIcon, Frame, Id, Margin, Rect, Response, Role, Sense, Stroke, Style, TextStyle, Ui, Vec2, Visuals,
    WidgetInfo, WidgetText, vec2,
};
use egui_tiles::{Behavior, ResizeState, SimplificationOptions, TabState, TileId, Tiles, UiResponse};

use super::MIN_PANE;
use crate::icons;
use crate::pane_id::PaneId;
use crate::panes::{self, PaneContext};
use crate::theme::{self, space};
use crate::widgets::focus_ring;

/// Side of a tab's icon, in points.
const ICON: f32 = 13.0;

/// Room that an icon takes before its title, in points.
const ICON_ROOM: f32 = ICON + 6.0;

/// What the docks ask for while they are drawn.
pub(super) struct Docks<'a, 'b> {
    pub(super) context: &'a mut PaneContext<'b>,
}

impl Behavior<PaneId> for Docks<'_, '_> {
    fn pane_ui(&mut self, ui: &mut Ui, _id: TileId, pane: &mut PaneId) -> UiResponse {
        let theme = theme::of(ui);
        ui.painter().rect_filled(ui.max_rect(), 0.0, theme.surface);
        Frame::new()
            .inner_margin(Margin::same(space::PANE as i8))
            .show(ui, |ui| {
                if let Some(drawn) = panes::drawn(*pane) {
                    drawn.show(ui, self.context);
                }
            });
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, pane: &PaneId) -> WidgetText {
        panes::drawn(*pane)
            .map_or_else(String::new, |drawn| drawn.title(self.context.state))
            .into()
    }

    fn tab_ui(&mut self, tiles: &mut Tiles<PaneId>, ui: &mut Ui, id: Id, tile: TileId, state: &TabState) -> Response {
        let theme = theme::of(ui);
        let pane = tiles.get_pane(&tile).copied();
        let title = self.tab_title_for_tile(tiles, tile).text().to_owned();
        let is_urgent = pane
            .and_then(panes::drawn)
            .is_some_and(|drawn| drawn.is_urgent(self.context.state));
        let color = match (state.active, is_urgent) {
            (_, true) => theme.error,
            (true, false) => theme.text_strong,
            (false, false) => theme.text_weak,
        };
        let font = TextStyle::Button.resolve(ui.style());
        let title = ui.painter().layout_no_wrap(title, font, color);
        let icon_room = if pane.is_some() { ICON_ROOM } else { 0.0 };
        let width = icon_room + title.size().x + 2.0 * space::PANE;
        let (_, rect) = ui.allocate_space(vec2(width, ui.available_height()));
        let tab = ui.interact(rect, id, Sense::click_and_drag());
        tab.widget_info(|| WidgetInfo::selected(Role::Button, true, state.active, title.text()));
        if state.is_being_dragged {
            return tab;
        }
        if state.active {
            ui.painter().rect_filled(rect.shrink(0.5), 0.0, theme.surface);
        }
        let left = rect.left_center() + vec2(space::PANE, 0.0);
        if let Some(pane) = pane {
            let square = Rect::from_center_size(left + vec2(ICON / 2.0, 0.0), Vec2::splat(ICON));
            icons::paint(ui.painter(), square, pane.icon, color);
        }
        focus_ring(ui, &tab);
        let at = left + vec2(icon_room, -title.size().y / 2.0);
        ui.painter().galley(at, title, color);
        tab.on_hover_cursor(CursorIcon::Grab)
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SimplificationOptions {
            all_panes_must_have_tabs: true,
            ..SimplificationOptions::default()
        }
    }

    fn min_size(&self) -> f32 {
        MIN_PANE
    }

    fn gap_width(&self, _style: &Style) -> f32 {
        3.0
    }

    fn tab_bar_height(&self, _style: &Style) -> f32 {
        space::TAB_BAR
    }

    fn tab_bar_color(&self, visuals: &Visuals) -> Color32 {
        theme::by_mode(visuals.dark_mode).base
    }

    fn tab_bar_hline_stroke(&self, _visuals: &Visuals) -> Stroke {
        Stroke::NONE
    }

    fn resize_stroke(&self, style: &Style, state: ResizeState) -> Stroke {
        let theme = theme::by_mode(style.visuals.dark_mode);
        match state {
            ResizeState::Idle => Stroke::new(3.0, theme.base),
            ResizeState::Hovering | ResizeState::Dragging => Stroke::new(3.0, theme.accent_line),
        }
    }
}
