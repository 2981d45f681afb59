//! `mdsd3 render`: one mix run, from a photo to a PNG.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use mdsd3_dataset::reproduce;
use mdsd3_render::colormap;
use mdsd3_render::lanes::RenderOutput;
use mdsd3_render::memory;
use mdsd3_render::metadata;
use mdsd3_render::session::Session;
use mdsd3_words::balance::Regime;
use mdsd3_words::made::{ImageFormat, RunSettings};
use mdsd3_words::sampling::DEFAULT_MIX;
use mdsd3_words::weather::ClassMask;
use mdsd3_words::{Mix, RenderRequest};
use serde_json::{Value, json};

use crate::outcome::{note, printable, say};
use crate::output;
use crate::progress::{self, StepProgress};
use crate::steps::{self, StepFiles};

/// What to render and where to.
#[derive(Debug, clap::Args)]
pub struct RenderArgs {
    /// Clean photo; the bundled demo photo when absent
    #[arg(value_name = "PHOTO")]
    scene: Option<PathBuf>,
    /// Class ratios, such as haze=0.8,rain=0.5 (0 off, 1 as trained, up to 1.5)
    #[arg(long, default_value = DEFAULT_MIX, value_name = "CLASS=RATIO,...")]
    mix: Mix,
    /// Where a class acts: white in an image of the photo; again for each class. A second mask takes a second run
    #[arg(long = "where", value_name = "CLASS=MASK")]
    regions: Vec<ClassMask>,
    #[command(flatten)]
    options: RenderRequest,
    /// Make this image again, by the settings in it: a PNG, or a JPEG of a dataset
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["scene", "mix", "regions", "SceneSettings", "Sampling", "ModelSettings", "ModelParts", "steps_dir", "spectra", "json"])]
    from: Option<PathBuf>,
    /// Output PNG (a JPEG when --from is one) [default: mdsd3-mix.png in the working folder]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also write every step into this folder: its noisy image and its clean-data prediction
    #[arg(long, value_name = "DIR")]
    steps_dir: Option<PathBuf>,
    /// Also write spectra: of the result beside the output, of every step into the steps folder
    #[arg(long)]
    spectra: bool,
    /// Print timings, noise levels and settings as one JSON object
    #[arg(long)]
    json: bool,
}

impl RenderArgs {
    fn request(&self) -> RenderRequest {
        let mut request = self.options.clone();
        request.scene.path.clone_from(&self.scene);
        request.sampling.mix.clone_from(&self.mix);
        request.weather.regions.clone_from(&self.regions);
        request
    }
}

/// Runs the command.
pub fn run(args: &RenderArgs) -> anyhow::Result<()> {
    let start = Instant::now();
    if let Some(source) = &args.from {
        return render_from(source, args);
    }
    let output = checked_output(args, ImageFormat::Png)?;
    let request = &args.request();
    request.check_settings()?;
    let mut session = Session::new();
    let loading = progress::spinner("loading the model");
    session.load_model(&request.model)?;
    loading.finish_and_clear();
    let load_secs = start.elapsed().as_secs_f32();
    if let Some(model) = session.model() {
        for note in model.notes_on(request.sampling.prompt.as_deref(), &request.sampling.mix)? {
            eprintln!("note: {}", printable(&note));
        }
    }
    let mut watch = StepProgress::new(request.sampling.steps, args.steps_dir.is_some());
    let rendered = session.render(request, &mut watch)?.context("the run was stopped")?;
    let settings = settings_of(&session, request, &rendered)?;
    let step_files = write_steps(args, &mut watch, &rendered)?;
    drop(watch);
    note(&request.scene.name(), &rendered.scene_notes);
    note(&request.scene.name(), &request.weather.notes_on(&request.sampling.mix));
    if args.spectra {
        write_result_spectrum(&output, request.sampling.steps, &rendered)?;
    }
    metadata::write_png(&output, &rendered.result.image, Some(&settings))?;
    let report = Report {
        output,
        load_secs,
        elapsed_secs: start.elapsed().as_secs_f32(),
        settings,
        rendered,
        step_files,
    };
    if args.json {
        say(&report.json().to_string())
    } else {
        report.say_in_words()
    }
}

/// Makes an image again: the same bytes, with the same program on the same machine.
fn render_from(source: &Path, args: &RenderArgs) -> anyhow::Result<()> {
    let settings = metadata::read_settings(source)?;
    let format = settings.pair.as_ref().map_or(ImageFormat::Png, |pair| pair.format);
    let output = &checked_output(args, format)?;
    let working = progress::spinner("making the image again");
    if let Some(pair) = &settings.pair {
        metadata::write_file(output, &reproduce::pair_file(source, &settings, pair)?)?;
    } else {
        let request = reproduce::run_of(source, &settings)?;
        let rendered = Session::new()
            .render(&request, &mut ())?
            .context("the run was stopped")?;
        metadata::write_png(output, &rendered.result.image, Some(&settings))?;
    }
    working.finish_and_clear();
    say(&format!("wrote {}", output.display()))
}

