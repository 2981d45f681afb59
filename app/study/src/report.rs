//! The files of an analysis.

use std::fmt::Write;
use std::path::Path;

use mdsd3_model::spectrum::bands::BANDS;
use mdsd3_model::spectrum::bootstrap::Estimate;
use mdsd3_render::RenderError;
use mdsd3_render::metadata;

use crate::analysis::Analysis;
use crate::figure::{self, Figure, escaped, svg};
use crate::figures::{self, Over};
use crate::findings::{findings, in_words, shown, sign};
use crate::request::folder_name;
use crate::summary::{ALL_BANDS, THRESHOLDS};
use crate::tables::{self, MEASURES};
use crate::trajectory::Space;
use crate::variant_figures;

/// Writes tables, figures and `report.html`.
///
/// # Errors
/// When a file can't be written.
pub fn write(analysis: &Analysis, folder: &Path) -> Result<(), RenderError> {
    let figures = all_figures(analysis);
    for (name, table) in tables::all(analysis) {
        for extension in ["csv", "parquet"] {
            figure::write_table(&folder.join(name).with_extension(extension), &table)?;
        }
    }
    for (name, _, figure) in &figures {
        for extension in ["svg", "png"] {
            figure::write_figure(&folder.join(name).with_extension(extension), figure)?;
        }
    }
    metadata::write_file(&folder.join("report.html"), html(analysis, &figures)?.as_bytes())
}

/// A figure with the name of its files and its caption.
type Captioned = (String, String, Figure);

fn all_figures(analysis: &Analysis) -> Vec<Captioned> {
    let (runs, scenes) = (
        analysis.request.seeds as usize * analysis.scenes.len(),
        analysis.scenes.len(),
    );
    let over = format!("Mean and bootstrap 95 % interval over {runs} runs ({scenes} scenes).");
    let mut all = formation_figures(analysis, &over);
    let mut add = |name: &str, caption: String, figure| all.push((name.to_owned(), caption, figure));
    add(
        "spectra",
        format!(
            "Left: radially averaged power of the final residuals. Right: sigma at which half of a band's final energy is there. {over}"
        ),
        figures::spectra(analysis),
    );
    let averaged = analysis.mean_spectra.first().map_or(0, |mean| mean.runs);
    add(
        "spectra-2d",
        format!("Power spectrum of the final residuals' luma, zero frequency in the middle; mean of {averaged} runs."),
        figures::spectra_2d(analysis),
    );
    add(
        "structure",
        format!(
            "Left: phase coherence of the final residual with the scene per band (-1: the scene's negative, 0: nothing in common). Right: \
             energy of what a mix does beyond the sum of its parts, as a share of the mix's in the band. {over}"
        ),
        figures::structure(analysis),
    );
    if !analysis.variants.is_empty() {
        add(
            "samplers",
            format!("Results of each way of sampling, on the same scenes and seeds. {over}"),
            variant_figures::samplers(analysis),
        );
    }
    if !analysis.grid.is_empty() {
        for lane in analysis.lanes.singles() {
            let name = &analysis.lanes.names[lane];
            add(
                &format!("alpha-beta-{}", folder_name(name)),
                format!("{name} over alpha and beta of the initial noise alpha * noise + beta * scene."),
                variant_figures::alpha_beta(analysis, lane),
            );
        }
    }
    all
}

fn formation_figures(analysis: &Analysis, over: &str) -> Vec<Captioned> {
    let energy = "Energy of the residual (prediction of the mix minus prediction of the clean branch on the same noise) per band, as a \
                  share of its final value, in";
    let between = format!(
        "The same for what differs between the seeds of a scene: what is sampled, apart from what scene and class imply by themselves. \
         Mean and interval over {} scenes.",
        analysis.scenes.len()
    );
    [
        (
            "formation",
            format!("{energy} luma. {over}"),
            Space::Pixels,
            Over::Sigma,
        ),
        (
            "formation-over-step",
            "The same over the step.".to_owned(),
            Space::Pixels,
            Over::Step,
        ),
        (
            "formation-over-log-snr",
            "The same over the log signal-to-noise ratio; the first step, of pure noise, has none.".to_owned(),
            Space::Pixels,
            Over::LogSnr,
        ),
        (
            "formation-latents",
            format!("{energy} latents. {over}"),
            Space::Latents,
            Over::Sigma,
        ),
        ("formation-between-seeds", between, Space::BetweenSeeds, Over::Sigma),
    ]
    .map(|(name, caption, space, axis)| (name.to_owned(), caption, figures::formation(analysis, space, axis)))
    .into()
}

