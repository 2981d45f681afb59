//! Where the panes are: a tree of docks that the user can resize, drag and reset, and that is kept between sessions.

use egui::{Color32, Frame, Margin, Stroke, Style, Ui, Vec2, Visuals, WidgetText};
use egui_tiles::{
    Behavior, Container, ResizeState, SimplificationOptions, TabState, Tile, TileId, Tiles, Tree, UiResponse,
};
use serde::{Deserialize, Serialize};

use crate::panes::{self, PaneContext};
use crate::theme::{self, space};

/// Width of the Mixer on the first start, in points.
const MIXER_WIDTH: f32 = 300.0;

/// Width of the Spectrum on the first start, in points.
const SPECTRUM_WIDTH: f32 = 380.0;

/// Height of the Timeline on the first start, in points.
const TIMELINE_HEIGHT: f32 = 236.0;

/// Room for the panes that the sizes above were chosen for: a window of 1440 x 900 without its top bar, in points.
const DESIGNED_FOR: Vec2 = Vec2::new(1440.0, 845.0);

/// Room in which the panes beside the viewport keep their sizes, in points.
const SMALLEST: Vec2 = Vec2::new(700.0, 360.0);

/// Least size of a pane, in points.
const MIN_PANE: f32 = 120.0;

/// One pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Pane {
    /// Ratios, noise and sampling.
    Mixer,
    /// The checkpoint, and where it runs.
    Model,
    /// Scene and step side by side.
    Viewport,
    /// The film strip of steps.
    Timeline,
    /// Power over frequency.
    Spectrum,
    /// A training run.
    Training,
    /// Datasets in the making.
    Queue,
    /// All messages.
    Log,
}

impl Pane {
    /// All of them.
    const ALL: [Self; 8] = [
        Self::Mixer,
        Self::Model,
        Self::Viewport,
        Self::Timeline,
        Self::Spectrum,
        Self::Training,
        Self::Log,
        Self::Queue,
    ];
}

/// The docks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Layout {
    tree: Tree<Pane>,
    /// Size that the shares were set for, in points.
    size: Vec2,
}

impl Default for Layout {
    fn default() -> Self {
        let mut tiles = Tiles::default();
        let mixer = tiles.insert_pane(Pane::Mixer);
        let model = tiles.insert_pane(Pane::Model);
        let left = tiles.insert_tab_tile(vec![mixer, model]);
        let viewport = tiles.insert_pane(Pane::Viewport);
        let timeline = tiles.insert_pane(Pane::Timeline);
        let training = tiles.insert_pane(Pane::Training);
        let queue = tiles.insert_pane(Pane::Queue);
        let log = tiles.insert_pane(Pane::Log);
        let spectrum = tiles.insert_pane(Pane::Spectrum);
        let strip = tiles.insert_tab_tile(vec![timeline, queue, training, log]);
        let middle = tiles.insert_vertical_tile(vec![viewport, strip]);
        let root = tiles.insert_horizontal_tile(vec![left, middle, spectrum]);
        set_shares(
            &mut tiles,
            root,
            &[
                MIXER_WIDTH,
                DESIGNED_FOR.x - MIXER_WIDTH - SPECTRUM_WIDTH,
                SPECTRUM_WIDTH,
            ],
        );
        set_shares(&mut tiles, middle, &[DESIGNED_FOR.y - TIMELINE_HEIGHT, TIMELINE_HEIGHT]);
        Self {
            tree: Tree::new(egui::Id::unique("studio layout"), root, tiles),
            size: DESIGNED_FOR,
        }
    }
}

fn set_shares(tiles: &mut Tiles<Pane>, id: TileId, shares: &[f32]) {
    if let Some(Tile::Container(Container::Linear(linear))) = tiles.get_mut(id) {
        for (child, share) in linear.children.clone().into_iter().zip(shares) {
            linear.shares.set_share(child, *share);
        }
    }
}

impl Layout {
    /// Draws all panes into `ui`.
    pub fn show(&mut self, ui: &mut Ui, context: &mut PaneContext<'_>) {
        self.resized_to(ui.available_size());
        let unread = context.state.log.unread_errors();
        self.tree.ui(&mut Docks { context, unread }, ui);
    }

    /// Brings a pane to the front.
    pub fn focus(&mut self, pane: Pane) {
        self.tree
            .make_active(|_, tile| matches!(tile, Tile::Pane(found) if *found == pane));
    }

    /// Whether every pane is there: a layout stored by another version may lack some.
    pub fn is_complete(&self) -> bool {
        Pane::ALL.iter().all(|pane| self.tree.tiles.find_pane(pane).is_some())
    }

    /// Adapts to the window's size; while that is too small for all panes, they shrink together and nothing is remembered.
    fn resized_to(&mut self, size: Vec2) {
        if size.x >= SMALLEST.x && size.y >= SMALLEST.y {
            self.absorb_resize(self.size, size);
            self.size = size;
        }
    }

    /// Gives a change of the window's size to the viewport and leaves the other panes as they are.
    fn absorb_resize(&mut self, before: Vec2, after: Vec2) {
        let Some(mut child) = self.tree.tiles.find_pane(&Pane::Viewport) else {
            return;
        };
        while let Some(parent) = self.tree.tiles.parent_of(child) {
            if let Some(Tile::Container(Container::Linear(linear))) = self.tree.tiles.get_mut(parent) {
                let (length_before, length_after) = match linear.dir {
                    egui_tiles::LinearDir::Horizontal => (before.x, after.x),
                    egui_tiles::LinearDir::Vertical => (before.y, after.y),
                };
                absorb(linear, child, length_before, length_after);
            }
            child = parent;
        }
    }
}

