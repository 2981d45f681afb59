//! `mdsd3 info`: what a checkpoint is, or the settings a PNG was made with.

use std::path::{Path, PathBuf};

use anyhow::Context;
use mdsd3_render::inspect::{self, ModelReport};
use mdsd3_render::metadata;
use mdsd3_words::ModelParts;

use crate::outcome::say;

/// Names of a list that are shown; the rest is counted.
const SHOWN: usize = 20;

/// What to look at.
#[derive(Debug, clap::Args)]
pub struct InfoArgs {
    /// Model folder, safetensors file, or image made by mdsd3; the bundled model when absent
    #[arg(value_name = "MODEL|IMAGE")]
    path: Option<PathBuf>,
    #[command(flatten)]
    parts: ModelParts,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &InfoArgs) -> anyhow::Result<()> {
    let image = args
        .path
        .as_deref()
        .and_then(|path| Some((path, metadata::image_in_words(path)?)));
    match image {
        Some((path, words)) => image_info(path, &words),
        None => model_info(args),
    }
}

fn image_info(path: &Path, words: &str) -> anyhow::Result<()> {
    let Some(settings) = metadata::find_settings(path)? else {
        return say(&format!(
            "{}: {words}, without settings of mdsd3: a photo, or an image whose text was removed",
            path.display()
        ));
    };
    say(&settings.in_words())?;
    say(&serde_json::to_string_pretty(&settings).context("the settings can't be shown as JSON")?)
}

fn model_info(args: &InfoArgs) -> anyhow::Result<()> {
    let parts = &args.parts;
    let path = args.path.as_deref();
    let report = inspect::inspect(path, parts)?;
    if args.json {
        return say(&serde_json::to_string_pretty(&report).context("the report can't be shown as JSON")?);
    }
    let shown = path.map_or("in the program".into(), |path| path.to_string_lossy());
    for (label, value) in facts(&report, &shown) {
        say(&format!("{label:<14}{value}"))?;
    }
    // Last, as hashing gigabytes takes seconds.
    say(&format!("{:<14}{}", "sha256", inspect::sha256(path, parts)?))
}

fn facts(report: &ModelReport, path: &str) -> Vec<(&'static str, String)> {
    let config = &report.config;
    let mut facts = vec![
        ("name", report.name.clone()),
        ("path", path.to_owned()),
        ("family", report.family.clone()),
        ("classes", classes(report)),
        (
            "clean path",
            if report.clean_path {
                "yes"
            } else {
                "no: the scene enters by beta alone"
            }
            .to_owned(),
        ),
        ("blocks", config.num_layers.to_string()),
        (
            "heads",
            format!("{} of width {}", config.num_attention_heads, config.attention_head_dim),
        ),
        ("width", config.width().to_string()),
        (
            "sizes",
            format!(
                "multiples of {} up to {} px",
                report.size_multiple_px, report.max_size_px
            ),
        ),
    ];
    let total: u64 = report.parts.iter().map(|part| part.parameters).sum();
    facts.push(("parameters", format!("{} million", millions(total))));
    for part in &report.parts {
        let dtypes = part.dtypes.join(", ").to_lowercase();
        facts.push((
            "",
            format!("{}: {} million, {dtypes} on disk", part.name, millions(part.parameters)),
        ));
    }
    facts.push(("memory", "weights + scene + about as much while working".to_owned()));
    for row in &report.memory {
        let sizes =
            [row.weights_bytes, row.scene_bytes, row.working_bytes].map(|bytes| format!("{:.2}", bytes as f64 / 1e9));
        facts.push((
            "",
            format!("{} at {} px: {} GB", row.dtype, row.size_px, sizes.join(" + ")),
        ));
    }
    list(&mut facts, "missing", &report.missing);
    list(&mut facts, "unknown", &report.unknown);
    facts
}

fn millions(values: u64) -> String {
    format!("{:.2}", values as f64 / 1e6)
}

/// Every class with the heads it owns, and the heads that nobody owns.
fn classes(report: &ModelReport) -> String {
    if report.classes.is_empty() {
        return "none: plain Stable Diffusion 3, where a mix only names the prompt".to_owned();
    }
    let heads = |owned: &[usize]| owned.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
    let mut classes: Vec<String> = report
        .classes
        .iter()
        .map(|(class, owned)| format!("{class} (heads {})", heads(owned)))
        .collect();
    let owned: usize = report.classes.iter().map(|(_, owned)| owned.len()).sum();
    let spare: Vec<usize> = (owned..report.config.num_attention_heads).collect();
    if !spare.is_empty() {
        classes.push(format!("nobody (heads {})", heads(&spare)));
    }
    classes.join(", ")
}

fn list(facts: &mut Vec<(&'static str, String)>, label: &'static str, lines: &[String]) {
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    facts.extend(labels.zip(lines.iter().take(SHOWN).cloned()));
    if lines.len() > SHOWN {
        facts.push(("", format!("and {} more", lines.len() - SHOWN)));
    }
}
