//! Tidy tables: one observation per line.

use std::fmt::Write;

use mdsd3_model::spectrum::bands::{BANDS, band_edges};
use mdsd3_model::spectrum::bootstrap::Estimate;
use mdsd3_model::spectrum::formation::{log_snr, share_of_final};
use mdsd3_model::spectrum::measures::Measures;

use super::Analysis;
use super::summary::{ALL_BANDS, Measure, THRESHOLDS};
use super::trajectory::Space;

/// Measures of results by name.
pub const MEASURES: [(&str, Measure); 5] = [
    ("veil", |m| m.veil),
    ("streak", |m| m.streak),
    ("anisotropy", |m| m.anisotropy),
    ("high_band", |m| m.high_band),
    ("color_distance", |m| m.color_distance),
];

/// Edges of a band in cycles per image pixel, whatever space it was measured in.
pub(super) fn edges_per_px(analysis: &Analysis, space: Space, band: usize) -> (f32, f32) {
    let factor = if space == Space::Latents {
        analysis.latent_factor as f32
    } else {
        1.0
    };
    let (low, high) = if band == ALL_BANDS {
        (0.0, band_edges(BANDS - 1).1)
    } else {
        band_edges(band)
    };
    (low / factor, high / factor)
}

/// `formation.csv`: energy and share of every run, step and band; coherence and slope in pixels only.
///
/// `lo` and `hi` are cycles per image pixel; `energy` is the mean square of the residual per sample (luma in `0..=1`, or
/// latents); `slope` repeats in every band of a step.
pub fn formation_csv(analysis: &Analysis) -> String {
    let mut csv = String::from("scene,seed,lane,space,band,lo,hi,step,sigma,log_snr,energy,share,coherence,slope\n");
    for t in &analysis.trajectories {
        let (scene, lane, space) = (&analysis.scenes[t.scene], &analysis.lanes.names[t.lane], t.space.name());
        let seed = if t.space == Space::BetweenSeeds {
            "all".to_owned()
        } else {
            t.seed.to_string()
        };
        for band in 0..BANDS {
            let (lo, hi) = edges_per_px(analysis, t.space, band);
            let energies = Analysis::energies(t, band);
            for (step, (energy, share)) in energies.iter().zip(share_of_final(&energies)).enumerate() {
                let sigma = analysis.sigmas[step];
                let share = if share.is_finite() {
                    format!("{share:.5}")
                } else {
                    String::new()
                };
                let coherence = t
                    .coherence
                    .get(step)
                    .map(|c| format!("{:.4}", c[band]))
                    .unwrap_or_default();
                let slope = t
                    .slope
                    .get(step)
                    .copied()
                    .flatten()
                    .map(|s| format!("{s:.3}"))
                    .unwrap_or_default();
                let log_snr = log_snr(f64::from(sigma));
                // Writing to a String can't fail.
                let _ = writeln!(
                    csv,
                    "{scene},{seed},{lane},{space},{band},{lo},{hi},{step},{sigma:.5},{log_snr:.4},{energy:.5e},{share},{coherence},{slope}"
                );
            }
        }
    }
    csv
}

/// `summary.csv`: figures with their 95 % intervals over seeds and scenes. Band `all` is every band together.
pub fn summary_csv(analysis: &Analysis) -> String {
    let mut table = SummaryTable {
        analysis,
        csv: String::from("figure,lane,space,band,lo,hi,mean,low,high,runs,runs_at_start\n"),
    };
    for lane in 0..analysis.lanes.names.len() {
        for space in [Space::Pixels, Space::Latents, Space::BetweenSeeds] {
            for band in 0..=ALL_BANDS {
                table.add_formed(lane, space, band);
                table.add(
                    "final_energy",
                    lane,
                    space,
                    band,
                    analysis.final_energy(lane, space, band),
                );
                table.add(
                    "final_share",
                    lane,
                    space,
                    band,
                    analysis.final_share(lane, space, band),
                );
            }
        }
        for band in 0..BANDS {
            table.add(
                "coherence",
                lane,
                Space::Pixels,
                band,
                analysis.final_coherence(lane, band),
            );
        }
        table.add("slope", lane, Space::Pixels, ALL_BANDS, analysis.final_slope(lane));
    }
    for (index, _) in analysis.lanes.interactions.iter().enumerate() {
        let lane = analysis.lanes.mixes.len() + index;
        for space in [Space::Pixels, Space::Latents, Space::BetweenSeeds] {
            for band in 0..=ALL_BANDS {
                table.add(
                    "interaction_share",
                    lane,
                    space,
                    band,
                    analysis.interaction_share(index, space, band),
                );
            }
        }
    }
    table.csv
}

