//! The figures of the report. Colours are told apart by people with any colour vision: classes by Okabe and Ito's palette
//! (2008), bands by viridis.

use mdsd3_model::spectrum::bands::{BANDS, band_edges};
use mdsd3_model::spectrum::bootstrap::{Estimate, estimate};

use super::Analysis;
use super::chart::{Axis, Figure, Panel, Scale, Series};
use super::findings::in_words;
use super::tables::MEASURES;
use super::trajectory::Space;
use super::variants::{GRID_ALPHAS, GRID_BETAS};

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

/// Share of the final energy over sigma: a panel per mix, a line per band.
pub fn formation(analysis: &Analysis, space: Space) -> Figure {
    let panels = (0..analysis.lanes.mixes.len())
        .map(|lane| formation_panel(analysis, lane, space))
        .collect();
    let unit = if space == Space::Latents {
        "Band (cycles per latent sample):"
    } else {
        "Band (cycles per pixel):"
    };
    Figure {
        panels,
        legend_title: unit.to_owned(),
    }
}

fn formation_panel(analysis: &Analysis, lane: usize, space: Space) -> Panel {
    let bands = (0..BANDS).filter(|band| {
        analysis
            .final_energy(lane, space, *band)
            .is_some_and(|energy| energy.mean > 0.0)
    });
    let series = bands.map(|band| {
        let shares: Vec<Option<Estimate>> = (0..analysis.sigmas.len())
            .map(|step| analysis.share(lane, space, band, step))
            .collect();
        let label = in_words(band).replace(" cycles/px", "");
        series(
            &label,
            band_color(band),
            analysis.sigmas.iter().map(|s| f64::from(*s)).zip(shares),
            false,
        )
    });
    Panel {
        title: analysis.lanes.names[lane].clone(),
        x: Axis::linear("noise level sigma", (1.0, 0.0), &[1.0, 0.8, 0.6, 0.4, 0.2, 0.0]),
        y: Axis::linear(
            "share of final energy",
            (0.0, 1.6),
            &[0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5],
        ),
        level: Some(0.5),
        series: series.collect(),
    }
}

/// Radial power of the final residuals, and when each band forms.
pub fn spectra(analysis: &Analysis) -> Figure {
    Figure {
        panels: vec![radial_panel(analysis), formed_panel(analysis)],
        legend_title: "Mix:".to_owned(),
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
        series,
    }
}

fn formed_panel(analysis: &Analysis) -> Panel {
    let of_lane = |lane: usize| {
        // Lanes stand a little apart, or their bars would hide each other.
        let apart = 1.0 + 0.06 * (lane as f64 - (analysis.lanes.mixes.len() as f64 - 1.0) / 2.0);
        let points = (1..BANDS).map(|band| {
            let (low, high) = band_edges(band);
            let middle = if low > 0.0 {
                f64::from(low * high).sqrt()
            } else {
                f64::from(high) / 2f64.sqrt()
            };
            (
                middle * apart,
                analysis
                    .formed(lane, Space::Pixels, band, 0.5)
                    .map(|formed| formed.sigma),
            )
        });
        series(
            &analysis.lanes.names[lane],
            lane_color(lane),
            points.collect::<Vec<_>>(),
            true,
        )
    };
    Panel {
        title: "Half of a band's energy is there".to_owned(),
        x: frequency_axis(),
        y: Axis::linear(
            "formed at sigma (1 is early)",
            (0.0, 1.0),
            &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
        ),
        level: None,
        series: (0..analysis.lanes.mixes.len()).map(of_lane).collect(),
    }
}

fn frequency_axis() -> Axis {
    let ticks = [256, 128, 64, 32, 16, 8, 4, 2].map(|period| (1.0 / f64::from(period), format!("1/{period}")));
    Axis {
        label: "frequency (cycles per pixel)".to_owned(),
        scale: Scale::Log,
        range: (1.0 / 300.0, 0.55),
        ticks: ticks.into(),
    }
}

/// Measures over beta, a line per alpha: one figure per class.
pub fn alpha_beta(analysis: &Analysis, lane: usize) -> Figure {
    let titles = [
        ("veil", "veil (0..1)"),
        ("streak", "streak (RMS of 255)"),
        ("color_distance", "colour distance to scene (0..1)"),
    ];
    let panels = titles.iter().filter_map(|(measure, title)| {
        let (_, of) = MEASURES.iter().find(|(name, _)| name == measure)?;
        let lines: Vec<Series> = GRID_ALPHAS
            .iter()
            .enumerate()
            .map(|(index, alpha)| {
                let points = GRID_BETAS.map(|beta| (f64::from(beta), analysis.grid_measure(lane, *alpha, beta, *of)));
                series(&format!("{alpha}"), band_color(2 * index), points, true)
            })
            .collect();
        let largest = lines
            .iter()
            .flat_map(|line| line.interval.iter().map(|i| i.1))
            .filter(|v| v.is_finite())
            .fold(0.0, f64::max);
        Some(Panel {
            title: analysis.lanes.names[lane].clone(),
            x: Axis::linear("beta (weight of the scene)", (-0.05, 0.8), &[0.0, 0.25, 0.5, 0.75]),
            y: Axis::from_zero(title, largest),
            level: None,
            series: lines,
        })
    });
    Figure {
        panels: panels.collect(),
        legend_title: "alpha (weight of the noise):".to_owned(),
    }
}

fn series(
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

fn lane_color(lane: usize) -> [u8; 3] {
    LANE_COLORS[lane % LANE_COLORS.len()]
}

/// Dark blue for the mean to green-yellow for the finest.
fn band_color(band: usize) -> [u8; 3] {
    use colorgrad::Gradient;
    let [red, green, blue, _] = colorgrad::preset::viridis().at(band as f32 / BANDS as f32).to_rgba8();
    [red, green, blue]
}
