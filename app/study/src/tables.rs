//! The tables of an analysis: one observation per line.

use mdsd3_model::spectrum::bands::{BANDS, band_edges};
use mdsd3_model::spectrum::bootstrap::Estimate;
use mdsd3_model::spectrum::formation::{log_snr, share_of_final};
use mdsd3_model::spectrum::measures::Measures;

use crate::analysis::Analysis;
use crate::figure::table::{Cell, Kind, Table};
use crate::summary::{ALL_BANDS, Measure, THRESHOLDS};
use crate::trajectory::{Space, Trajectory};

/// RMS of the new detail at 0.25 cycles per pixel and above, in units of 0..255.
pub const HIGH_BAND_RMS: Measure = |m| m.streak * m.high_band.sqrt();

/// Measures of results by name.
pub const MEASURES: [(&str, Measure); 6] = [
    ("veil", |m| m.veil),
    ("streak", |m| m.streak),
    ("anisotropy", |m| m.anisotropy),
    ("high_band", |m| m.high_band),
    ("high_band_rms", HIGH_BAND_RMS),
    ("color_distance", |m| m.color_distance),
];

/// Name of the sampler without aids.
pub const PLAIN: &str = "plain";

/// Every table with the name of its files.
pub fn all(analysis: &Analysis) -> Vec<(&'static str, Table)> {
    let mut all = vec![
        ("formation", formation(analysis)),
        ("summary", summary(analysis)),
        ("radial", radial(analysis)),
        ("measures", measures(analysis)),
    ];
    if !analysis.grid.is_empty() {
        all.push(("alpha-beta", grid(analysis)));
    }
    all
}

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

/// Space, band and its edges; no band stands for all of them together.
fn band_cells(analysis: &Analysis, space: Space, band: usize) -> [Cell; 4] {
    let (low, high) = edges_per_px(analysis, space, band);
    let index = if band == ALL_BANDS {
        Cell::Missing
    } else {
        Cell::whole(band)
    };
    [space.name().into(), index, Cell::number(low), Cell::number(high)]
}

/// Energy and share of every run, step and band; coherence and slope in pixels only.
///
/// `lo` and `hi` are cycles per image pixel; `energy` is the mean square of the residual per sample (luma in `0..=1`, or
/// latents); `slope` repeats in every band of a step; there is no seed between seeds.
pub(super) fn formation(analysis: &Analysis) -> Table {
    let mut table = Table::new(&[
        ("scene", Kind::Text),
        ("seed", Kind::Whole),
        ("lane", Kind::Text),
        ("space", Kind::Text),
        ("band", Kind::Whole),
        ("lo", Kind::Number),
        ("hi", Kind::Number),
        ("step", Kind::Whole),
        ("sigma", Kind::Number),
        ("log_snr", Kind::Number),
        ("energy", Kind::Number),
        ("share", Kind::Number),
        ("coherence", Kind::Number),
        ("phase_coherence", Kind::Number),
        ("slope", Kind::Number),
    ]);
    for trajectory in &analysis.trajectories {
        for band in 0..BANDS {
            let energies = Analysis::energies(trajectory, band);
            for (step, (energy, share)) in energies.iter().zip(share_of_final(&energies)).enumerate() {
                let mut row = run_cells(analysis, trajectory);
                row.extend(band_cells(analysis, trajectory.space, band));
                let sigma = analysis.sigmas[step];
                row.extend([
                    Cell::whole(step),
                    Cell::number(sigma),
                    Cell::number(log_snr(f64::from(sigma))),
                    Cell::number(*energy),
                    Cell::number(share),
                    trajectory.coherence.get(step).map(|c| c[band]).into(),
                    trajectory.phase.get(step).map(|c| c[band]).into(),
                    trajectory.slope.get(step).copied().flatten().into(),
                ]);
                table.rows.push(row);
            }
        }
    }
    table
}

fn run_cells(analysis: &Analysis, trajectory: &Trajectory) -> Vec<Cell> {
    let seed = if trajectory.space == Space::BetweenSeeds {
        Cell::Missing
    } else {
        Cell::Whole(trajectory.seed)
    };
    vec![
        analysis.scenes[trajectory.scene].as_str().into(),
        seed,
        analysis.lanes.names[trajectory.lane].as_str().into(),
    ]
}

/// Figures with their 95 % intervals over seeds and scenes. Without a band they are about every band together.
fn summary(analysis: &Analysis) -> Table {
    let table = Table::new(&[
        ("figure", Kind::Text),
        ("lane", Kind::Text),
        ("space", Kind::Text),
        ("band", Kind::Whole),
        ("lo", Kind::Number),
        ("hi", Kind::Number),
        ("mean", Kind::Number),
        ("low", Kind::Number),
        ("high", Kind::Number),
        ("runs", Kind::Whole),
        ("runs_at_start", Kind::Whole),
    ]);
    let mut summary = Summary { analysis, table };
    for lane in 0..analysis.lanes.names.len() {
        for space in Space::ALL {
            for band in 0..=ALL_BANDS {
                summary.add_formed(lane, space, band);
                let of = [
                    ("final_energy", analysis.final_energy(lane, space, band)),
                    ("final_share", analysis.final_share(lane, space, band)),
                ];
                for (figure, estimate) in of {
                    summary.add(figure, lane, (space, band), estimate);
                }
            }
        }
        for band in 0..BANDS {
            let place = (Space::Pixels, band);
            summary.add("coherence", lane, place, analysis.final_coherence(lane, band));
            let phase = analysis.final_phase_coherence(lane, band);
            summary.add("phase_coherence", lane, place, phase);
        }
        let slope = analysis.final_slope(lane);
        summary.add("slope", lane, (Space::Pixels, ALL_BANDS), slope);
    }
    for index in 0..analysis.lanes.interactions.len() {
        let lane = analysis.lanes.mixes.len() + index;
        for place in Space::ALL
            .into_iter()
            .flat_map(|space| (0..=ALL_BANDS).map(move |band| (space, band)))
        {
            let share = analysis.interaction_share(index, place.0, place.1);
            summary.add("interaction_share", lane, place, share);
        }
    }
    summary.table
}

