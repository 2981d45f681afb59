//! Two-dimensional spectra as images: the mean over runs, and its colours.

use std::sync::LazyLock;

use mdsd3_model::spectrum::{POWER_FLOOR, Spectrum};
use mdsd3_words::image::SpectrumFrame;

/// Colours of the palette.
pub(super) const PALETTE_LEN: usize = 256;
/// Most bins per side of a figure's image; finer ones are averaged, as a page can't show more.
const MAX_BINS: usize = 128;

/// Mean power over runs, zero frequency in the middle.
#[derive(Debug, Clone, Default)]
pub struct MeanSpectrum {
    /// Bins across.
    pub width: usize,
    /// Bins down.
    pub height: usize,
    /// Sum of the power of every bin over the runs.
    sum: Vec<f64>,
    /// Spectra it is the mean of.
    pub runs: usize,
}

impl MeanSpectrum {
    /// A single spectrum.
    pub fn of_frame(frame: &SpectrumFrame) -> Self {
        let power = |log: &f32| 10f64.powf(f64::from(*log)) - f64::from(POWER_FLOOR);
        Self {
            width: frame.width as usize,
            height: frame.height as usize,
            sum: frame.log_power.iter().map(power).collect(),
            runs: 1,
        }
    }

    /// Takes a spectrum in; one of another size than the first is left out, since their bins are other frequencies.
    pub fn add(&mut self, spectrum: &Spectrum) {
        if self.runs == 0 {
            (self.width, self.height) = (spectrum.width, spectrum.height);
            self.sum = vec![0.0; spectrum.power.len()];
        }
        if (self.width, self.height) != (spectrum.width, spectrum.height) {
            return;
        }
        self.sum
            .iter_mut()
            .zip(&spectrum.power)
            .for_each(|(sum, power)| *sum += f64::from(*power));
        self.runs += 1;
    }

    /// Bins per side of a block of the figure's image.
    fn block(&self) -> usize {
        self.width.max(self.height).div_ceil(MAX_BINS).max(1)
    }

    /// Frequencies at the edges of the figure's image along a side of `bins`, in cycles per pixel. A bin reaches half a bin
    /// to both sides of its frequency; that of bin `bins / 2` is 0.
    fn edges(&self, bins: usize) -> (f64, f64) {
        let shown = bins / self.block() * self.block();
        let edge = |bin: usize| (bin as f64 - (bins / 2) as f64 - 0.5) / bins as f64;
        (edge(0), edge(shown))
    }

    /// log10 of the mean power, in blocks of bins so that no side has more than [`MAX_BINS`]; with its columns.
    fn log_power(&self) -> (usize, Vec<f64>) {
        let block = self.block();
        let (columns, rows) = (self.width / block, self.height / block);
        let mean = |index: usize| {
            let (left, top) = (index % columns * block, index / columns * block);
            let lines = (top..top + block).map(|row| row * self.width + left);
            let sum: f64 = lines
                .map(|start| self.sum[start..start + block].iter().sum::<f64>())
                .sum();
            sum / (block * block * self.runs.max(1)) as f64
        };
        let values = (0..columns * rows).map(|index| (mean(index) + f64::from(POWER_FLOOR)).log10());
        (columns, values.collect())
    }
}

/// An image of palette indices.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// Pixels across.
    pub columns: usize,
    /// One index per pixel, rows top to bottom.
    pub indices: Vec<u8>,
    /// Frequencies across at the left and the right edge, in cycles per pixel.
    pub across: (f64, f64),
    /// Frequencies down at the top and the bottom edge.
    pub down: (f64, f64),
}

/// Images of several spectra on one scale, and the log10 power at the scale's ends.
pub fn images(spectra: &[&MeanSpectrum]) -> (Vec<Heat>, (f64, f64)) {
    let logs: Vec<(usize, Vec<f64>)> = spectra.iter().map(|spectrum| spectrum.log_power()).collect();
    let (low, high) = logs
        .iter()
        .flat_map(|(_, values)| values)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(*value), high.max(*value))
        });
    let span = (high - low).max(1e-9);
    let index = |value: &f64| ((value - low) / span * (PALETTE_LEN - 1) as f64).round() as u8;
    let heat = |(spectrum, (columns, values)): (&&MeanSpectrum, &(usize, Vec<f64>))| Heat {
        columns: *columns,
        indices: values.iter().map(index).collect(),
        across: spectrum.edges(spectrum.width),
        down: spectrum.edges(spectrum.height),
    };
    (spectra.iter().zip(&logs).map(heat).collect(), (low, high))
}

/// Inferno: black for little power, pale yellow for much.
pub(super) fn palette() -> &'static [[u8; 3]; PALETTE_LEN] {
    static PALETTE: LazyLock<[[u8; 3]; PALETTE_LEN]> = LazyLock::new(|| {
        use colorgrad::Gradient;
        let map = colorgrad::preset::inferno();
        std::array::from_fn(|index| {
            let [red, green, blue, _] = map.at(index as f32 / (PALETTE_LEN - 1) as f32).to_rgba8();
            [red, green, blue]
        })
    });
    &PALETTE
}

/// Indices as a PNG with the palette.
pub(super) fn png(columns: usize, indices: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let rows = indices.len() / columns.max(1);
    let mut encoder = png::Encoder::new(&mut bytes, columns as u32, rows as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette().as_flattened());
    let mut writer = encoder.write_header()?;
    writer.write_image_data(indices)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spectrum(width: usize, power: &[f32]) -> Spectrum {
        Spectrum {
            width,
            height: power.len() / width,
            power: power.to_vec(),
            log_power: Vec::new(),
        }
    }

    #[test]
    fn the_mean_is_over_runs_of_one_size_and_the_scale_is_shared() {
        let mut first = MeanSpectrum::default();
        first.add(&spectrum(2, &[1.0, 10.0, 1.0, 10.0]));
        first.add(&spectrum(2, &[3.0, 10.0, 3.0, 10.0]));
        first.add(&spectrum(4, &[1e6; 4]));
        let mut second = MeanSpectrum::default();
        second.add(&spectrum(2, &[200.0; 4]));
        assert_eq!(first.runs, 2);
        let (images, (low, high)) = images(&[&first, &second]);
        assert!((low - 2f64.log10()).abs() < 1e-6 && (high - 200f64.log10()).abs() < 1e-6);
        assert_eq!(images[0].indices, [0, 89, 0, 89]);
        assert_eq!(images[1].indices, [255; 4]);
    }

    #[test]
    fn many_bins_are_averaged_in_blocks() {
        let mut mean = MeanSpectrum::default();
        mean.add(&spectrum(256, &vec![1.0; 256 * 256]));
        let (columns, values) = mean.log_power();
        assert_eq!((columns, values.len()), (128, 128 * 128));
        assert!(values.iter().all(|value| value.abs() < 1e-6));
    }
}
