//! How the docks look, and what is drawn in them.

use egui::{Color32, Frame, Margin, Stroke, Style, Ui, Visuals, WidgetText};
use egui_tiles::{Behavior, ResizeState, SimplificationOptions, TabState, TileId, Tiles, UiResponse};

use super::MIN_PANE;
use crate::pane_id::PaneId;
use crate::panes::{self, PaneContext};
use crate::theme::{self, space};

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

    fn tab_title_spacing(&self, _visuals: &Visuals) -> f32 {
        space::PANE
    }

    fn tab_bar_color(&self, visuals: &Visuals) -> Color32 {
        theme::by_mode(visuals.dark_mode).base
    }

    fn tab_bg_color(&self, visuals: &Visuals, _tiles: &Tiles<PaneId>, _id: TileId, state: &TabState) -> Color32 {
        if state.active {
            theme::by_mode(visuals.dark_mode).surface
        } else {
            Color32::TRANSPARENT
        }
    }

    fn tab_outline_stroke(&self, _visuals: &Visuals, _tiles: &Tiles<PaneId>, _id: TileId, _state: &TabState) -> Stroke {
        Stroke::NONE
    }

    fn tab_bar_hline_stroke(&self, _visuals: &Visuals) -> Stroke {
        Stroke::NONE
    }

    fn tab_text_color(&self, visuals: &Visuals, tiles: &Tiles<PaneId>, id: TileId, state: &TabState) -> Color32 {
        let theme = theme::by_mode(visuals.dark_mode);
        let is_urgent = tiles
            .get_pane(&id)
            .and_then(|pane| panes::drawn(*pane))
            .is_some_and(|drawn| drawn.is_urgent(self.context.state));
        match (state.active, is_urgent) {
            (_, true) => theme.error,
            (true, false) => theme.text_strong,
            (false, false) => theme.text_weak,
        }
    }

    fn resize_stroke(&self, style: &Style, state: ResizeState) -> Stroke {
        let theme = theme::by_mode(style.visuals.dark_mode);
        match state {
            ResizeState::Idle => Stroke::new(3.0, theme.base),
            ResizeState::Hovering | ResizeState::Dragging => Stroke::new(3.0, theme.accent_line),
        }
    }
}
