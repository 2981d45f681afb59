//! Spectra as images and tables, for the files of the command line (the studio colours them on the GPU).

use std::path::Path;

use colorgrad::Gradient;
use mdsd3_model::io::csv_bytes::csv_bytes;
use mdsd3_words::image::{Rgba8, SpectrumFrame};

use crate::error::RenderError;
use crate::metadata;

/// Lowest and highest log10 power over several spectra, so that their images share one scale and can be compared.
pub fn log_power_range<'a>(spectra: impl IntoIterator<Item = &'a SpectrumFrame>) -> (f32, f32) {
    let values = spectra
        .into_iter()
        .flat_map(|spectrum| spectrum.log_power.iter().copied());
    values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

/// Colours a spectrum with the inferno map: `low` is black, `high` pale yellow; both are log10 power.
pub fn spectrum_image(spectrum: &SpectrumFrame, (low, high): (f32, f32)) -> Rgba8 {
    let map = colorgrad::preset::inferno();
    let span = (high - low).max(f32::MIN_POSITIVE);
    let color = |value: &f32| map.at((value - low) / span).to_rgba8();
    let pixels = spectrum.log_power.iter().flat_map(color).collect();
    Rgba8 {
        width: spectrum.width,
        height: spectrum.height,
        pixels,
    }
}

/// One spectrum of [`write_radial_csv`].
#[derive(Debug, Clone, Copy)]
pub struct RadialRow<'a> {
    /// Step index; the number of steps stands for the result.
    pub step: usize,
    /// Noise level of the step.
    pub sigma: f32,
    /// Its spectrum.
    pub spectrum: &'a SpectrumFrame,
}

/// Writes radially averaged power as CSV: `step,sigma,radius_cycles_per_px,power`, one line per step and radius.
///
/// # Errors
/// When the file can't be written.
pub fn write_radial_csv(path: &Path, rows: &[RadialRow<'_>]) -> Result<(), RenderError> {
    let header = ["step", "sigma", "radius_cycles_per_px", "power"].map(str::to_owned);
    let lines = rows.iter().flat_map(|row| {
        let of_radius = |(radius, power): &(f32, f32)| {
            [
                row.step.to_string(),
                row.sigma.to_string(),
                radius.to_string(),
                format!("{power:e}"),
            ]
        };
        row.spectrum.radial.iter().map(of_radius)
    });
    let bytes = csv_bytes(std::iter::once(header).chain(lines)).map_err(|source| RenderError::Io {
        path: path.to_owned(),
        source,
    })?;
    metadata::write_file(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spectrum(log_power: &[f32]) -> SpectrumFrame {
        let radial = [(0.0, 4.0), (0.5, 0.25)].into();
        SpectrumFrame {
            width: log_power.len() as u32,
            height: 1,
            log_power: log_power.into(),
            radial,
        }
    }

    #[test]
    fn the_shared_scale_spans_all_spectra_and_brightens_with_power() {
        let (first, second) = (spectrum(&[-2.0, 0.0]), spectrum(&[1.0, 3.0]));
        let range = log_power_range([&first, &second]);
        assert_eq!(range, (-2.0, 3.0));
        let luma = |image: &Rgba8| {
            image
                .pixels
                .chunks(4)
                .map(|p| u32::from(p[0]) + u32::from(p[1]))
                .collect::<Vec<_>>()
        };
        let all = [
            luma(&spectrum_image(&first, range)),
            luma(&spectrum_image(&second, range)),
        ]
        .concat();
        assert!(all.is_sorted() && all[0] < all[3], "{all:?}");
    }

    #[test]
    fn a_flat_spectrum_does_not_divide_by_zero() {
        let flat = spectrum(&[1.0, 1.0]);
        assert_eq!(spectrum_image(&flat, log_power_range([&flat])).pixels.len(), 8);
    }

    #[test]
    fn the_table_has_a_line_per_step_and_radius() {
        let spectrum = spectrum(&[0.0]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("radial.csv");
        let row = RadialRow {
            step: 3,
            sigma: 0.5,
            spectrum: &spectrum,
        };
        write_radial_csv(&path, &[row]).expect("written");
        assert_eq!(
            std::fs::read_to_string(path).expect("readable"),
            "step,sigma,radius_cycles_per_px,power\n3,0.5,0,4e0\n3,0.5,0.5,2.5e-1\n"
        );
    }
}
