//! What comes in from outside: files that are dropped, images and paths that are pasted.

use std::path::{Path, PathBuf};

use egui::{Color32, ColorImage, Event, Ui};
use mdsd3_words::image::Rgba8;

use super::Studio;
use crate::config_file::{self, APP_ID};
use crate::dialogs::DEPTH_EXTENSIONS;

impl Studio {
    /// Opens what was dropped or pasted in this frame; a paste into a text field is the field's.
    pub(super) fn open_incoming(&mut self, ui: &Ui) {
        let dropped: Vec<PathBuf> = ui.input(|input| {
            input
                .raw
                .dropped_files
                .iter()
                .map(|file| file.path().to_owned())
                .collect()
        });
        match &dropped[..] {
            // The hint over the window says so while the file is held there.
            [map] if self.looking.weather.shows_depth && is_image(map) => self.state.set_depth(Some(map.clone())),
            _ => self.state.open_files(dropped),
        }
        if ui.ctx().text_edit_focused() || self.dialogs.is_modal_open() || self.overlay.is_open() {
            return;
        }
        for event in ui.input(|input| input.events.clone()) {
            match event {
                Event::Paste(text) => self.state.open_pasted_text(&text),
                Event::PasteImage(image) => self.state.open_pasted_image(rgba8(&image), kept_folder()),
                _ => {}
            }
        }
    }
}

/// Whether a file may be a depth map.
fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    DEPTH_EXTENSIONS.iter().any(|known| extension == **known)
}

/// Where pasted images and drawn masks are kept: beside the preferences, or with the system's temporary files.
pub(super) fn kept_folder() -> PathBuf {
    let folder = config_file::data_folder(APP_ID).unwrap_or_else(std::env::temp_dir);
    folder.join("pasted")
}

fn rgba8(image: &ColorImage) -> Rgba8 {
    Rgba8 {
        width: image.width() as u32,
        height: image.height() as u32,
        pixels: image.pixels.iter().flat_map(Color32::to_srgba_unmultiplied).collect(),
    }
}
