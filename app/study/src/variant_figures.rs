//! The figures of what [`crate::variants`] runs.

use crate::analysis::Analysis;
use crate::figure::Figure;
use crate::figure::chart::{Axis, Panel, Scale, Series};
use crate::figures::{band_color, lane_color, largest, of_analysis, series};
use crate::summary::Measure;
use crate::tables::{MEASURES, PLAIN};
use crate::variants::{GRID_ALPHAS, GRID_BETAS};

/// Results of each way of sampling on the same seeds: a panel per measure, a colour per sampler.
pub fn samplers(analysis: &Analysis) -> Figure {
    let kinds = analysis.variant_kinds();
    let mut lanes: Vec<usize> = kinds.iter().map(|(lane, _)| *lane).collect();
    lanes.dedup();
    let mut names = vec![PLAIN];
    for (_, name) in &kinds {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let titles = [
        ("veil", "veil (0..1)"),
        ("streak", "new fine detail (RMS of 255)"),
        ("high_band_rms", "the same above 1/4 cycle/px (RMS of 255)"),
        ("anisotropy", "anisotropy of new detail (0..1)"),
    ];
    let panels = titles.into_iter().filter_map(|(measure, title)| {
        let (_, of) = MEASURES.iter().find(|(name, _)| *name == measure)?;
        Some(samplers_panel(analysis, &lanes, &names, *of, title))
    });
    Figure {
        legend_title: "Sampler:".to_owned(),
        ..of_analysis(analysis, panels)
    }
}

fn samplers_panel(analysis: &Analysis, lanes: &[usize], names: &[&str], of: Measure, title: &str) -> Panel {
    let apart = 0.6 / names.len() as f64;
    let lines: Vec<Series> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let offset = (index as f64 - (names.len() as f64 - 1.0) / 2.0) * apart;
            let points = lanes.iter().enumerate().map(|(place, lane)| {
                let found = if *name == PLAIN {
                    analysis.measured(*lane, of)
                } else {
                    analysis.variant_measured(*lane, name, of)
                };
                (place as f64 + offset, found)
            });
            // Points of different mixes are not joined: a gap lies between them.
            let gapped = points.flat_map(|point| [point, (point.0, None)]);
            series(name, lane_color(index), gapped.collect::<Vec<_>>(), true)
        })
        .collect();
    let ticks = lanes.iter().enumerate();
    let ticks = ticks.map(|(place, lane)| (place as f64, analysis.lanes.names[*lane].clone()));
    Panel {
        title: String::new(),
        x: Axis {
            label: "mix".to_owned(),
            scale: Scale::Linear,
            range: (-0.5, lanes.len() as f64 - 0.5),
            ticks: ticks.collect(),
        },
        y: Axis::from_zero(title, largest(&lines)),
        level: None,
        heat: None,
        series: lines,
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
        Some(Panel {
            title: analysis.lanes.names[lane].clone(),
            x: Axis::linear("beta (weight of the scene)", (-0.05, 0.8), &[0.0, 0.25, 0.5, 0.75]),
            y: Axis::from_zero(title, largest(&lines)),
            level: None,
            heat: None,
            series: lines,
        })
    });
    Figure {
        legend_title: "alpha (weight of the noise):".to_owned(),
        ..of_analysis(analysis, panels)
    }
}
