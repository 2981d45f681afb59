//! `mdsd3 degrade`: the physical baseline.

use std::path::PathBuf;

use mdsd3_render::degrade::{self, DegradeRequest, PhotoInWork};
use mdsd3_render::frames;
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
    let photo = PhotoInWork::open(&request)?;
    let degraded = photo.degraded((0.0, 0), false)?;
    working.finish_and_clear();
    note(&request.photo.to_string_lossy(), photo.photo_notes());
    note(&request.photo.to_string_lossy(), photo.weather_notes());
    let image = frames::rgba8_from_rgb(&degraded.image);
    metadata::write_png_with_parameters(&output, &image, request.in_words())?;
    if json {
        let report = json!({
            "output": output.to_string_lossy(),
            "width": image.width,
            "height": image.height,
            "parameters": photo.parameters_as_json(&degraded.parameters)?,
            "photo_notes": photo.photo_notes(),
            "weather_notes": photo.weather_notes(),
        });
        return say(&report.to_string());
    }
    say(&format!("degraded {} by {}", request.photo.display(), request.mix))?;
    say(&format!("wrote {}", output.display()))
}