struct SummaryTable<'a> {
    analysis: &'a Analysis,
    csv: String,
}

impl SummaryTable<'_> {
    fn add_formed(&mut self, lane: usize, space: Space, band: usize) {
        for threshold in THRESHOLDS {
            let Some(formed) = self.analysis.formed(lane, space, band, threshold) else {
                continue;
            };
            let percent = (threshold * 100.0).round();
            let sigma = formed.sigma;
            let log = Estimate {
                mean: log_snr(sigma.mean),
                low: log_snr(sigma.high),
                high: log_snr(sigma.low),
                count: sigma.count,
            };
            for (unit, estimate) in [("sigma", sigma), ("step", formed.step), ("log_snr", log)] {
                self.line(
                    &format!("formed_{percent}_{unit}"),
                    lane,
                    space,
                    band,
                    estimate,
                    &formed.at_start.to_string(),
                );
            }
        }
    }

    fn add(&mut self, figure: &str, lane: usize, space: Space, band: usize, estimate: Option<Estimate>) {
        if let Some(estimate) = estimate {
            self.line(figure, lane, space, band, estimate, "");
        }
    }

    fn line(&mut self, figure: &str, lane: usize, space: Space, band: usize, e: Estimate, at_start: &str) {
        let (lo, hi) = edges_per_px(self.analysis, space, band);
        let band = if band == ALL_BANDS {
            "all".to_owned()
        } else {
            band.to_string()
        };
        let lane = &self.analysis.lanes.names[lane];
        let _ = writeln!(
            self.csv,
            "{figure},{lane},{},{band},{lo},{hi},{:.6},{:.6},{:.6},{},{at_start}",
            space.name(),
            e.mean,
            e.low,
            e.high,
            e.count
        );
    }
}

/// `measures.csv`: every result against its scene, with the sampler's variants (`plain` is the run itself).
pub fn measures_csv(analysis: &Analysis) -> String {
    let names: Vec<&str> = MEASURES.iter().map(|(name, _)| *name).collect();
    let mut csv = format!("scene,seed,lane,sampler,{}\n", names.join(","));
    let plain = analysis
        .endings
        .iter()
        .filter_map(|e| Some((e.scene, e.seed, e.lane, "plain", e.measures.as_ref()?)));
    let variants = analysis
        .variants
        .iter()
        .map(|v| (v.scene, v.seed, v.lane, v.variant.as_str(), &v.measures));
    for (scene, seed, lane, sampler, measures) in plain.chain(variants) {
        let (scene, lane) = (&analysis.scenes[scene], &analysis.lanes.names[lane]);
        let sampler = sampler.replace(',', " then");
        let _ = writeln!(csv, "{scene},{seed},{lane},{sampler},{}", values(measures));
    }
    csv
}

/// `alpha-beta.csv`: every result of the grid.
pub fn grid_csv(analysis: &Analysis) -> String {
    let names: Vec<&str> = MEASURES.iter().map(|(name, _)| *name).collect();
    let mut csv = format!("scene,seed,lane,alpha,beta,{}\n", names.join(","));
    for e in &analysis.grid {
        let (scene, lane) = (&analysis.scenes[e.scene], &analysis.lanes.names[e.lane]);
        let _ = writeln!(
            csv,
            "{scene},{},{lane},{},{},{}",
            e.seed,
            e.alpha,
            e.beta,
            values(&e.measures)
        );
    }
    csv
}

fn values(measures: &Measures) -> String {
    MEASURES
        .iter()
        .map(|(_, of)| format!("{:.5}", of(measures)))
        .collect::<Vec<_>>()
        .join(",")
}
