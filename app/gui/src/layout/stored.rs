//! Reading a layout that was saved: by this version, by one with other panes, or by hand.

use std::fmt;

use egui::Vec2;
use egui_tiles::{Container, Linear, LinearDir, Tabs, Tile, TileId, Tiles, Tree};
use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::{DESIGNED_FOR, Layout, linear};
use crate::pane_id::PaneId;
use crate::panes;

/// The name of panes in a saved layout, where each is written like the variant of an enum.
const TYPE_NAME: &str = "Pane";

/// Containers within each other; what lies deeper is left out.
const MAX_DEPTH: usize = 32;

/// Lengths that a pane or a window can have, in points.
const LENGTHS: std::ops::RangeInclusive<f32> = 1.0..=100_000.0;

/// A layout as it was saved.
#[derive(Deserialize)]
pub(crate) struct StoredLayout {
    tree: Tree<StoredPane>,
    size: Vec2,
}

/// A pane of a saved layout; `None` for one that this version doesn't have.
struct StoredPane(Option<PaneId>);

impl Serialize for PaneId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit_variant(TYPE_NAME, 0, self.key)
    }
}

impl<'de> Deserialize<'de> for StoredPane {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Key;

        impl Visitor<'_> for Key {
            type Value = StoredPane;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a pane")
            }

            fn visit_str<E: Error>(self, key: &str) -> Result<StoredPane, E> {
                Ok(StoredPane(panes::of_key(key)))
            }
        }

        // An enum would refuse a name that it doesn't know, and with it the whole layout.
        deserializer.deserialize_identifier(Key)
    }
}

impl StoredLayout {
    /// The layout with every pane of this version, and whether something in it could not be and was mended. Panes that
    /// another version has or lacks are no damage.
    pub(crate) fn restored(self) -> (Layout, bool) {
        let Self { tree, mut size } = self;
        let is_size = LENGTHS.contains(&size.x) && LENGTHS.contains(&size.y);
        if !is_size {
            size = DESIGNED_FOR;
        }
        let mut copy = Mending {
            stored: tree.tiles,
            tiles: Tiles::default(),
            is_mended: !is_size,
        };
        let Some(root) = tree.root.and_then(|root| copy.tile(root, 0)) else {
            return (Layout::default(), true);
        };
        let mut layout = Layout::of(root, copy.tiles, size);
        for &pane in panes::ALL {
            if !layout.has(pane) {
                layout.put_in(pane);
            }
        }
        (layout, copy.is_mended)
    }
}

/// Copies the tiles that can be.
struct Mending {
    stored: Tiles<StoredPane>,
    tiles: Tiles<PaneId>,
    is_mended: bool,
}

impl Mending {
    /// Copies a tile with all in it; `None` when nothing of it is left.
    fn tile(&mut self, id: TileId, depth: usize) -> Option<TileId> {
        // Taken out when it is met, so that one with two parents, or within itself, is met once.
        let Some(tile) = self.stored.remove(id).filter(|_| depth < MAX_DEPTH) else {
            self.is_mended = true;
            return None;
        };
        match tile {
            Tile::Pane(StoredPane(pane)) => {
                let pane = pane?;
                let is_twice = self.tiles.find_pane(&pane).is_some();
                self.is_mended |= is_twice;
                (!is_twice).then(|| self.tiles.insert_pane(pane))
            }
            Tile::Container(Container::Linear(stored)) => self.linear(&stored, depth),
            Tile::Container(Container::Tabs(Tabs { children, active })) => {
                let children = self.children(&children, depth);
                let first = children.first()?.1;
                let was_active = children.iter().find(|(before, _)| Some(*before) == active);
                let active = Some(was_active.map_or(first, |(_, id)| *id));
                let children = children.into_iter().map(|(_, id)| id).collect();
                Some(self.tiles.insert_container(Tabs { children, active }))
            }
            // The studio makes no grids.
            Tile::Container(Container::Grid(grid)) => {
                self.is_mended = true;
                let children: Vec<TileId> = grid.children().copied().collect();
                self.linear(&Linear::new(LinearDir::Horizontal, children), depth)
            }
        }
    }

    /// Children that are left, each with the number that it had.
    fn children(&mut self, children: &[TileId], depth: usize) -> Vec<(TileId, TileId)> {
        let copied = children.iter().map(|&id| Some((id, self.tile(id, depth + 1)?)));
        copied.flatten().collect()
    }

