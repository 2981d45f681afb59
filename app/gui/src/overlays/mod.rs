//! What is drawn over everything and takes the keyboard: one thing at a time.

pub mod palette;
pub mod preferences;
pub mod shortcuts;

use egui::Context;

use crate::commands::Command;
use crate::state::State;
use crate::state::palette::Palette;

/// The overlay that is open.
#[derive(Debug, Default)]
pub enum Overlay {
    /// None.
    #[default]
    None,
    /// The command palette.
    Palette(Palette),
    /// The sheet of shortcuts.
    Shortcuts,
    /// What is remembered.
    Preferences,
}

impl Overlay {
    /// Whether the overlay takes the keyboard.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Draws it; the command that was chosen in it, if any.
    pub fn show(&mut self, ctx: &Context, state: &State) -> Option<Command> {
        let (chosen, done) = match self {
            Self::None => return None,
            Self::Palette(palette) => palette::show(ctx, palette, state),
            Self::Shortcuts => (None, shortcuts::show(ctx)),
            Self::Preferences => preferences::show(ctx, state),
        };
        if done {
            *self = Self::None;
            // What lies under it is to be seen at once, not at the next event.
            ctx.request_repaint();
        }
        chosen
    }
}
