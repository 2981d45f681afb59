//! The figures of the report. Colours are told apart by people with any colour vision: classes by Okabe and Ito's palette
//! (2008), bands by viridis.

use std::ops::Range;

use mdsd3_model::spectrum::bands::{BANDS, band_edges};
use mdsd3_model::spectrum::bootstrap::{Estimate, estimate};
use mdsd3_model::spectrum::formation::log_snr;
use mdsd3_render::metadata;

use crate::analysis::Analysis;
use crate::figure::Figure;
use crate::figure::chart::{Axis, Panel, Series};
use crate::figure::heat::{self, Heat};
use crate::figure::spectra::{frequency_axis, power_scale, two_d_panel};
use crate::findings::in_words;
use crate::summary::ALL_BANDS;
use crate::trajectory::Space;

/// Okabe and Ito without yellow, which is faint on white.
const LANE_COLORS: [[u8; 3]; 7] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [86, 180, 233],
    [230, 159, 0],
    [90, 90, 90],
];

/// All bands together.
const ALL_COLOR: [u8; 3] = [34, 34, 34];

/// What energies are drawn over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Noise level.
    Sigma,
    /// Step from 1.
    Step,
    /// Log signal-to-noise ratio; the first step of pure noise has none.
    LogSnr,
}

impl Over {
    /// Position of a step.
    fn of(self, step: usize, sigma: f32) -> f64 {
        match self {
            Self::Sigma => f64::from(sigma),
            Self::Step => (step + 1) as f64,
            Self::LogSnr => log_snr(f64::from(sigma)),
        }
    }

    fn axis(self, steps: usize) -> Axis {
        match self {
            Self::Sigma => Axis::linear("noise level sigma", (1.0, 0.0), &[1.0, 0.8, 0.6, 0.4, 0.2, 0.0]),
            Self::Step => {
                let apart = steps.div_ceil(5).max(1);
                let ticks: Vec<f64> = (1..=steps).step_by(apart).map(|step| step as f64).collect();
                Axis::linear("step", (1.0, steps.max(2) as f64), &ticks)
            }
            Self::LogSnr => Axis::linear(
                "log-SNR, 2 ln((1 - sigma) / sigma)",
                (-6.0, 6.0),
                &[-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0],
            ),
        }
    }
}

/// A figure that says what was analysed and carries the settings.
pub(super) fn of_analysis(analysis: &Analysis, panels: impl IntoIterator<Item = Panel>) -> Figure {
    let request = &analysis.request;
    let sampling = &request.run.sampling;
    let seeds = match request.seeds {
        1 => format!("seed {}", sampling.seed),
        seeds => format!("seeds {} to {}", sampling.seed, sampling.seed + (seeds - 1)),
    };
    let note = format!(
        "{}, {seeds}, ratio {}, {} steps of {}, guidance {}, {} px, model {}, mdsd3 {}",
        analysis.scenes.join(", "),
        request.ratio,
        sampling.steps,
        sampling.sampler.name(),
        sampling.guidance,
        request.run.scene.size,
        analysis.model.name,
        mdsd3_words::VERSION
    );
    // A request is plain data that always has a JSON form.
    let json = serde_json::to_string(request).unwrap_or_default();
    Figure {
        panels: panels.into_iter().collect(),
        texts: vec![(metadata::PARAMETERS_KEYWORD, format!("{note}\n{json}"))],
        note,
        ..Figure::default()
    }
}

/// Share of the final energy: a panel per mix and per what a mix does beyond its parts, a line per band and one for all.
pub fn formation(analysis: &Analysis, space: Space, over: Over) -> Figure {
    let panels = (0..analysis.lanes.names.len()).map(|lane| formation_panel(analysis, lane, space, over));
    let panels = panels.filter(|panel| !panel.series.is_empty());
    let unit = if space == Space::Latents {
        "Band (cycles per latent sample):"
    } else {
        "Band (cycles per pixel):"
    };
    Figure {
        legend_title: unit.to_owned(),
        ..of_analysis(analysis, panels)
    }
}

