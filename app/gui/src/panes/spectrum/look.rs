//! How the Spectrum is looked at.

use mdsd3_engine::data::{BandFormation, LaneFormation};

use super::source::Residuals;

/// What the pane shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// Spectra of images and residuals.
    #[default]
    Spectra,
    /// Band energy over sigma.
    Formation,
}

/// Whose 2-D spectrum is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpectrumOf {
    /// The chosen step's.
    #[default]
    Step,
    /// The scene's.
    Scene,
}

/// What is taken off the lanes' images before their spectra.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Minus {
    /// Nothing.
    #[default]
    Nothing,
    /// The scene.
    Scene,
    /// The clean branch at the same step.
    Clean,
}

/// How the pane is looked at.
#[derive(Debug, Default)]
pub struct SpectrumLook {
    /// Spectra or formation.
    pub view: View,
    /// Step or scene.
    pub of: SpectrumOf,
    /// Image or residual.
    pub minus: Minus,
    /// The band of the formation curves.
    pub band: BandChoice,
    /// Spectra of residuals that were computed lately.
    pub residuals: Residuals,
}

impl SpectrumLook {
    /// Whether the clean branch is needed.
    pub fn needs_clean(&self) -> bool {
        self.view == View::Spectra && self.minus == Minus::Clean
    }
}

/// Which band's energy is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BandChoice {
    /// All bands together.
    #[default]
    All,
    /// One of them, counted from the mean.
    Band(usize),
}

impl BandChoice {
    /// That band of a lane.
    pub(super) fn of(self, lane: &LaneFormation) -> Option<&BandFormation> {
        match self {
            Self::All => lane.bands.last(),
            Self::Band(index) => lane.bands.get(index),
        }
    }
}
