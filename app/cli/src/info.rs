//! `mdsd3 info`: what a checkpoint is, or the settings a PNG was made with.

use std::path::{Path, PathBuf};

use anyhow::Context;
use mdsd3_engine::loaded::ModelKey;
use mdsd3_engine::metadata;
use mdsd3_engine::protocol::ModelSummary;
use mdsd3_engine::session::Session;

use crate::outcome::say;

/// What to look at.
#[derive(Debug, clap::Args)]
pub struct InfoArgs {
    /// Model folder, safetensors file, or PNG made by mdsd3; the bundled model when absent
    #[arg(value_name = "MODEL|PNG")]
    path: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &InfoArgs) -> anyhow::Result<()> {
    match &args.path {
        Some(path) if metadata::is_png(path) => png_info(path),
        path => model_info(path.clone()),
    }
}

fn png_info(path: &Path) -> anyhow::Result<()> {
    let settings = metadata::read_settings(path)?;
    say(&settings.in_words())?;
    say(&serde_json::to_string_pretty(&settings).context("the settings can't be shown as JSON")?)
}

fn model_info(path: Option<PathBuf>) -> anyhow::Result<()> {
    let mut session = Session::new();
    session.load_model(&ModelKey {
        path,
        parts: mdsd3_engine::loaded::ModelParts::default(),
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
    })?;
    let model = session.model().context("the session lost its model")?;
    let identity = model.identity().resolve()?;
    for (label, value) in facts(model.summary()) {
        say(&format!("{label:<14}{value}"))?;
    }
    say(&format!("{:<14}{}", "sha256", identity.sha256))
}

fn facts(model: &ModelSummary) -> Vec<(&'static str, String)> {
    let path = model
        .path
        .as_ref()
        .map_or("in the program".into(), |path| path.to_string_lossy());
    let heads = |owned: &[usize]| owned.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
    let classes = model.classes.iter().zip(&model.class_heads);
    let classes: Vec<String> = classes
        .map(|(class, owned)| format!("{class} (heads {})", heads(owned)))
        .collect();
    vec![
        ("name", model.name.clone()),
        ("path", path.into_owned()),
        ("classes", classes.join(", ")),
        ("blocks", model.blocks.to_string()),
        ("heads", model.heads.to_string()),
        ("width", model.width.to_string()),
        ("parameters", format!("{:.2} million", model.parameters as f64 / 1e6)),
        (
            "sizes",
            format!("multiples of {} up to {} px", model.size_multiple, model.max_size),
        ),
    ]
}
