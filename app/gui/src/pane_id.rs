//! Which pane: what commands, menus and saved layouts know of one without drawing it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use egui::{Key, KeyboardShortcut, Modifiers};

use crate::icons::Icon;

/// What is fixed about a pane.
#[derive(Debug)]
pub struct PaneFacts {
    /// What a saved layout calls it: one word that is never changed.
    pub key: &'static str,
    /// What stands before its name in its tab, the menu and the palette.
    pub icon: Icon,
    /// What the command that brings it to the front is called.
    pub command: &'static str,
    /// The keys for that command, if any.
    pub shortcuts: &'static [KeyboardShortcut],
    /// Where it is on a first start, and in a layout that was saved before there was such a pane.
    pub place: Place,
}

/// Where a pane is on a first start; panes of one place are tabs beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The column on the left.
    Left,
    /// Between the columns.
    Middle,
    /// Under the middle.
    Below,
    /// The column on the right.
    Right,
}

/// One of the panes, to be named and compared.
#[derive(Clone, Copy)]
pub struct PaneId(&'static PaneFacts);

impl PaneId {
    /// The pane with these facts.
    pub const fn new(facts: &'static PaneFacts) -> Self {
        Self(facts)
    }
}

/// The Model pane, which messages lead to.
pub const MODEL: PaneId = PaneId::new(&PaneFacts {
    key: "Model",
    icon: Icon::BOX,
    command: "Show the model",
    shortcuts: &[KeyboardShortcut::new(Modifiers::COMMAND, Key::M)],
    place: Place::Left,
});

/// The queue of datasets, which messages lead to.
pub const QUEUE: PaneId = PaneId::new(&PaneFacts {
    key: "Queue",
    icon: Icon::LIST,
    command: "Show the queue",
    shortcuts: &[KeyboardShortcut::new(Modifiers::COMMAND, Key::J)],
    place: Place::Below,
});

/// The Training pane, which messages lead to.
pub const TRAINING: PaneId = PaneId::new(&PaneFacts {
    key: "Training",
    icon: Icon::LOSS,
    command: "Show the training",
    shortcuts: &[],
    place: Place::Below,
});

impl Deref for PaneId {
    type Target = PaneFacts;

    fn deref(&self) -> &PaneFacts {
        self.0
    }
}

impl PartialEq for PaneId {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for PaneId {}

impl Hash for PaneId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Debug for PaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)
    }
}
