//! What a pane is, and what it works with.

use super::spectrum::look::SpectrumLook;
use crate::colormap::ColorMap;
use crate::commands::Command;
use crate::compare::Comparing;
use crate::dialogs::Purpose;
use crate::picture::Pictures;
use crate::state::State;
use crate::textures::Textures;
use crate::zoom::Zoom;
use egui::Ui;
use mdsd3_words::image::{LayerView, Rgba8};

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
    /// What is shown of the weather.
    pub weather: WeatherLook,
}

/// What is shown of the weather.
#[derive(Debug, Default)]
pub struct WeatherLook {
    /// Whether the scene's depth is shown in place of the photo.
    pub shows_depth: bool,
    /// Whether a layer is shown in place of the physical lane's image.
    pub shows_layers: bool,
    /// Name of the layer; the first one when there is none of that name.
    pub layer: String,
    /// A path while it is typed: the field's name, and the text.
    pub typing: Option<(&'static str, String)>,
    /// The class whose region is being drawn, and its corners so far: left, top, right and bottom in shares of the scene.
    pub drawing: Option<(String, [f32; 4])>,
    /// A region that was drawn; its mask is written after the panes are drawn.
    pub drawn: Option<(String, [f32; 4])>,
    /// Maps as pictures.
    pub pictures: Pictures,
}

impl WeatherLook {
    /// The chosen layer's place.
    pub fn layer_index(&self, layers: &[LayerView]) -> usize {
        layers.iter().position(|layer| layer.name == self.layer).unwrap_or(0)
    }
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
