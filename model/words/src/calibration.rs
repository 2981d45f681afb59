//! What a ratio amounts to in an image: measured figures that a model folder may carry in `calibration.json`.
//!
//! A ratio is a mask value, not a physical quantity. What it does was measured on photos that the model has not seen, for
//! the model and for the formulas of its training data, and is shown beside the sliders. The figures are those of
//! `tests/bench/evaluate_model.py`, which writes the file:
//!
//! ```json
//! {"haze": {"figure": "veil", "model": [[0.5, 0.434], [1, 0.685]], "physical": [[0.5, 0.437], [1, 0.683]]}}
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// Name of the file in a model folder.
const FILE: &str = "calibration.json";

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Share of the contrast between 4 and 24 px that is lost, 0 to 1.
    Veil,
    /// Root mean square of what is new at high frequency, of 255.
    Streak,
}

/// Measured figures of one class, by ascending ratio.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Calibration {
    /// What was measured.
    pub figure: Figure,
    /// (ratio, figure) of what the model makes.
    pub model: Vec<(f32, f32)>,
    /// The same of the formulas at the severity of the ratio.
    #[serde(default)]
    pub physical: Vec<(f32, f32)>,
}

impl Calibration {
    /// What `ratio` amounts to, in words: "43 % veiled · physical 44 %". Nothing for a ratio of 0.
    pub fn in_words(&self, ratio: f32) -> Option<String> {
        if ratio <= 0.0 {
            return None;
        }
        let model = interpolated(&self.model, ratio)?;
        let (strength, unit): (fn(f32) -> String, &str) = match self.figure {
            Figure::Veil => (|share| format!("{:.0} %", share * 100.0), "veiled"),
            Figure::Streak => (|rms| format!("{rms:.1}"), "/ 255 RMS"),
        };
        let beyond = self.model.last().is_some_and(|last| ratio > last.0 + 1e-3);
        let about = if beyond { "about " } else { "" };
        let words = format!("{about}{} {unit}", strength(model));
        Some(match interpolated(&self.physical, ratio) {
            Some(physical) => format!("{words} · physical {}", strength(physical)),
            None => words,
        })
    }
}

/// The figure at a ratio: linear between the measured points and 0 at ratio 0; beyond the last point it goes on as between
/// the last two.
fn interpolated(points: &[(f32, f32)], ratio: f32) -> Option<f32> {
    let above = points
        .partition_point(|point| point.0 < ratio)
        .min(points.len().checked_sub(1)?);
    let (r1, f1) = points[above];
    let (r0, f0) = above.checked_sub(1).map_or((0.0, 0.0), |index| points[index]);
    Some(if r1 > r0 {
        (f0 + (f1 - f0) * (ratio - r0) / (r1 - r0)).max(0.0)
    } else {
        f1
    })
}

/// Calibrations by class, in the order of `classes`, `None` for a class that was not measured; a file that can't be read
/// is one that is not there, as nothing but a caption depends on it.
pub fn of_classes(json: &str, classes: &[String]) -> Vec<Option<Calibration>> {
    let mut known: BTreeMap<String, Calibration> = serde_json::from_str(json).unwrap_or_else(|error| {
        tracing::warn!("{FILE} is not used: {error}");
        BTreeMap::new()
    });
    classes.iter().map(|class| known.remove(class)).collect()
}

/// The text of the file beside a model, if there is one.
pub fn beside(model: &Path) -> Option<String> {
    let folder = if model.is_dir() { model } else { model.parent()? };
    std::fs::read_to_string(folder.join(FILE)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn haze() -> Calibration {
        Calibration {
            figure: Figure::Veil,
            model: vec![(0.5, 0.4), (1.0, 0.6)],
            physical: vec![(1.0, 0.7)],
        }
    }

    #[test]
    fn ratios_between_and_beyond_the_measured_ones_are_interpolated() {
        for (ratio, expected) in [(0.0, 0.0), (0.25, 0.2), (0.5, 0.4), (0.75, 0.5), (1.0, 0.6), (1.5, 0.8)] {
            let found = interpolated(&haze().model, ratio).expect("there are points");
            assert!((found - expected).abs() < 1e-6, "{ratio}: {found}");
        }
        assert_eq!(interpolated(&[], 1.0), None);
    }

    #[test]
    fn strengths_are_said_with_units_and_guesses_are_called_so() {
        let words = |ratio| haze().in_words(ratio).unwrap_or_default();
        assert_eq!(words(0.0), "");
        assert_eq!(words(0.5), "40 % veiled · physical 35 %");
        assert!(words(1.2).starts_with("about 68 %"), "{}", words(1.2));
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let classes = ["haze".to_owned(), "fog".to_owned()];
        assert_eq!(of_classes("{", &classes), [None, None]);
        let json = r#"{"haze": {"figure": "veil", "model": [[0.5, 0.4], [1, 0.6]], "physical": [[1, 0.7]]}}"#;
        assert_eq!(of_classes(json, &classes), [Some(haze()), None]);
    }
}