fn formation_panel(analysis: &Analysis, lane: usize, space: Space, over: Over) -> Panel {
    let bands = (0..=ALL_BANDS).filter(|band| {
        analysis
            .final_energy(lane, space, *band)
            .is_some_and(|energy| energy.mean > 0.0)
    });
    let series = bands.map(|band| {
        let steps = analysis.sigmas.iter().enumerate();
        let points = steps.map(|(step, sigma)| (over.of(step, *sigma), analysis.share(lane, space, band, step)));
        let label = in_words(band).replace(" cycles/px", "");
        let color = if band == ALL_BANDS { ALL_COLOR } else { band_color(band) };
        let points = points.filter(|(x, _)| x.is_finite());
        series(&label, color, points.collect::<Vec<_>>(), false)
    });
    let series: Vec<Series> = series.collect();
    Panel {
        title: analysis.lanes.names[lane].clone(),
        x: over.axis(analysis.sigmas.len()),
        // Shares overshoot their final value: a little in mixes, tenfold in what a mix does beyond its parts.
        y: Axis::from_zero("share of final energy", largest(&series).max(1.2)),
        level: Some(0.5),
        heat: None,
        series,
    }
}

/// Mean 2-D spectrum of every lane's final residual, on one scale.
pub fn spectra_2d(analysis: &Analysis) -> Figure {
    let (images, ends) = heat::images(&analysis.mean_spectra.iter().collect::<Vec<_>>());
    let panel = |(name, heat): (&String, Heat)| two_d_panel(name, Some(heat));
    Figure {
        color_scale: Some(power_scale(ends)),
        ..of_analysis(analysis, analysis.lanes.names.iter().zip(images).map(panel))
    }
}

/// Radial power of the final residuals, and when each band forms.
pub fn spectra(analysis: &Analysis) -> Figure {
    Figure {
        legend_title: "Mix:".to_owned(),
        ..of_analysis(analysis, [radial_panel(analysis), formed_panel(analysis)])
    }
}

fn radial_panel(analysis: &Analysis) -> Panel {
    let of_lane = |lane: usize| {
        let endings: Vec<_> = analysis.endings.iter().filter(|ending| ending.lane == lane).collect();
        let radii = endings.first().map(|ending| ending.radial.clone()).unwrap_or_default();
        let points = radii.into_iter().enumerate().map(|(ring, (radius, _))| {
            let mut groups = vec![Vec::new(); analysis.scenes.len()];
            for ending in &endings {
                groups[ending.scene].extend(ending.radial.get(ring).map(|(_, power)| f64::from(*power)));
            }
            (f64::from(radius), estimate(&groups))
        });
        series(
            &analysis.lanes.names[lane],
            lane_color(lane),
            points.collect::<Vec<_>>(),
            false,
        )
    };
    let series: Vec<Series> = (0..analysis.lanes.names.len()).map(of_lane).collect();
    let powers = || {
        series
            .iter()
            .flat_map(|line| &line.points)
            .map(|point| point.1)
            .filter(|power| *power > 0.0)
    };
    let range = (
        powers().fold(f64::INFINITY, f64::min).min(1.0),
        powers().fold(0.0, f64::max).max(1e-9),
    );
    Panel {
        title: "Final residual".to_owned(),
        x: frequency_axis(),
        y: Axis::decades("power per bin (luma squared)", range),
        level: None,
        heat: None,
        series,
    }
}

fn formed_panel(analysis: &Analysis) -> Panel {
    let formed = |lane, band| Some(analysis.formed(lane, Space::Pixels, band, 0.5)?.sigma);
    let axis = Axis::linear(
        "formed at sigma (1 is early)",
        (0.0, 1.0),
        &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
    );
    by_band(
        analysis,
        "Half of a band's energy is there",
        axis,
        0..analysis.lanes.mixes.len(),
        &formed,
    )
}