fn html(analysis: &Analysis, figures: &[Captioned]) -> Result<String, RenderError> {
    let mut out = String::from(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>When degradations form</title>\n<style>body{font:16px/1.5 \
         Ubuntu,Arial,sans-serif;max-width:1060px;margin:2rem auto;padding:0 1rem;color:#222}table{border-collapse:collapse;margin:1rem 0}\
         th,td{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:right}th:first-child,td:first-child{text-align:left}\
         figure{margin:2rem 0}svg{max-width:100%;height:auto}figcaption{color:#555}code{overflow-wrap:anywhere}</style>\n\
         <h1>When degradations form</h1>\n",
    );
    let _ = writeln!(
        out,
        "<h2>Findings</h2>\n<p>{}</p>",
        escaped(&findings(analysis).join(" "))
    );
    for (_, caption, figure) in figures {
        let _ = writeln!(
            out,
            "<figure>{}<figcaption>{}</figcaption></figure>",
            svg(figure),
            escaped(caption)
        );
    }
    out += &formed_table(analysis);
    out += &residuals_table(analysis);
    out += &interactions_table(analysis);
    out += &measures_table(analysis);
    out += &variants_table(analysis);
    out += &settings(analysis)?;
    out.push_str("</html>\n");
    Ok(out)
}

/// When each band forms, in pixels.
fn formed_table(analysis: &Analysis) -> String {
    let rows = (0..analysis.lanes.mixes.len()).flat_map(|lane| (0..=ALL_BANDS).map(move |band| (lane, band)));
    let rows = rows.filter_map(|(lane, band)| {
        let share = if band == ALL_BANDS {
            String::new()
        } else {
            shown(analysis.final_share(lane, Space::Pixels, band)?, 3)
        };
        let formed = THRESHOLDS.map(|threshold| {
            let formed = analysis.formed(lane, Space::Pixels, band, threshold);
            formed.map_or("never".to_owned(), |formed| shown(formed.sigma, 2))
        });
        let of_band = |estimate: &dyn Fn() -> Option<Estimate>| {
            let estimate = (band < BANDS).then(estimate).flatten();
            estimate.map(|estimate| shown(estimate, 2)).unwrap_or_default()
        };
        let sampled = analysis.formed(lane, Space::BetweenSeeds, band, 0.5);
        let mut cells = vec![analysis.lanes.names[lane].clone(), in_words(band), share];
        cells.extend(formed);
        cells.push(sampled.map_or("never".to_owned(), |formed| shown(formed.sigma, 2)));
        cells.push(of_band(&|| analysis.final_coherence(lane, band)));
        cells.push(of_band(&|| analysis.final_phase_coherence(lane, band)));
        Some(cells)
    });
    let heads = [
        "mix",
        "band",
        "share of energy",
        "10 % at sigma",
        "50 % at sigma",
        "90 % at sigma",
        "50 % of what differs between seeds",
        "correlation with scene",
        "phase coherence with scene",
    ];
    table("When each band forms (luma)", &heads, rows)
}

/// How much each lane adds and how its power falls with frequency.
fn residuals_table(analysis: &Analysis) -> String {
    let rows = (0..analysis.lanes.names.len()).map(|lane| {
        let energy = analysis.final_energy(lane, Space::Pixels, ALL_BANDS);
        let cell = |estimate: Option<Estimate>, decimals| estimate.map(|e| shown(e, decimals)).unwrap_or_default();
        vec![
            analysis.lanes.names[lane].clone(),
            cell(energy, 5),
            cell(analysis.final_slope(lane), 2),
        ]
    });
    let heads = [
        "residual",
        "energy (mean square of luma)",
        "spectral slope (exponent of power)",
    ];
    table("Final residuals", &heads, rows)
}

/// What mixes do beyond the sum of their parts, per band.
fn interactions_table(analysis: &Analysis) -> String {
    if analysis.lanes.interactions.is_empty() {
        return String::new();
    }
    let rows = (0..=ALL_BANDS).map(|band| {
        let shares = (0..analysis.lanes.interactions.len()).map(|index| {
            let share = analysis.interaction_share(index, Space::Pixels, band);
            share.map(|share| shown(share, 4)).unwrap_or_default()
        });
        std::iter::once(in_words(band)).chain(shares).collect()
    });
    let names = analysis.lanes.names[analysis.lanes.mixes.len()..].iter();
    let heads: Vec<&str> = std::iter::once("band").chain(names.map(String::as_str)).collect();
    table(
        "Beyond the sum of the parts, as a share of the mix's energy (luma)",
        &heads,
        rows,
    )
}

/// What came out of each lane.
fn measures_table(analysis: &Analysis) -> String {
    let rows = (0..analysis.lanes.mixes.len()).map(|lane| {
        let measured = MEASURES
            .iter()
            .map(|(_, of)| analysis.measured(lane, *of).map(|e| shown(e, 3)).unwrap_or_default());
        std::iter::once(analysis.lanes.names[lane].clone())
            .chain(measured)
            .collect()
    });
    let heads: Vec<&str> = std::iter::once("mix")
        .chain(MEASURES.iter().map(|(name, _)| *name))
        .collect();
    table("Results against their scenes", &heads, rows)
}

/// What each sampling aid changes against the plain sampler on the same scenes and seeds; bold where the interval is on
/// one side of 0.
fn variants_table(analysis: &Analysis) -> String {
    let kinds = analysis.variant_kinds();
    if kinds.is_empty() {
        return String::new();
    }
    let rows = kinds.into_iter().map(|(lane, variant)| {
        let change = |of| {
            let found = analysis.variant_change(lane, variant, of);
            found.map_or(String::new(), |e| {
                if sign(e).is_some() {
                    format!("* {}", shown(e, 3))
                } else {
                    shown(e, 3)
                }
            })
        };
        let changes = MEASURES.iter().map(|(_, of)| change(*of));
        [analysis.lanes.names[lane].clone(), variant.to_owned()]
            .into_iter()
            .chain(changes)
            .collect()
    });
    let heads: Vec<&str> = ["mix", "sampler"]
        .into_iter()
        .chain(MEASURES.iter().map(|(name, _)| *name))
        .collect();
    table(
        "Change against the plain sampler on the same noise (* interval on one side of 0)",
        &heads,
        rows,
    )
}

fn table(title: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let row = |tag: &str, cells: Vec<String>| {
        let cells: Vec<String> = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)))
            .collect();
        format!("<tr>{}</tr>\n", cells.concat())
    };
    let head = row("th", heads.iter().map(|head| (*head).to_owned()).collect());
    let rows: String = rows.map(|cells| row("td", cells)).collect();
    format!("<h2>{}</h2>\n<table>\n{head}{rows}</table>\n", escaped(title))
}

fn settings(analysis: &Analysis) -> Result<String, RenderError> {
    let json = serde_json::to_string_pretty(&analysis.request)
        .map_err(|error| RenderError::BadInput(format!("the settings can't be written as JSON: {error}")))?;
    Ok(format!(
        "<h2>Settings</h2>\n<p>Model {}, sha256 <code>{}</code>; mdsd3 {}. Spectra: luma of decoded predictions, Hann window, power \
         |F|² / N over the window's mean square; bands are octaves of radial frequency, the corners beyond 1/2 cycle per pixel are left \
         out. Formed at: last rise through the share, linear between steps. Intervals: two-stage bootstrap over scenes and seeds.</p>\n\
         <pre>{}</pre>\n",
        escaped(&analysis.model.name),
        analysis.model.sha256,
        mdsd3_words::VERSION,
        escaped(&json)
    ))
}