/// Checks every path that will be written.
fn checked_output(args: &RenderArgs, format: ImageFormat) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &args.steps_dir {
        output::check_folder_target(folder)?;
    }
    match &args.output {
        Some(path) => {
            output::check_image_target(path, format, args.scene.as_deref())?;
            Ok(path.clone())
        }
        None => Ok(output::default_image_target(format)?),
    }
}

fn settings_of(session: &Session, request: &RenderRequest, rendered: &RenderOutput) -> anyhow::Result<RunSettings> {
    let model = session.model().context("the session lost its model")?;
    let mut settings = RunSettings::new(
        request.clone(),
        model.identity().resolve()?,
        rendered.scene_sha256.clone(),
    );
    settings.weather_sha256.clone_from(&rendered.weather_sha256);
    Ok(settings)
}

fn write_steps(
    args: &RenderArgs,
    watch: &mut StepProgress,
    rendered: &RenderOutput,
) -> anyhow::Result<Option<StepFiles>> {
    let (Some(folder), Some(decoder)) = (&args.steps_dir, watch.decoder.take()) else {
        return Ok(None);
    };
    let kept = std::mem::take(&mut watch.steps);
    Ok(Some(steps::write(folder, &kept, &decoder, rendered, args.spectra)?))
}

/// Writes `NAME-spectrum.png` and `NAME-radial.csv` beside the output.
fn write_result_spectrum(output: &Path, step: usize, rendered: &RenderOutput) -> anyhow::Result<()> {
    let beside = |suffix: &str| {
        let stem = output.file_stem().unwrap_or_default().to_string_lossy();
        output.with_file_name(format!("{stem}-{suffix}"))
    };
    let spectrum = &rendered.result.spectrum;
    let image = colormap::spectrum_image(spectrum, colormap::log_power_range([spectrum]));
    metadata::write_png(&beside("spectrum.png"), &image, None)?;
    let row = colormap::RadialRow {
        step,
        sigma: 0.0,
        spectrum,
    };
    Ok(colormap::write_radial_csv(&beside("radial.csv"), &[row])?)
}

/// What there is to say about a run.
struct Report {
    output: PathBuf,
    load_secs: f32,
    elapsed_secs: f32,
    settings: RunSettings,
    rendered: RenderOutput,
    step_files: Option<StepFiles>,
}

impl Report {
    fn json(&self) -> Value {
        let RunSettings {
            request,
            model,
            program,
            scene_sha256,
            ..
        } = &self.settings;
        let RenderOutput {
            result,
            sigmas,
            step_secs,
            encode_secs,
            decode_secs,
            scene_notes,
            ..
        } = &self.rendered;
        json!({
            "output": self.output.to_string_lossy(),
            "width": result.image.width,
            "height": result.image.height,
            "elapsed_secs": self.elapsed_secs,
            "load_secs": self.load_secs,
            "encode_secs": encode_secs,
            "step_secs": step_secs,
            "decode_secs": decode_secs,
            "sigmas": sigmas,
            "regime": Regime::of(request.sampling.alpha, request.sampling.beta).name(),
            "peak_memory_bytes": memory::peak_resident_bytes(),
            "steps_dir": self.step_files.as_ref().map(|files| files.folder.to_string_lossy()),
            "spectrum_log10_power_range": self.step_files.as_ref().and_then(|files| files.log_power_range),
            "model": model,
            "scene_sha256": scene_sha256,
            "photo_notes": scene_notes,
            "request": request,
            "program": program,
        })
    }

    fn say_in_words(&self) -> anyhow::Result<()> {
        let RenderRequest { scene, sampling, .. } = &self.settings.request;
        let mix: Vec<String> = sampling
            .mix
            .active()
            .map(|(class, ratio)| format!("{class} {ratio}"))
            .collect();
        let mix = if mix.is_empty() {
            "nothing".to_owned()
        } else {
            mix.join(" and ")
        };
        let scene = scene.name();
        let seconds = self.elapsed_secs;
        say(&format!(
            "mixed {mix} into {scene} in {seconds:.1} s ({} steps, seed {})",
            sampling.steps, sampling.seed
        ))?;
        if sampling.start_at_noise_share {
            say(&format!("started at sigma {:.3}", sampling.first_sigma()))?;
        } else if sampling.beta > 0.0 {
            let regime = Regime::of(sampling.alpha, sampling.beta);
            say(&format!("{}: {}", regime.name(), regime.explanation()))?;
        }
        if let Some(files) = &self.step_files {
            say(&format!("wrote {} files into {}", files.count, files.folder.display()))?;
        }
        say(&format!("wrote {}", self.output.display()))
    }
}
