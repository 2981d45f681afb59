//! What is drawn: one file per pane. Panes read the [`State`], call its actions, and hand commands up; they keep nothing
//! themselves but how things are looked at ([`Looking`]).
//!
//! A new pane is a file with a type that implements [`Pane`], and a line in [`ALL`].

pub mod banners;
mod lane_color;
mod lane_scope;
pub mod log;
pub mod mixer;
pub mod model;
mod plots;
pub mod queue;
pub mod spectrum;
pub mod timeline;
pub mod top_bar;
pub mod training;
pub mod viewport;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use egui::{KeyboardShortcut, Ui};
use mdsd3_words::image::Rgba8;

use crate::colormap::ColorMap;
use crate::commands::Command;
use crate::compare::Comparing;
use crate::dialogs::Purpose;
use crate::state::State;
use crate::textures::Textures;
use crate::zoom::Zoom;

/// All panes, in the order of their tabs and in the menu.
pub const ALL: &[PaneId] = &[
    mixer::PANE,
    model::PANE,
    viewport::PANE,
    timeline::PANE,
    queue::PANE,
    training::PANE,
    log::PANE,
    spectrum::PANE,
];

/// What docks, menu, palette and saved layouts need of a pane.
pub trait Pane: Send + Sync {
    /// What a saved layout calls it: one word that is never changed.
    fn key(&self) -> &'static str;

    /// What its tab says now.
    fn title(&self, state: &State) -> String;

    /// Whether its tab asks for attention.
    fn is_urgent(&self, _state: &State) -> bool {
        false
    }

    /// What the command that brings it to the front is called.
    fn command(&self) -> &'static str;

    /// The keys for that command, if any.
    fn shortcuts(&self) -> &'static [KeyboardShortcut] {
        &[]
    }

    /// Where it is on a first start, and in a layout that was saved before there was such a pane.
    fn place(&self) -> Place;

    /// Draws it.
    fn show(&self, ui: &mut Ui, studio: &mut PaneContext<'_>);
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
pub struct PaneId(&'static dyn Pane);

impl PaneId {
    /// The pane that a saved layout calls `key`.
    pub fn of_key(key: &str) -> Option<Self> {
        ALL.iter().copied().find(|pane| pane.key() == key)
    }
}

impl Deref for PaneId {
    type Target = dyn Pane;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl PartialEq for PaneId {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for PaneId {}

impl Hash for PaneId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Debug for PaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// How things are looked at, as opposed to what they are.
#[derive(Debug, Default)]
pub struct Looking {
    /// Magnification and position of the images, the same for all.
    pub zoom: Zoom,
    /// Screen pixels per image pixel in the frame before.
    pub shown_scale: f32,
    /// How lanes are compared.
    pub comparing: Comparing,
    /// What the Spectrum shows.
    pub spectrum: spectrum::SpectrumLook,
    /// Colours of spectra.
    pub color_map: ColorMap,
    /// The class whose curve is edited, by its place.
    pub curve_of: usize,
    /// The attention head that is set alone.
    pub head: Option<usize>,
    /// A file that a pane asks for; the dialog opens after the panes are drawn.
    pub ask_for: Option<Purpose>,
    /// The name of a preset while it is typed.
    pub preset_name: Option<String>,
}

/// What a pane works with.
pub struct PaneContext<'a> {
    /// What the studio knows.
    pub state: &'a mut State,
    /// How it is looked at.
    pub looking: &'a mut Looking,
    /// Textures of images.
    pub textures: &'a mut Textures,
    /// Commands that were asked for in this frame.
    pub commands: &'a mut Vec<Command>,
    /// The program's icon; empty when there is none.
    pub icon: &'a Rgba8,
    /// Pixel format of the window, when shaders can draw into it.
    pub shader_target: Option<wgpu::TextureFormat>,
}
