//! The steps folder of `mdsd3 render`: images, spectra and radial power of every step.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use mdsd3_render::colormap::{self, RadialRow};
use mdsd3_render::frames::{self, Decoded};
use mdsd3_render::lanes::RenderOutput;
use mdsd3_render::loaded::Decoder;
use mdsd3_render::metadata;
use mdsd3_render::run::RenderStep;

use crate::progress;

/// What was written.
pub struct StepFiles {
    /// Into which folder.
    pub folder: PathBuf,
    /// How many files.
    pub count: usize,
    /// Lowest and highest log10 power of the spectrum images, which share one scale.
    pub log_power_range: Option<(f32, f32)>,
}

/// Writes `step-00-x_t.png`, `step-00-x0_hat.png` and so on; with `spectra` also `step-00-spectrum.png` (of the
/// prediction, all on one colour scale) and one `radial.csv`.
pub fn write(
    folder: &Path,
    steps: &[RenderStep],
    decoder: &Decoder,
    rendered: &RenderOutput,
    spectra: bool,
) -> anyhow::Result<StepFiles> {
    fs::create_dir_all(folder).with_context(|| format!("{}: the folder can't be created", folder.display()))?;
    let progress = progress::bar(steps.len(), "writing steps");
    let mut files = StepFiles {
        folder: folder.to_owned(),
        count: 0,
        log_power_range: None,
    };
    let name = |index: usize, what: &str| folder.join(step_file_name(index, steps.len(), what));
    let mut predictions = Vec::with_capacity(steps.len());
    for step in steps {
        let noisy = frames::decode(decoder, &step.x_t)?;
        let prediction = frames::decode(decoder, &step.x0_hat)?;
        metadata::write_png(&name(step.index, "x_t.png"), &noisy.image, None)?;
        metadata::write_png(&name(step.index, "x0_hat.png"), &prediction.image, None)?;
        files.count += 2;
        predictions.push(prediction);
        progress.inc(1);
    }
    progress.finish_and_clear();
    if spectra {
        write_spectra(&mut files, steps, &predictions, rendered)?;
    }
    Ok(files)
}

fn write_spectra(
    files: &mut StepFiles,
    steps: &[RenderStep],
    predictions: &[Decoded],
    rendered: &RenderOutput,
) -> anyhow::Result<()> {
    let range = colormap::log_power_range(predictions.iter().map(|decoded| &decoded.spectrum));
    let mut rows = Vec::with_capacity(steps.len() + 1);
    for (step, decoded) in steps.iter().zip(predictions) {
        let path = files
            .folder
            .join(step_file_name(step.index, steps.len(), "spectrum.png"));
        metadata::write_png(&path, &colormap::spectrum_image(&decoded.spectrum, range), None)?;
        rows.push(RadialRow {
            step: step.index,
            sigma: step.sigma,
            spectrum: &decoded.spectrum,
        });
    }
    rows.push(RadialRow {
        step: steps.len(),
        sigma: 0.0,
        spectrum: &rendered.result.spectrum,
    });
    colormap::write_radial_csv(&files.folder.join("radial.csv"), &rows)?;
    files.count += steps.len() + 1;
    files.log_power_range = Some(range);
    Ok(())
}

/// `step-00-x_t.png`; enough digits that names sort in the order of steps.
fn step_file_name(index: usize, steps: usize, what: &str) -> String {
    let digits = steps.saturating_sub(1).to_string().len().max(2);
    format!("step-{index:0digits$}-{what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_in_the_order_of_steps() {
        assert_eq!(step_file_name(3, 20, "x_t.png"), "step-03-x_t.png");
        assert_eq!(step_file_name(3, 100, "x_t.png"), "step-03-x_t.png");
        assert_eq!(step_file_name(3, 101, "x_t.png"), "step-003-x_t.png");
    }
}
