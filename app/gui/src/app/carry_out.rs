//! What each command does.

use std::path::{Path, PathBuf};

use egui::{ColorImage, ViewportCommand};
use mdsd3_engine::data::write_png_with_parameters;
use mdsd3_words::image::Rgba8;

use super::Studio;
use crate::commands::Command;
use crate::compare::Cell;
use crate::dialogs::Purpose;
use crate::layout::Layout;
use crate::notice::Level;
use crate::overlays::Overlay;
use crate::panes::viewport::chosen_layer;
use crate::panes::{Looking, spectrum};
use crate::state::palette::Palette;
use crate::style;
use crate::theme::Look;
use crate::zoom::Zoom;

impl Studio {
    /// Does what a command asks for: what is the window's here, the rest in [`State::carry_out`].
    pub(super) fn carry_out(&mut self, ctx: &egui::Context, command: Command) {
        match command {
            Command::SaveImage if self.state.finished_run().is_none() => {
                let message = "There is no finished result to save yet: press Mix and wait for it";
                self.state.messages.notify(Level::Warning, message, None);
            }
            Command::OpenPath => self.dialogs.open_path(Purpose::OpenPhoto, "", String::new()),
            Command::Paste => ctx.send_viewport_cmd(ViewportCommand::RequestPaste),
            Command::CopyImage => self.copy_image(ctx),
            Command::NextCompare => {
                let mode = &mut self.looking.comparing.mode;
                *mode = mode.next();
            }
            Command::ZoomIn | Command::ZoomOut => {
                let looking = &mut self.looking;
                looking.zoom = looking.zoom.stepped(looking.shown_scale, command == Command::ZoomIn);
            }
            Command::ToggleDepth => {
                let weather = &mut self.looking.weather;
                weather.shows_depth = !weather.shows_depth;
            }
            Command::ToggleLayers => {
                let weather = &mut self.looking.weather;
                weather.shows_layers = !weather.shows_layers;
            }
            Command::NextLayer => self.next_layer(),
            Command::ZoomFit => self.looking.zoom = Zoom::default(),
            Command::ZoomOriginal => self.looking.zoom = Zoom::original(),
            Command::ToggleLook => {
                self.look = self.look.toggled();
                style::show(ctx, self.look);
            }
            Command::Show(pane) => self.layout.focus(pane),
            Command::ShowPalette => self.overlay = Overlay::Palette(Palette::default()),
            Command::ShowPreferences => self.overlay = Overlay::Preferences,
            Command::ShowShortcuts => self.overlay = Overlay::Shortcuts,
            Command::ResetPreferences => self.reset_preferences(ctx),
            Command::ResetLayout => self.layout = Layout::default(),
            Command::Quit => ctx.send_viewport_cmd(ViewportCommand::Close),
            _ => match Purpose::of(command) {
                Some(purpose) => self.dialogs.open_native(ctx, purpose, &self.suggested(purpose)),
                None => self.state.carry_out(command),
            },
        }
    }

    /// Shows the next layer; the first after the last, and the one that was chosen when none was shown.
    fn next_layer(&mut self) {
        let weather = &mut self.looking.weather;
        let was_shown = std::mem::replace(&mut weather.shows_layers, true);
        if let Some(Ok(layers)) = self.state.layers().filter(|_| was_shown) {
            let next = (weather.layer_index(layers) + 1) % layers.len().max(1);
            weather.layer = layers.get(next).map(|layer| layer.name.clone()).unwrap_or_default();
        }
    }

    /// The name that a file is suggested to get.
    fn suggested(&self, purpose: Purpose) -> String {
        match purpose {
            Purpose::SaveFigure => spectrum::suggested_name(self.looking.spectrum.view).to_owned(),
            _ => self.suggested_name(),
        }
    }

    /// Saves what is seen: a difference or an interaction as the map that is shown, anything else as the finished image with
    /// its settings.
    pub fn save_seen(&mut self, path: PathBuf) {
        let Some((image, words)) = self.seen_layer().or_else(|| self.seen_map()) else {
            return self.state.save_result(path);
        };
        let (level, message) = match write_png_with_parameters(&path, &image, words) {
            Ok(()) => (Level::Success, format!("Saved {}", path.display())),
            Err(error) => (Level::Error, error.one_line()),
        };
        self.state.messages.notify(level, message, None);
    }

