//! What a pane is, and what it works with.

use super::spectrum::look::SpectrumLook;
use crate::colormap::ColorMap;
use crate::commands::Command;
use crate::compare::Comparing;
use crate::dialogs::Purpose;
use crate::state::State;
use crate::textures::Textures;
use crate::zoom::Zoom;
use egui::Ui;
use mdsd3_words::image::Rgba8;

/// What a pane shows and how its tab looks. What is fixed about it is in its [`PaneFacts`](crate::pane_id::PaneFacts).
pub trait Pane {
    /// What its tab says now.
    fn title(&self, state: &State) -> String;

    /// Whether its tab asks for attention.
    fn is_urgent(&self, _state: &State) -> bool {
        false
    }

    /// Draws it.
    fn show(&self, ui: &mut Ui, studio: &mut PaneContext<'_>);
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
    pub spectrum: SpectrumLook,
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
