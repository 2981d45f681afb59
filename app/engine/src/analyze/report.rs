//! The files of an analysis.

use std::fmt::Write;
use std::path::Path;

use super::Analysis;
use super::chart::Figure;
use super::findings::{findings, in_words, shown, sign};
use super::summary::{ALL_BANDS, THRESHOLDS};
use super::svg::{escaped, svg};
use super::tables::{self, MEASURES};
use super::trajectory::Space;
use super::{figures, raster};
use crate::error::EngineError;
use crate::metadata;
use mdsd3_model::spectrum::bands::BANDS;

/// Pixels to a point in PNG figures: 192 per inch.
const PNG_SCALE: usize = 2;

/// Writes tables, figures and `report.html`.
///
/// # Errors
/// When a file can't be written.
pub fn write(analysis: &Analysis, folder: &Path) -> Result<(), EngineError> {
    let text = |name: &str, content: String| metadata::write_file(&folder.join(name), content.as_bytes());
    text("formation.csv", tables::formation_csv(analysis))?;
    text("summary.csv", tables::summary_csv(analysis))?;
    text("measures.csv", tables::measures_csv(analysis))?;
    if !analysis.grid.is_empty() {
        text("alpha-beta.csv", tables::grid_csv(analysis))?;
    }
    let figures = all_figures(analysis);
    for (name, _, figure) in &figures {
        text(&format!("{name}.svg"), svg(figure))?;
        let image = raster::rasterize(figure, PNG_SCALE);
        metadata::write_png(&folder.join(format!("{name}.png")), &image, None)?;
    }
    text("report.html", html(analysis, &figures)?)
}

/// Name, caption and content of every figure.
fn all_figures(analysis: &Analysis) -> Vec<(String, String, Figure)> {
    let (runs, scenes) = (
        analysis.request.seeds as usize * analysis.scenes.len(),
        analysis.scenes.len(),
    );
    let over = format!("Mean and bootstrap 95 % interval over {runs} runs ({scenes} scenes).");
    let formation = "Energy of the residual (prediction of the mix minus prediction of the clean branch on the same noise) per band, as a \
                     share of its final value, in";
    let mut all = vec![
        (
            "formation".to_owned(),
            format!("{formation} luma. {over}"),
            figures::formation(analysis, Space::Pixels),
        ),
        (
            "formation-latents".to_owned(),
            format!("{formation} latents. {over}"),
            figures::formation(analysis, Space::Latents),
        ),
        (
            "formation-between-seeds".to_owned(),
            format!(
                "The same for what differs between the seeds of a scene: what is sampled, apart from what scene and class imply by \
                 themselves. Mean and interval over {scenes} scenes."
            ),
            figures::formation(analysis, Space::BetweenSeeds),
        ),
        (
            "spectra".to_owned(),
            format!(
                "Left: radially averaged power of the final residuals. Right: sigma at which half of a band's final energy is there. {over}"
            ),
            figures::spectra(analysis),
        ),
    ];
    if !analysis.grid.is_empty() {
        for lane in analysis.lanes.singles() {
            let name = &analysis.lanes.names[lane];
            let caption = format!("{name} over alpha and beta of the initial noise alpha * noise + beta * scene.");
            all.push((
                format!("alpha-beta-{}", super::folder_name(name)),
                caption,
                figures::alpha_beta(analysis, lane),
            ));
        }
    }
    all
}

fn html(analysis: &Analysis, figures: &[(String, String, Figure)]) -> Result<String, EngineError> {
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
        let coherence = if band < BANDS {
            analysis
                .final_coherence(lane, band)
                .map(|c| shown(c, 2))
                .unwrap_or_default()
        } else {
            String::new()
        };
        let sampled = analysis.formed(lane, Space::BetweenSeeds, band, 0.5);
        let mut cells = vec![analysis.lanes.names[lane].clone(), in_words(band), share];
        cells.extend(formed);
        cells.push(sampled.map_or("never".to_owned(), |formed| shown(formed.sigma, 2)));
        cells.push(coherence);
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
        "coherence with scene",
    ];
    table("When each band forms (luma)", &heads, rows)
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
    let mut kinds: Vec<(usize, &str)> = Vec::new();
    for ending in &analysis.variants {
        if !kinds.contains(&(ending.lane, &ending.variant)) {
            kinds.push((ending.lane, &ending.variant));
        }
    }
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

fn settings(analysis: &Analysis) -> Result<String, EngineError> {
    let json = serde_json::to_string_pretty(&analysis.request)
        .map_err(|error| EngineError::BadInput(format!("the settings can't be written as JSON: {error}")))?;
    Ok(format!(
        "<h2>Settings</h2>\n<p>Model {}, sha256 <code>{}</code>; mdsd3 {}. Spectra: luma of decoded predictions, Hann window, power \
         |F|² / N over the window's mean square; bands are octaves of radial frequency, the corners beyond 1/2 cycle per pixel are left \
         out. Formed at: last rise through the share, linear between steps. Intervals: two-stage bootstrap over scenes and seeds.</p>\n\
         <pre>{}</pre>\n",
        escaped(&analysis.model.name),
        analysis.model.sha256,
        crate::VERSION,
        escaped(&json)
    ))
}
