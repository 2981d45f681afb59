//! What comes in from outside: files that are dropped, images and paths that are pasted.

use std::path::PathBuf;

use egui::{Color32, ColorImage, Event, Ui};
use mdsd3_words::image::Rgba8;

use super::Studio;
use crate::config_file::{self, APP_ID};

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
        self.state.open_files(dropped);
        if ui.ctx().text_edit_focused() || self.dialogs.is_modal_open() || self.overlay.is_open() {
            return;
        }
        for event in ui.input(|input| input.events.clone()) {
            match event {
                Event::Paste(text) => self.state.open_pasted_text(&text),
                Event::PasteImage(image) => self.state.open_pasted_image(rgba8(&image), pasted_folder()),
                _ => {}
            }
        }
    }
}

/// Where pasted images are kept: beside the preferences, or with the system's temporary files.
fn pasted_folder() -> PathBuf {
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