/// How residuals hang together with their scenes, and what classes do to each other.
pub fn structure(analysis: &Analysis) -> Figure {
    let mixes = analysis.lanes.mixes.len();
    // A band that a small image has no bins in has no phase either.
    let has_bins = |band| {
        analysis
            .final_energy(0, Space::Pixels, band)
            .is_some_and(|energy| energy.mean > 0.0)
    };
    let phase = |lane, band| {
        has_bins(band)
            .then(|| analysis.final_phase_coherence(lane, band))
            .flatten()
    };
    let coherence = Axis::linear("cosine of phase difference", (-1.0, 1.0), &[-1.0, -0.5, 0.0, 0.5, 1.0]);
    let share = |lane: usize, band| analysis.interaction_share(lane - mixes, Space::Pixels, band);
    let lanes = mixes..analysis.lanes.names.len();
    let largest = lanes
        .clone()
        .flat_map(|lane| (1..BANDS).filter_map(move |band| share(lane, band)))
        .fold(0.05, |largest: f64, share| largest.max(share.high));
    let added = Axis::from_zero("share of the mix's energy", largest);
    let panels = [
        by_band(analysis, "Phase coherence with the scene", coherence, 0..mixes, &phase),
        by_band(analysis, "Beyond the sum of its parts", added, lanes, &share),
    ];
    Figure {
        legend_title: "Mix:".to_owned(),
        ..of_analysis(analysis, panels)
    }
}

/// A value per band above the mean and lane, at the geometric middle of the band.
fn by_band(
    analysis: &Analysis,
    title: &str,
    y: Axis,
    lanes: Range<usize>,
    value: &dyn Fn(usize, usize) -> Option<Estimate>,
) -> Panel {
    let centre = (lanes.len() as f64 - 1.0) / 2.0;
    let of_lane = |(place, lane): (usize, usize)| {
        // Lanes stand a little apart, or their bars would hide each other.
        let apart = 1.0 + 0.06 * (place as f64 - centre);
        let points = (1..BANDS).map(|band| (middle_of(band) * apart, value(lane, band)));
        series(
            &analysis.lanes.names[lane],
            lane_color(lane),
            points.collect::<Vec<_>>(),
            true,
        )
    };
    Panel {
        title: title.to_owned(),
        x: frequency_axis(),
        y,
        level: None,
        heat: None,
        series: lanes.enumerate().map(of_lane).collect(),
    }
}

fn middle_of(band: usize) -> f64 {
    let (low, high) = band_edges(band);
    if low > 0.0 {
        f64::from(low * high).sqrt()
    } else {
        f64::from(high) / 2f64.sqrt()
    }
}

/// Upper end of the highest interval.
pub(super) fn largest(lines: &[Series]) -> f64 {
    let ends = lines.iter().flat_map(|line| &line.interval).map(|interval| interval.1);
    ends.filter(|end| end.is_finite()).fold(0.0, f64::max)
}

pub(super) fn series(
    label: &str,
    color: [u8; 3],
    points: impl IntoIterator<Item = (f64, Option<Estimate>)>,
    marked: bool,
) -> Series {
    let (mut line, mut interval) = (Vec::new(), Vec::new());
    for (x, found) in points {
        line.push((x, found.map_or(f64::NAN, |e| e.mean)));
        interval.push(found.map_or((f64::NAN, f64::NAN), |e| (e.low, e.high)));
    }
    Series {
        label: label.to_owned(),
        color,
        points: line,
        interval,
        marked,
    }
}

pub(super) fn lane_color(lane: usize) -> [u8; 3] {
    LANE_COLORS[lane % LANE_COLORS.len()]
}

/// Dark blue for the mean to green-yellow for the finest.
pub(super) fn band_color(band: usize) -> [u8; 3] {
    use colorgrad::Gradient;
    let [red, green, blue, _] = colorgrad::preset::viridis().at(band as f32 / BANDS as f32).to_rgba8();
    [red, green, blue]
}
