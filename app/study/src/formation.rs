//! What the studio shows of an analysis, as plain data: curves with intervals, "formed at" marks, sentences.

use mdsd3_model::spectrum::bands::{BANDS, band_edges};
use mdsd3_model::spectrum::bootstrap::Estimate;

use crate::analysis::Analysis;
use crate::figure::{Figure, Table};
use crate::figures::{self, Over};
use crate::findings::{findings, in_words};
use crate::summary::ALL_BANDS;
use crate::tables;
use crate::trajectory::Space;

/// A mean with its 95 % interval over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl From<Estimate> for Interval {
    fn from(estimate: Estimate) -> Self {
        Self {
            mean: estimate.mean,
            low: estimate.low,
            high: estimate.high,
        }
    }
}

/// How one band of a lane's residual grows.
#[derive(Debug, Clone, PartialEq)]
pub struct BandFormation {
    /// The band in words, such as "1/8-1/4 cycles/px", "mean" or "all".
    pub name: String,
    /// Its edges in cycles per pixel.
    pub edges_per_px: (f32, f32),
    /// Its part of the lane's final energy, 0 to 1.
    pub final_share: f64,
    /// Per step the energy as a share of the final one; `None` where there is none.
    pub shares: Vec<Option<Interval>>,
    /// Noise level at which half of the final energy is there.
    pub formed_at_sigma: Option<Interval>,
    /// Runs in which it was there at the first step already, so that `formed_at_sigma` is only a bound.
    pub runs_at_start: usize,
}

/// How one lane forms.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneFormation {
    /// Its name, such as "haze+rain".
    pub name: String,
    /// The bands from the mean up, and last all of them together.
    pub bands: Vec<BandFormation>,
}

/// How all lanes form, measured over seeds on one scene.
#[derive(Debug, Clone, PartialEq)]
pub struct Formation {
    /// Noise level of each step.
    pub sigmas: Vec<f32>,
    /// Seeds it rests on.
    pub seeds: u64,
    /// The mixes, then what each does beyond the sum of its parts.
    pub lanes: Vec<LaneFormation>,
    /// What the numbers say.
    pub findings: Vec<String>,
    /// The curves as a figure.
    pub figure: Figure,
    /// The numbers behind it.
    pub table: Table,
    /// Seconds it took.
    pub elapsed_secs: f32,
}

impl Formation {
    /// The part of an analysis that is about formation in pixels.
    pub fn new(analysis: &Analysis) -> Self {
        let lane = |lane: usize| LaneFormation {
            name: analysis.lanes.names[lane].clone(),
            bands: (0..=ALL_BANDS)
                .map(|band| band_formation(analysis, lane, band))
                .collect(),
        };
        Self {
            sigmas: analysis.sigmas.clone(),
            seeds: analysis.request.seeds,
            lanes: (0..analysis.lanes.names.len()).map(lane).collect(),
            findings: findings(analysis),
            figure: figures::formation(analysis, Space::Pixels, Over::Sigma),
            table: tables::formation(analysis),
            elapsed_secs: analysis.elapsed_secs,
        }
    }
}

fn band_formation(analysis: &Analysis, lane: usize, band: usize) -> BandFormation {
    let formed = analysis.formed(lane, Space::Pixels, band, 0.5);
    let share = |step| analysis.share(lane, Space::Pixels, band, step).map(Interval::from);
    let final_share = analysis.final_share(lane, Space::Pixels, band);
    BandFormation {
        name: in_words(band),
        edges_per_px: if band < BANDS {
            band_edges(band)
        } else {
            (0.0, band_edges(BANDS - 1).1)
        },
        final_share: final_share.map_or(0.0, |share| share.mean),
        shares: (0..analysis.sigmas.len()).map(share).collect(),
        formed_at_sigma: formed.map(|formed| formed.sigma.into()),
        runs_at_start: formed.map_or(0, |formed| formed.at_start),
    }
}