    /// The layer that is shown in place of the physical lane's image, with what it is.
    fn seen_layer(&mut self) -> Option<(Rgba8, String)> {
        let (lane, picture) = chosen_layer(&self.state, &mut self.looking.weather, self.looking.color_map)?;
        let request = self.state.request_of(lane);
        let words = format!(
            "{}\nMix: {}, Seed: {}, Size: {}",
            picture.in_words(),
            request.sampling.mix,
            request.sampling.seed,
            request.scene.size
        );
        Some((picture.image.clone(), words))
    }

    /// The signed map in the selected lane's cell, with what it is.
    fn seen_map(&self) -> Option<(Rgba8, String)> {
        let comparing = &self.looking.comparing;
        let Cell::Map(sum, formula) = comparing.cell(&self.state, self.state.selected_lane(), self.state.now_secs())
        else {
            return None;
        };
        let request = &self.state.lane()?.request;
        let range = comparing.range_levels;
        let words = format!(
            "{formula}, luma from -{range} to {range} of 255 levels\nMix: {}, Seed: {}, Steps: {}, Size: {}",
            request.sampling.mix, request.sampling.seed, request.sampling.steps, request.scene.size
        );
        Some((sum.colored(range)?, words))
    }

    /// Everything as on the first start, but for photo, model and presets.
    fn reset_preferences(&mut self, ctx: &egui::Context) {
        self.state.reset_settings();
        self.state.recent.clear();
        self.layout = Layout::default();
        self.looking = Looking::default();
        self.look = Look::default();
        style::show(ctx, self.look);
        ctx.set_zoom_factor(1.0);
        self.state.messages.notify(
            Level::Success,
            "Preferences are as on the first start; undo brings the settings back",
            None,
        );
    }

    /// Writes what the Spectrum shows.
    pub fn save_figure(&mut self, path: &Path) {
        let saved = spectrum::save(&self.state, &mut self.looking.spectrum, path);
        let (level, message) = match saved {
            Ok(()) => (Level::Success, format!("Saved {}", path.display())),
            Err(error) => (Level::Error, error.one_line()),
        };
        self.state.messages.notify(level, message, None);
    }

    /// Puts what is seen on the clipboard: the signed map, the shown step's image, or the photo while there is no step.
    fn copy_image(&mut self, ctx: &egui::Context) {
        let map = self.seen_layer().or_else(|| self.seen_map()).map(|(image, _)| image);
        let frame = self.state.shown_frame().map(|frame| &frame.image);
        let shown = map.as_ref().or(frame);
        let Some(image) = shown.or(self.state.scene.as_ref().map(|scene| &scene.image)) else {
            return;
        };
        let size = [image.width as usize, image.height as usize];
        ctx.copy_image(ColorImage::from_rgba_unmultiplied(size, &image.pixels));
        let message = format!("Copied {} × {} px", image.width, image.height);
        self.state.messages.notify(Level::Success, message, None);
    }

    /// A name that says what is in the file, without spaces and with no dot but the extension's.
    pub(super) fn suggested_name(&self) -> String {
        let Some(lane) = self.state.lane() else {
            return "mix.png".to_owned();
        };
        let stem = lane
            .request
            .scene
            .path
            .as_ref()
            .and_then(|path| path.file_stem())
            .map_or_else(|| "demo".into(), |stem| stem.to_string_lossy());
        let classes = lane.request.sampling.mix.active();
        let parts: Vec<String> = classes
            .map(|(class, ratio)| format!("_{class}-{:.0}", ratio * 100.0))
            .collect();
        let plain = |letter: char| {
            if letter.is_alphanumeric() || "_-".contains(letter) {
                letter
            } else {
                '-'
            }
        };
        let stem: String = stem.chars().map(plain).collect();
        format!("{stem}{}.png", parts.concat())
    }
}
