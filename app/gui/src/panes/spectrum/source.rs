//! Which spectra are shown: the scene's, and that of every lane's chosen step or of its residual.

use std::collections::VecDeque;
use std::sync::Arc;

use egui::Color32;
use mdsd3_engine::data::difference_spectrum;
use mdsd3_words::image::{Rgba8, SpectrumFrame};
use mdsd3_words::lane::LaneKind;

use super::look::{Minus, SpectrumLook};
use crate::panes::lane_color::lane_color;
use crate::state::State;
use crate::theme::Theme;

/// Spectra of residuals that are kept: a few steps of a few lanes.
const KEPT_RESIDUALS: usize = 32;

/// A spectrum in the pane.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// What it is of.
    pub name: String,
    /// Its line.
    pub color: Color32,
    /// Whether its line is dashed: a physical baseline's.
    pub dashed: bool,
    /// The spectrum.
    pub spectrum: SpectrumFrame,
}

/// All spectra in the pane.
#[derive(Debug, Clone)]
pub(super) struct AllShown {
    /// The scene's.
    pub scene: Shown,
    /// The lanes', in their order.
    pub lanes: Vec<Shown>,
    /// Which of them is the selected lane's.
    selected: Option<usize>,
    /// What its 2-D spectrum is called.
    pub map_name: String,
}

impl AllShown {
    /// The selected lane's.
    pub fn selected(&self) -> Option<&Shown> {
        self.lanes.get(self.selected?)
    }

    /// The scene's line, then the lanes'.
    pub fn lines(&self) -> impl Iterator<Item = &Shown> {
        std::iter::once(&self.scene).chain(&self.lanes)
    }
}

/// What the pane shows now; `None` without a photo.
pub(super) fn shown(state: &State, look: &mut SpectrumLook, theme: &Theme) -> Option<AllShown> {
    let scene = state.scene.as_ref()?;
    let several = state.lanes().len() > 1;
    let (mut lanes, mut selected) = (Vec::new(), None);
    for (index, slot) in state.lanes().iter().enumerate() {
        let Some(spectrum) = lane_spectrum(state, index, look.minus, &mut look.residuals) else {
            continue;
        };
        let is_selected = index == state.selected_lane();
        if is_selected {
            selected = Some(lanes.len());
        }
        lanes.push(Shown {
            name: if several {
                state.lane_name(index)
            } else {
                step_name(state)
            },
            color: lane_color(theme, state, index),
            dashed: slot.setup.kind == LaneKind::Physical,
            spectrum,
        });
    }
    let minus = match look.minus {
        Minus::Nothing => "",
        Minus::Scene => " minus scene",
        Minus::Clean => " minus clean",
    };
    Some(AllShown {
        scene: Shown {
            name: "scene".to_owned(),
            color: theme.scene_line,
            dashed: false,
            spectrum: scene.spectrum.clone(),
        },
        lanes,
        selected,
        map_name: step_name(state) + minus,
    })
}

fn lane_spectrum(state: &State, index: usize, minus: Minus, residuals: &mut Residuals) -> Option<SpectrumFrame> {
    let lane = state.lanes().get(index)?.result.as_ref()?;
    let frame = state.frame_of(lane)?;
    match minus {
        Minus::Nothing => Some(frame.spectrum.clone()),
        Minus::Scene => residuals.of(&frame.image, &state.scene.as_ref()?.image),
        Minus::Clean => residuals.of(&frame.image, &state.frame_of(state.clean_lane()?)?.image),
    }
}

fn step_name(state: &State) -> String {
    let Some((lane, step)) = state.lane().and_then(|lane| Some((lane, state.step_of(lane)?))) else {
        return "step".to_owned();
    };
    if step == lane.steps() {
        "result".to_owned()
    } else {
        format!("step {}", step + 1)
    }
}

/// Whole powers of ten that enclose all radial averages, with one below for the bins under the mean.
pub(super) fn log_range(shown: &AllShown) -> (f32, f32) {
    let radial = shown.lines().flat_map(|line| line.spectrum.radial.iter());
    let logs = radial
        .filter(|(radius, power)| *radius > 0.0 && *power > 0.0)
        .map(|(_, power)| power.log10());
    let (low, high) = logs.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), log| {
        (low.min(log), high.max(log))
    });
    if low > high {
        (-6.0, 0.0)
    } else {
        (low.floor() - 1.0, high.ceil().max(low.floor() + 1.0))
    }
}

/// Spectra of differences of images, kept so that a frame doesn't compute them again.
#[derive(Debug, Default)]
pub struct Residuals {
    /// Newest first.
    known: VecDeque<Residual>,
}

#[derive(Debug)]
struct Residual {
    image: Arc<[u8]>,
    minus: Arc<[u8]>,
    spectrum: SpectrumFrame,
}

impl Residuals {
    /// The spectrum of `image - minus`; `None` when their sizes differ.
    fn of(&mut self, image: &Rgba8, minus: &Rgba8) -> Option<SpectrumFrame> {
        let same =
            |known: &Residual| Arc::ptr_eq(&known.image, &image.pixels) && Arc::ptr_eq(&known.minus, &minus.pixels);
        if let Some(known) = self.known.iter().find(|known| same(known)) {
            return Some(known.spectrum.clone());
        }
        let spectrum = difference_spectrum(image, minus)?;
        // Keeping the pixels keeps their addresses, by which they are known, from being reused.
        self.known.push_front(Residual {
            image: Arc::clone(&image.pixels),
            minus: Arc::clone(&minus.pixels),
            spectrum: spectrum.clone(),
        });
        self.known.truncate(KEPT_RESIDUALS);
        Some(spectrum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(radial: Vec<(f32, f32)>) -> AllShown {
        AllShown {
            scene: Shown {
                name: "scene".to_owned(),
                color: Color32::WHITE,
                dashed: false,
                spectrum: SpectrumFrame {
                    width: 1,
                    height: 1,
                    log_power: vec![0.0].into(),
                    radial: radial.into(),
                },
            },
            lanes: Vec::new(),
            selected: None,
            map_name: String::new(),
        }
    }

    #[test]
    fn the_range_is_whole_powers_of_ten() {
        assert_eq!(log_range(&shown(vec![(0.1, 2000.0), (0.5, 0.02)])), (-3.0, 4.0));
        assert_eq!(log_range(&shown(vec![])), (-6.0, 0.0));
        let (low, high) = log_range(&shown(vec![(0.1, 1.0)]));
        assert!(low < high);
    }

    #[test]
    fn a_residual_is_computed_once() {
        let image = |level: u8| Rgba8 {
            width: 2,
            height: 2,
            pixels: vec![level; 16].into(),
        };
        let (image, minus, mut residuals) = (image(200), image(100), Residuals::default());
        let first = residuals.of(&image, &minus).expect("one size");
        let second = residuals.of(&image, &minus).expect("one size");
        assert!(Arc::ptr_eq(&first.log_power, &second.log_power));
        assert_eq!(residuals.known.len(), 1);
    }
}