struct Summary<'a> {
    analysis: &'a Analysis,
    table: Table,
}

impl Summary<'_> {
    fn add_formed(&mut self, lane: usize, space: Space, band: usize) {
        for threshold in THRESHOLDS {
            let Some(formed) = self.analysis.formed(lane, space, band, threshold) else {
                continue;
            };
            let percent = (threshold * 100.0).round();
            let at_start = Cell::whole(formed.at_start);
            for (unit, estimate) in [
                ("sigma", formed.sigma),
                ("step", formed.step),
                ("log_snr", in_log_snr(formed.sigma)),
            ] {
                let figure = format!("formed_{percent}_{unit}");
                self.row(&figure, lane, (space, band), estimate, at_start.clone());
            }
        }
    }

    fn add(&mut self, figure: &str, lane: usize, place: (Space, usize), estimate: Option<Estimate>) {
        if let Some(estimate) = estimate {
            self.row(figure, lane, place, estimate, Cell::Missing);
        }
    }

    fn row(&mut self, figure: &str, lane: usize, (space, band): (Space, usize), e: Estimate, at_start: Cell) {
        let mut row = vec![figure.into(), self.analysis.lanes.names[lane].as_str().into()];
        row.extend(band_cells(self.analysis, space, band));
        row.extend([e.mean, e.low, e.high].map(Cell::number));
        row.extend([Cell::whole(e.count), at_start]);
        self.table.rows.push(row);
    }
}

/// The mean sigma and the ends of its interval as log-SNR, which falls with sigma.
fn in_log_snr(sigma: Estimate) -> Estimate {
    Estimate {
        mean: log_snr(sigma.mean),
        low: log_snr(sigma.high),
        high: log_snr(sigma.low),
        count: sigma.count,
    }
}

/// Radially averaged power of every final residual; `radius` is cycles per pixel.
fn radial(analysis: &Analysis) -> Table {
    let mut table = Table::new(&[
        ("scene", Kind::Text),
        ("seed", Kind::Whole),
        ("lane", Kind::Text),
        ("radius", Kind::Number),
        ("power", Kind::Number),
    ]);
    for e in &analysis.endings {
        for (radius, power) in &e.radial {
            table.rows.push(vec![
                analysis.scenes[e.scene].as_str().into(),
                Cell::Whole(e.seed),
                analysis.lanes.names[e.lane].as_str().into(),
                Cell::number(*radius),
                Cell::number(*power),
            ]);
        }
    }
    table
}

/// A table of measures, after columns that say of what.
fn measures_table(of: &[(&'static str, Kind)]) -> Table {
    let measures = MEASURES.map(|(name, _)| (name, Kind::Number));
    Table::new(&[of, &measures].concat())
}

fn measure_cells(measures: &Measures) -> impl Iterator<Item = Cell> {
    MEASURES.iter().map(|(_, of)| Cell::number(of(measures)))
}

/// Every result against its scene, with the sampler's variants (`plain` is the run itself).
fn measures(analysis: &Analysis) -> Table {
    let mut table = measures_table(&[
        ("scene", Kind::Text),
        ("seed", Kind::Whole),
        ("lane", Kind::Text),
        ("sampler", Kind::Text),
    ]);
    let plain = analysis
        .endings
        .iter()
        .filter_map(|e| Some((e.scene, e.seed, e.lane, PLAIN, e.measures.as_ref()?)));
    let variants = analysis
        .variants
        .iter()
        .map(|v| (v.scene, v.seed, v.lane, v.variant.as_str(), &v.measures));
    for (scene, seed, lane, sampler, measures) in plain.chain(variants) {
        let mut row = vec![
            analysis.scenes[scene].as_str().into(),
            Cell::Whole(seed),
            analysis.lanes.names[lane].as_str().into(),
            sampler.replace(',', " then").as_str().into(),
        ];
        row.extend(measure_cells(measures));
        table.rows.push(row);
    }
    table
}

/// Every result over alpha and beta.
fn grid(analysis: &Analysis) -> Table {
    let mut table = measures_table(&[
        ("scene", Kind::Text),
        ("seed", Kind::Whole),
        ("lane", Kind::Text),
        ("alpha", Kind::Number),
        ("beta", Kind::Number),
    ]);
    for e in &analysis.grid {
        let mut row = vec![
            analysis.scenes[e.scene].as_str().into(),
            Cell::Whole(e.seed),
            analysis.lanes.names[e.lane].as_str().into(),
            Cell::number(e.alpha),
            Cell::number(e.beta),
        ];
        row.extend(measure_cells(&e.measures));
        table.rows.push(row);
    }
    table
}