fn absorb(linear: &mut egui_tiles::Linear, viewport: TileId, before: f32, after: f32) {
    if (after - before).abs() < 0.5 {
        return;
    }
    let lengths = linear.shares.split(&linear.children, before);
    for (child, length) in linear.children.clone().into_iter().zip(lengths) {
        let length = if child == viewport {
            (length + after - before).max(MIN_PANE)
        } else {
            length
        };
        linear.shares.set_share(child, length);
    }
}

/// What the docks ask for while they are drawn.
struct Docks<'a, 'b> {
    context: &'a mut PaneContext<'b>,
    unread: usize,
}

impl Behavior<Pane> for Docks<'_, '_> {
    fn pane_ui(&mut self, ui: &mut Ui, _id: TileId, pane: &mut Pane) -> UiResponse {
        let theme = theme::of(ui);
        ui.painter().rect_filled(ui.max_rect(), 0.0, theme.surface);
        Frame::new()
            .inner_margin(Margin::same(space::PANE as i8))
            .show(ui, |ui| match pane {
                Pane::Mixer => {
                    panes::lane_scope::show(ui, self.context);
                    panes::mixer::show(ui, self.context);
                }
                Pane::Model => panes::model::show(ui, self.context),
                Pane::Viewport => panes::viewport::show(ui, self.context),
                Pane::Timeline => panes::timeline::show(ui, self.context),
                Pane::Spectrum => panes::spectrum::show(ui, self.context),
                Pane::Training => panes::training::show(ui, self.context),
                Pane::Queue => panes::queue::show(ui, self.context),
                Pane::Log => panes::log::show(ui, self.context),
            });
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, pane: &Pane) -> WidgetText {
        match pane {
            Pane::Mixer => "Mixer".into(),
            Pane::Model => "Model".into(),
            Pane::Viewport => "Viewport".into(),
            Pane::Timeline => "Timeline".into(),
            Pane::Spectrum => "Spectrum".into(),
            Pane::Training => "Training".into(),
            Pane::Queue => match self.context.state.queue.open_entries() {
                0 => "Queue".into(),
                open => format!("Queue ({open})").into(),
            },
            Pane::Log if self.unread > 0 => format!("Log ({})", self.unread).into(),
            Pane::Log => "Log".into(),
        }
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

    fn tab_bg_color(&self, visuals: &Visuals, _tiles: &Tiles<Pane>, _id: TileId, state: &TabState) -> Color32 {
        if state.active {
            theme::by_mode(visuals.dark_mode).surface
        } else {
            Color32::TRANSPARENT
        }
    }

    fn tab_outline_stroke(&self, _visuals: &Visuals, _tiles: &Tiles<Pane>, _id: TileId, _state: &TabState) -> Stroke {
        Stroke::NONE
    }

    fn tab_bar_hline_stroke(&self, _visuals: &Visuals) -> Stroke {
        Stroke::NONE
    }

    fn tab_text_color(&self, visuals: &Visuals, tiles: &Tiles<Pane>, id: TileId, state: &TabState) -> Color32 {
        let theme = theme::by_mode(visuals.dark_mode);
        let has_news = self.unread > 0 && tiles.get_pane(&id) == Some(&Pane::Log);
        match (state.active, has_news) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn width_of(layout: &Layout, pane: Pane, total: f32) -> f32 {
        let tiles = &layout.tree.tiles;
        let root = layout.tree.root().expect("the default layout has a root");
        let Some(Tile::Container(Container::Linear(linear))) = tiles.get(root) else {
            panic!("the root is a row");
        };
        let mut id = tiles.find_pane(&pane).expect("every pane is there");
        while tiles.parent_of(id) != Some(root) {
            id = tiles.parent_of(id).expect("every pane is under the root");
        }
        let index = linear
            .children
            .iter()
            .position(|&child| child == id)
            .expect("a child of the root");
        linear.shares.split(&linear.children, total)[index]
    }

    #[test]
    fn the_viewport_takes_up_a_change_of_the_windows_width() {
        let mut layout = Layout::default();
        layout.resized_to(Vec2::new(1280.0, 700.0));
        assert!((width_of(&layout, Pane::Mixer, 1280.0) - MIXER_WIDTH).abs() < 0.5);
        assert!((width_of(&layout, Pane::Spectrum, 1280.0) - SPECTRUM_WIDTH).abs() < 0.5);
    }

    #[test]
    fn a_window_resized_to_nothing_and_back_keeps_all_panes() {
        let mut layout = Layout::default();
        layout.resized_to(Vec2::new(1.0, 1.0));
        layout.resized_to(Vec2::new(800.0, 400.0));
        layout.resized_to(Vec2::new(1440.0, 848.0));
        assert!(layout.is_complete());
        for pane in [Pane::Mixer, Pane::Viewport, Pane::Spectrum] {
            assert!(width_of(&layout, pane, 1440.0) > 100.0, "{pane:?}");
        }
    }
}