    fn linear(&mut self, stored: &Linear, depth: usize) -> Option<TileId> {
        let children = self.children(&stored.children, depth);
        let share = |id: TileId| Some(stored.shares[id]).filter(|share| *share > 0.0 && share <= LENGTHS.end());
        let shares: Vec<Option<f32>> = children.iter().map(|(before, _)| share(*before)).collect();
        let known: Vec<f32> = shares.iter().flatten().copied().collect();
        self.is_mended |= known.len() < shares.len();
        // In the place of one that can't be: as much as the others have on average.
        let average = known.iter().sum::<f32>() / known.len().max(1) as f32;
        let average = if known.is_empty() { 1.0 } else { average };
        let lengths = children.iter().zip(shares);
        let lengths = lengths.map(|((_, id), share)| (*id, share.unwrap_or(average)));
        let copied = linear(stored.dir, lengths);
        (!copied.children.is_empty()).then(|| self.tiles.insert_container(copied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layout that was saved before there were the panes Training, Queue and Weather, with one that this version doesn't have.
    const OLDER: &str = "(tree:(id:(1),root:Some((9)),tiles:(next_tile_id:12,tiles:{\
        (1):Pane(Mixer),(2):Pane(Model),(3):Container(Tabs((children:[(2),(1)],active:Some((1))))),\
        (4):Pane(Viewport),(5):Pane(Timeline),(6):Pane(Log),(10):Pane(Histogram),\
        (7):Container(Tabs((children:[(10),(6),(5)],active:Some((6))))),\
        (8):Container(Linear((children:[(4),(7)],dir:Vertical,shares:(shares:{(4):500.0,(7):345.0})))),\
        (11):Pane(Spectrum),\
        (9):Container(Linear((children:[(11),(8),(3)],dir:Horizontal,shares:(shares:{(11):400.0,(8):700.0,(3):340.0}))))\
        },invisible:[]),height:None,width:None),size:(x:1440.0,y:845.0))";

    fn restored(text: &str) -> (Layout, bool) {
        ron::from_str::<StoredLayout>(text).expect("a layout").restored()
    }

    /// The panes and containers in order, such as "[Mixer|Model]" for tabs and "(a 300, b 700)" for a row or a column.
    fn words(layout: &Layout, id: TileId) -> String {
        let words = |ids: &[TileId]| ids.iter().map(|&id| words(layout, id)).collect::<Vec<_>>();
        match layout.tree.tiles.get(id).expect("no tile is missing") {
            Tile::Pane(pane) => pane.key.to_owned(),
            Tile::Container(Container::Tabs(tabs)) => {
                let place = tabs.children.iter().position(|&child| Some(child) == tabs.active);
                let place = place.expect("a tab in front");
                format!("[{} at {place}]", words(&tabs.children).join("|"))
            }
            Tile::Container(Container::Linear(linear)) => {
                let shares = linear.children.iter().map(|&child| linear.shares[child].to_string());
                let parts = words(&linear.children).into_iter().zip(shares);
                let parts: Vec<String> = parts.map(|(words, share)| format!("{words} {share}")).collect();
                format!("({})", parts.join(", "))
            }
            Tile::Container(Container::Grid(_)) => "grid".to_owned(),
        }
    }

    fn text_of(layout: &Layout) -> String {
        words(layout, layout.tree.root().expect("a root"))
    }

    #[test]
    fn another_versions_layout_is_kept_with_what_it_lacks_put_in() {
        let (layout, is_mended) = restored(OLDER);
        assert!(!is_mended, "panes of other versions are no damage");
        assert_eq!(
            text_of(&layout),
            "([Spectrum|Weather at 0] 400, (Viewport 500, [Log|Timeline|Queue|Training at 0] 345) 700, [Model|Mixer at 1] 340)"
        );
    }

    #[test]
    fn a_layout_is_stored_in_the_words_of_earlier_versions_and_read_back_as_it_was() {
        let layout = Layout::default();
        let text = ron::to_string(&layout).expect("writable");
        for pane in [
            "Mixer", "Model", "Viewport", "Timeline", "Spectrum", "Training", "Queue", "Log",
        ] {
            assert!(text.contains(&format!("Pane({pane})")), "{text}");
        }
        let (again, is_mended) = restored(&text);
        assert_eq!((text_of(&again), is_mended), (text_of(&layout), false));
    }

    #[test]
    fn a_pane_whose_neighbours_are_gone_comes_to_its_edge_of_the_window() {
        let text = OLDER.replace("(children:[(11),(8),(3)]", "(children:[(8),(3)]");
        let (layout, _) = restored(&text);
        assert_eq!(
            text_of(&layout),
            "(((Viewport 500, [Log|Timeline|Queue|Training at 0] 345) 700, [Model|Mixer at 1] 340) 1060, [Spectrum|Weather at 0] 380)"
        );
    }

    #[test]
    fn what_can_not_be_is_mended_and_told() {
        let as_before = "([Spectrum|Weather at 0] 400, (Viewport 500, [Log|Timeline|Queue|Training at 0] 345) 700, [Model|Mixer at 1] 340)";
        for (good, bad, mended) in [
            (
                "(4):500.0",
                "(4):NaN",
                as_before.replace("Viewport 500", "Viewport 345"),
            ),
            ("(8):700.0", "(8):-1.0", as_before.replace(") 700", ") 370")),
            ("(11):400.0", "(11):1e30", as_before.replace("0] 400", "0] 520")),
            ("x:1440.0", "x:inf", as_before.to_owned()),
            ("y:845.0", "y:0.0", as_before.to_owned()),
            ("children:[(4),(7)]", "children:[(4),(9),(7)]", as_before.to_owned()),
            ("children:[(2),(1)]", "children:[(2),(1),(2)]", as_before.to_owned()),
            ("children:[(2),(1)]", "children:[(2),(77),(1)]", as_before.to_owned()),
            (
                "(10):Pane(Histogram)",
                "(10):Pane(Model)",
                as_before
                    .replace("[Log", "[Model|Log")
                    .replace("Training at 0", "Training at 1")
                    .replace("[Model|Mixer at 1]", "[Mixer at 0]"),
            ),
        ] {
            let text = OLDER.replace(good, bad);
            assert_ne!(text, OLDER, "{good}");
            let (layout, is_mended) = restored(&text);
            assert_eq!((text_of(&layout), is_mended), (mended, true), "{bad}");
        }
    }

    #[test]
    fn a_layout_without_a_known_pane_is_the_first_starts() {
        let text = "(tree:(id:(1),root:Some((1)),tiles:(next_tile_id:2,tiles:{(1):Pane(Histogram)},invisible:[]),\
            height:None,width:None),size:(x:1440.0,y:845.0))";
        for text in [
            text.to_owned(),
            text.replace("Some((1))", "None"),
            text.replace("Some((1))", "Some((5))"),
        ] {
            let (layout, is_mended) = restored(&text);
            assert_eq!((text_of(&layout), is_mended), (text_of(&Layout::default()), true));
        }
    }
}
