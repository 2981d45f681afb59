//! Where the panes are: a tree of docks that the user can resize, drag and reset, and that is kept between sessions.

mod docks;
mod stored;

use egui::{Ui, Vec2};
use egui_tiles::{Container, Linear, LinearDir, Tabs, Tile, TileId, Tiles, Tree};
use serde::Serialize;

use crate::pane_id::{PaneId, Place};
use crate::panes::{self, PaneContext};
use docks::Docks;
pub(crate) use stored::StoredLayout;

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

/// Room that the viewport keeps while the other panes have their sizes, in points; in a smaller window all shrink together.
const LEAST_VIEWPORT: Vec2 = Vec2::new(320.0, 200.0);

/// The docks.
#[derive(Debug, Clone, Serialize)]
pub struct Layout {
    tree: Tree<PaneId>,
    /// Size that the shares were set for, in points.
    size: Vec2,
}

impl Default for Layout {
    fn default() -> Self {
        let mut tiles = Tiles::default();
        let mut tabs = |place| {
            let panes = panes::ALL.iter().filter(|pane| pane.place == place);
            let panes = panes.map(|&pane| tiles.insert_pane(pane)).collect();
            tiles.insert_tab_tile(panes)
        };
        let [left, middle, below, right] = [Place::Left, Place::Middle, Place::Below, Place::Right].map(&mut tabs);
        let rows = [(middle, DESIGNED_FOR.y - TIMELINE_HEIGHT), (below, TIMELINE_HEIGHT)];
        let center = tiles.insert_container(linear(LinearDir::Vertical, rows));
        let width = DESIGNED_FOR.x - MIXER_WIDTH - SPECTRUM_WIDTH;
        let columns = [(left, MIXER_WIDTH), (center, width), (right, SPECTRUM_WIDTH)];
        let root = tiles.insert_container(linear(LinearDir::Horizontal, columns));
        Self::of(root, tiles, DESIGNED_FOR)
    }
}

/// Tiles beside each other, each with its length in points.
fn linear(dir: LinearDir, children: impl IntoIterator<Item = (TileId, f32)>) -> Linear {
    let mut linear = Linear::new(dir, Vec::new());
    for (child, length) in children {
        linear.children.push(child);
        linear.shares.set_share(child, length);
    }
    linear
}

impl Layout {
    fn of(root: TileId, tiles: Tiles<PaneId>, size: Vec2) -> Self {
        let tree = Tree::new(egui::Id::unique("studio layout"), root, tiles);
        Self { tree, size }
    }

    /// Draws all panes into `ui`.
    pub fn show(&mut self, ui: &mut Ui, context: &mut PaneContext<'_>) {
        self.resized_to(ui.available_size());
        self.tree.ui(&mut Docks { context }, ui);
    }

    /// Brings a pane to the front.
    pub fn focus(&mut self, pane: PaneId) {
        self.tree
            .make_active(|_, tile| matches!(tile, Tile::Pane(found) if *found == pane));
    }

    /// Whether a pane is there.
    fn has(&self, pane: PaneId) -> bool {
        self.tree.tiles.find_pane(&pane).is_some()
    }

