//! Lanes: mixes that are made side by side, and how they are told apart.

use serde::{Deserialize, Serialize};

/// Identifies one run; the caller chooses it, events carry it back.
pub type RunId = u64;

/// Identifies one lane; the caller chooses it, and frames and results carry it back.
pub type LaneId = u64;

/// What makes a lane's image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneKind {
    /// The model, step by step.
    #[default]
    Sampled,
    /// Formulas, at once: the physical baseline, whose severities are the mix's ratios.
    Physical,
}
