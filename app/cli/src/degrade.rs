//! `mdsd3 degrade`: the physical baseline.

use std::path::PathBuf;

use mdsd3_render::degrade::{self, DegradeRequest};
use mdsd3_render::metadata;
use mdsd3_words::made::ImageFormat;
use serde_json::json;

use crate::outcome::{note, say};
use crate::output;
use crate::progress;

/// What to degrade and where to.
#[derive(Debug, clap::Args)]
#[command(after_help = degrade::classes_in_words())]
pub struct DegradeArgs {
    #[command(flatten)]
    request: DegradeRequest,
    /// Output PNG
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print the physical parameters as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: DegradeArgs) -> anyhow::Result<()> {
    let DegradeArgs { request, output, json } = args;
    output::check_image_target(&output, ImageFormat::Png, Some(&request.photo))?;
    let working = progress::spinner("degrading");
    let degraded = degrade::run(&request)?;
    working.finish_and_clear();
    note(&request.photo.to_string_lossy(), &degraded.notes);
    metadata::write_png_with_parameters(&output, &degraded.image, request.in_words())?;
    if json {
        let (width, height) = (degraded.image.width, degraded.image.height);
        let report = json!({ "output": output.to_string_lossy(), "width": width, "height": height, "parameters": degraded.parameters, "photo_notes": degraded.notes });
        return say(&report.to_string());
    }
    say(&format!("degraded {} by {}", request.photo.display(), request.mix))?;
    say(&format!("wrote {}", output.display()))
}