    /// Puts a pane in at its place: as a tab beside the panes of that place, or at that edge of the window without any.
    fn put_in(&mut self, pane: PaneId) {
        let tiles = &mut self.tree.tiles;
        let is_beside = |other: &&PaneId| other.place == pane.place;
        let neighbour = panes::ALL
            .iter()
            .filter(is_beside)
            .find_map(|other| tiles.find_pane(other));
        let new = tiles.insert_pane(pane);
        let parent = neighbour.and_then(|neighbour| tiles.parent_of(neighbour));
        if let Some(Tile::Container(Container::Tabs(tabs))) = parent.and_then(|parent| tiles.get_mut(parent)) {
            tabs.children.push(new);
            return;
        }
        let Some(root) = self.tree.root else { return };
        if let Some(neighbour) = neighbour {
            let tabs = tiles.insert_container(Tabs {
                children: vec![neighbour, new],
                active: Some(neighbour),
            });
            match parent.and_then(|parent| tiles.get_mut(parent)) {
                Some(Tile::Container(Container::Linear(linear))) => {
                    linear.shares.replace_with(neighbour, tabs);
                    let children = linear.children.iter_mut();
                    children
                        .filter(|child| **child == neighbour)
                        .for_each(|child| *child = tabs);
                }
                _ => self.tree.root = Some(tabs),
            }
            return;
        }
        let (dir, length, is_first) = match pane.place {
            Place::Left => (LinearDir::Horizontal, MIXER_WIDTH, true),
            Place::Middle => (LinearDir::Horizontal, self.size.x / 2.0, false),
            Place::Below => (LinearDir::Vertical, TIMELINE_HEIGHT, false),
            Place::Right => (LinearDir::Horizontal, SPECTRUM_WIDTH, false),
        };
        let whole = match dir {
            LinearDir::Horizontal => self.size.x,
            LinearDir::Vertical => self.size.y,
        };
        let mut parts = [(root, (whole - length).max(MIN_PANE)), (new, length)];
        if is_first {
            parts.reverse();
        }
        self.tree.root = Some(tiles.insert_container(linear(dir, parts)));
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
        let Some(mut child) = self.tree.tiles.find_pane(&panes::viewport::PANE) else {
            return;
        };
        while let Some(parent) = self.tree.tiles.parent_of(child) {
            if let Some(Tile::Container(Container::Linear(linear))) = self.tree.tiles.get_mut(parent) {
                let (length_before, length_after, least) = match linear.dir {
                    LinearDir::Horizontal => (before.x, after.x, LEAST_VIEWPORT.x),
                    LinearDir::Vertical => (before.y, after.y, LEAST_VIEWPORT.y),
                };
                absorb(linear, (child, least), length_before, length_after);
            }
            child = parent;
        }
    }
}

fn absorb(linear: &mut Linear, (viewport, least): (TileId, f32), before: f32, after: f32) {
    if (after - before).abs() < 0.5 {
        return;
    }
    let wanted: f32 = linear.children.iter().map(|&child| linear.shares[child]).sum();
    // Shares that don't fit are lengths that were set in a larger window: its panes get them back when there is room.
    let lengths = linear.shares.split(&linear.children, before.max(wanted));
    let others: f32 = linear
        .children
        .iter()
        .zip(&lengths)
        .filter(|(child, _)| **child != viewport)
        .map(|(_, length)| length)
        .sum();
    for (child, length) in linear.children.clone().into_iter().zip(lengths) {
        let length = if child == viewport {
            (after - others).max(least)
        } else {
            length
        };
        linear.shares.set_share(child, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width_of(layout: &Layout, pane: PaneId, total: f32) -> f32 {
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
        assert!((width_of(&layout, panes::mixer::PANE, 1280.0) - MIXER_WIDTH).abs() < 0.5);
        assert!((width_of(&layout, panes::spectrum::PANE, 1280.0) - SPECTRUM_WIDTH).abs() < 0.5);
    }

    #[test]
    fn panes_that_were_squeezed_get_their_widths_back_with_the_room() {
        let mut layout = Layout::default();
        for (width, height) in [(720.0, 480.0), (900.0, 480.0), (1440.0, 845.0)] {
            layout.resized_to(Vec2::new(width, height));
        }
        assert!((width_of(&layout, panes::mixer::PANE, 1440.0) - MIXER_WIDTH).abs() < 0.5);
        assert!((width_of(&layout, panes::spectrum::PANE, 1440.0) - SPECTRUM_WIDTH).abs() < 0.5);
    }

    #[test]
    fn a_window_resized_to_nothing_and_back_keeps_all_panes() {
        let mut layout = Layout::default();
        layout.resized_to(Vec2::new(1.0, 1.0));
        layout.resized_to(Vec2::new(800.0, 400.0));
        layout.resized_to(Vec2::new(1440.0, 848.0));
        assert!(panes::ALL.iter().all(|pane| layout.has(*pane)));
        for pane in [panes::mixer::PANE, panes::viewport::PANE, panes::spectrum::PANE] {
            assert!(width_of(&layout, pane, 1440.0) > 100.0, "{pane:?}");
        }
    }
}
