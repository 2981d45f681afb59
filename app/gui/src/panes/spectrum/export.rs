//! What the pane shows as a file.

use std::path::Path;

use egui::Color32;
use mdsd3_engine::EngineError;
use mdsd3_engine::figure::spectra::{self, NamedSpectrum};
use mdsd3_engine::figure::{self, Figure, Table};

use super::look::{SpectrumLook, SpectrumOf, View};
use super::source::{self, Shown};
use crate::state::State;
use crate::theme;

/// A name for the file of what is shown.
pub fn suggested_name(view: View) -> &'static str {
    match view {
        View::Spectra => "spectra.svg",
        View::Formation => "formation.svg",
    }
}

/// Saves what the pane shows: a figure (`.svg`, `.png`) or the numbers behind it (`.csv`, `.parquet`).
///
/// # Errors
/// [`EngineError`] when there is nothing to save yet, for another extension, and when the file can't be written.
pub fn save(state: &State, look: &mut SpectrumLook, path: &Path) -> Result<(), EngineError> {
    let (figure, table) = match look.view {
        View::Spectra => spectra(state, look),
        View::Formation => {
            let measured = state.formation.result.as_ref();
            measured.map(|(_, formation)| (formation.figure.clone(), formation.table.clone()))
        }
    }
    .ok_or_else(|| EngineError::bad_input("there is nothing to save yet: open a photo, or measure first".to_owned()))?;
    Ok(figure::write(path, &figure, &table)?)
}

fn spectra(state: &State, look: &mut SpectrumLook) -> Option<(Figure, Table)> {
    let of_step = look.of == SpectrumOf::Step;
    // Figures are on white, so their lines have the light look's colours.
    let shown = source::shown(state, look, theme::by_mode(false))?;
    let lines: Vec<NamedSpectrum<'_>> = shown.lines().map(named).collect();
    let several = shown.lanes.len() > 1;
    let map_name = match shown.selected() {
        Some(lane) if several => format!("{}, {}", lane.name, shown.map_name),
        _ => shown.map_name.clone(),
    };
    let map = match (shown.selected(), of_step) {
        (Some(lane), true) => NamedSpectrum {
            name: &map_name,
            ..named(lane)
        },
        _ => named(&shown.scene),
    };
    let run = state.lane().map(|lane| &lane.request);
    Some((spectra::figure(map, &lines, run), spectra::table(&lines)))
}

fn named(shown: &Shown) -> NamedSpectrum<'_> {
    let [red, green, blue, _] = Color32::to_array(&shown.color);
    NamedSpectrum {
        name: &shown.name,
        color: [red, green, blue],
        spectrum: &shown.spectrum,
    }
}
