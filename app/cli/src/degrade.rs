//! `mdsd3 degrade`: degradations by formulas, of one photo.

use std::path::{Path, PathBuf};

use mdsd3_render::degrade::{self, DegradeRequest, PhotoInWork};
use mdsd3_render::metadata::{self, PARAMETERS_KEYWORD};
use mdsd3_render::sequence::{self, Motion};
use mdsd3_render::{jpeg, picture};
use mdsd3_words::made::ImageFormat;
use mdsd3_words::weather::MapFormat;
use serde_json::{Value, json};

use crate::outcome::{note, say};
use crate::output;
use crate::progress;

/// What to degrade and where to.
#[derive(Debug, clap::Args)]
#[command(after_help = degrade::classes_in_words())]
pub struct DegradeArgs {
    #[command(flatten)]
    request: DegradeRequest,
    /// Output PNG or JPEG; with --frames the folder of the sequence
    #[arg(short, long, value_name = "FILE|DIR")]
    output: PathBuf,
    /// Also write what each class did into this folder: depth, transmission, opacities, kernels, noise, with a JSON that says how they
    /// make the image
    #[arg(long, value_name = "DIR", conflicts_with = "frames")]
    layers: Option<PathBuf>,
    /// How these maps are written: PNG of 16 bits where they fit, or NPY for all
    #[arg(long, value_enum, default_value_t, requires = "layers")]
    layers_format: MapFormat,
    /// Write so many frames of the same weather in motion, numbered, and an animated PNG of them
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    frames: Option<u32>,
    /// Frames per second of the sequence
    #[arg(
        long,
        value_name = "F",
        default_value_t = 24.0,
        requires = "frames",
        allow_negative_numbers = true
    )]
    fps: f32,
    /// Print the physical parameters as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: DegradeArgs) -> anyhow::Result<()> {
    match args.frames {
        Some(frames) => write_sequence(&args, Motion { frames, fps: args.fps }),
        None => write_image(&args),
    }
}

fn write_image(args: &DegradeArgs) -> anyhow::Result<()> {
    let DegradeArgs { request, output, .. } = args;
    let format = format_of(output);
    output::check_image_target(output, format, Some(&request.photo))?;
    if let Some(folder) = &args.layers {
        output::check_folder_target(folder)?;
        // What is left of another mix would be taken for this one's.
        output::check_empty(folder, "layers")?;
    }
    let working = progress::spinner("degrading");
    let photo = PhotoInWork::open(request)?;
    let degraded = photo.degraded((0.0, 0), args.layers.is_some())?;
    working.finish_and_clear();
    tell(&photo, request);
    if let Some(folder) = &args.layers {
        photo.write_layers(&degraded, (folder, args.layers_format))?;
    }
    let texts = [(PARAMETERS_KEYWORD, request.in_words())];
    let bytes = match format {
        ImageFormat::Png => picture::encode(&degraded.image, 8, &texts)?,
        ImageFormat::Jpeg => jpeg::encode(&degraded.image, &texts)?,
    };
    metadata::write_file(output, &bytes)?;
    if args.json {
        let mut report = report(&photo, photo.parameters_as_json(&degraded.parameters)?);
        report["output"] = output.to_string_lossy().into();
        report["layers"] = args.layers.as_ref().map(|folder| folder.to_string_lossy()).into();
        return say(&report.to_string());
    }
    say(&format!("degraded {} by {}", request.photo.display(), request.mix))?;
    if let Some(folder) = &args.layers {
        say(&format!("wrote what each class did into {}", folder.display()))?;
    }
    say(&format!("wrote {}", output.display()))
}

fn write_sequence(args: &DegradeArgs, motion: Motion) -> anyhow::Result<()> {
    let DegradeArgs { request, output, .. } = args;
    motion.check()?;
    output::check_folder_target(output)?;
    output::check_empty(output, "a sequence")?;
    let photo = PhotoInWork::open(request)?;
    tell(&photo, request);
    let bar = progress::bar(motion.frames as usize, "degrading");
    let animation = sequence::write(&photo, (output, motion), &request.in_words(), &mut |done| {
        bar.set_position(u64::from(done));
    })?;
    bar.finish_and_clear();
    if args.json {
        let first = photo.degraded((0.0, 0), false)?;
        let mut report = report(&photo, photo.parameters_as_json(&first.parameters)?);
        report["output"] = output.to_string_lossy().into();
        report["animation"] = animation.to_string_lossy().into();
        report["frames"] = motion.frames.into();
        report["fps"] = motion.fps.into();
        return say(&report.to_string());
    }
    let (frames, photo) = (motion.frames, request.photo.display());
    say(&format!("degraded {photo} by {} in {frames} frames", request.mix))?;
    say(&format!("wrote {}", animation.display()))
}

/// Tells what had to be guessed.
fn tell(photo: &PhotoInWork<'_>, request: &DegradeRequest) {
    let name = request.photo.to_string_lossy();
    note(&name, photo.photo_notes());
    note(&name, photo.weather_notes());
}

fn report(photo: &PhotoInWork<'_>, parameters: Value) -> Value {
    let (width, height) = photo.scene().dimensions();
    json!({
        "width": width,
        "height": height,
        "parameters": parameters,
        "photo_notes": photo.photo_notes(),
        "weather_notes": photo.weather_notes(),
    })
}

/// The format that a name asks for; PNG unless it ends as JPEGs do.
fn format_of(path: &Path) -> ImageFormat {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    if extension == "jpg" || extension == "jpeg" {
        ImageFormat::Jpeg
    } else {
        ImageFormat::Png
    }
}
