//! The Spectrum: power over frequency of any image or residual, and when each degradation forms.

mod export;
mod formation;
pub mod look;
mod map;
mod radial;
mod source;

use egui::{Align, Layout, Ui};

use crate::colormap::ColorMap;
use crate::commands::Command;
use crate::icons::Icon;
use crate::pane_id::{PaneFacts, PaneId, Place};
use crate::panes::context::{Pane, PaneContext};
use crate::state::State;
use crate::theme::{self, space};
use crate::widgets::{drop_down, empty_state, segmented, text_button};

pub use export::{save, suggested_name};
pub use look::{BandChoice, Minus, SpectrumLook, SpectrumOf, View};

/// Power over frequency.
pub const PANE: PaneId = PaneId::new(&PaneFacts {
    key: "Spectrum",
    icon: Icon::BARS,
    command: "Show the spectrum",
    shortcuts: &[],
    place: Place::Right,
});

pub(super) struct SpectrumPane;

impl Pane for SpectrumPane {
    fn title(&self, _state: &State) -> String {
        "Spectrum".to_owned()
    }

    fn show(&self, ui: &mut Ui, studio: &mut PaneContext<'_>) {
        show(ui, studio);
    }
}

fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    if studio.state.scene.is_none() {
        let rect = ui.available_rect_before_wrap();
        let color = theme::of(ui).text_weak;
        empty_state(
            ui,
            rect,
            Icon::PICTURE,
            "No spectrum",
            "Open a photo to see its spectrum, and a mix to compare with it.",
            color,
        );
        return;
    }
    tabs(ui, studio);
    ui.add_space(space::TIGHT);
    match studio.looking.spectrum.view {
        View::Spectra => spectra(ui, studio),
        View::Formation => formation::show(ui, studio),
    }
}

fn tabs(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.horizontal(|ui| {
        let choices = [
            (View::Spectra, "Spectra", "Power over frequency of images and residuals"),
            (
                View::Formation,
                "Formation",
                "When each degradation forms, band energy over noise level",
            ),
        ];
        segmented(ui, "spectrum view", &mut studio.looking.spectrum.view, &choices);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let help = "Save what is shown here as SVG, PNG, CSV or Parquet";
            if text_button(ui, "Save figure…", help).clicked() {
                studio.commands.push(Command::SaveFigure);
            }
        });
    });
}

fn spectra(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    controls(ui, studio);
    ui.add_space(space::TIGHT);
    let Some(shown) = source::shown(studio.state, &mut studio.looking.spectrum, theme::of(ui)) else {
        return;
    };
    let range = source::log_range(&shown);
    let of_step = studio.looking.spectrum.of == SpectrumOf::Step;
    let (map, name) = match (shown.selected(), of_step) {
        (Some(lane), true) => (lane.spectrum.clone(), shown.map_name.clone()),
        _ => (shown.scene.spectrum.clone(), shown.scene.name.clone()),
    };
    map::show(ui, studio, &map, &name, range);
    ui.add_space(space::PANE);
    radial::show(ui, &shown, range);
}

fn controls(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let (look, color_map) = (&mut studio.looking.spectrum, &mut studio.looking.color_map);
    ui.horizontal(|ui| {
        let choices = [
            (
                SpectrumOf::Step,
                "Step",
                "Spectrum of the selected lane's chosen step; of the scene until there is one",
            ),
            (SpectrumOf::Scene, "Scene", "Spectrum of the scene"),
        ];
        segmented(ui, "spectrum of", &mut look.of, &choices);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            color_choice(ui, color_map);
        });
    });
    let choices = [
        (Minus::Nothing, "Image", "Spectra of the lanes' images"),
        (
            Minus::Scene,
            "Minus scene",
            "Spectra of what the lanes add to the scene",
        ),
        (
            Minus::Clean,
            "Minus clean",
            "Spectra of what the lanes add to the clean branch on the same noise, which is rendered for it",
        ),
    ];
    segmented(ui, "spectrum residual", &mut look.minus, &choices);
}

fn color_choice(ui: &mut Ui, map: &mut ColorMap) {
    let choices = ColorMap::ALL
        .into_iter()
        .map(|choice| (choice, choice.name().to_owned(), ""));
    drop_down(ui, "spectrum colours", 96.0, map, choices);
}
