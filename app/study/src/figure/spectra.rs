//! Spectra of images as a figure and a table, as the studio exports them.

use mdsd3_render::metadata;
use mdsd3_words::RenderRequest;
use mdsd3_words::image::SpectrumFrame;

use super::chart::{ASPECT, Axis, ColorScale, Figure, Panel, Scale, Series};
use super::heat::{self, MeanSpectrum};
use super::table::{Cell, Kind, Table};

/// A spectrum with its name and colour in a figure.
#[derive(Debug, Clone, Copy)]
pub struct NamedSpectrum<'a> {
    /// What it is of, such as "haze, step 3".
    pub name: &'a str,
    /// Red, green, blue of its line.
    pub color: [u8; 3],
    /// The spectrum.
    pub spectrum: &'a SpectrumFrame,
}

/// The 2-D spectrum of `map` beside the radial averages of `lines`; `run` is what they were made by.
pub fn figure(map: NamedSpectrum<'_>, lines: &[NamedSpectrum<'_>], run: Option<&RenderRequest>) -> Figure {
    let mean = MeanSpectrum::of_frame(map.spectrum);
    let (images, ends) = heat::images(&[&mean]);
    Figure {
        panels: vec![two_d_panel(map.name, images.into_iter().next()), radial_panel(lines)],
        legend_title: "Radial average:".to_owned(),
        color_scale: Some(power_scale(ends)),
        note: run.map(in_words).unwrap_or_default(),
        texts: run.into_iter().flat_map(texts).collect(),
    }
}

/// The colour bar of 2-D spectra.
pub(crate) fn power_scale((low, high): (f64, f64)) -> ColorScale {
    ColorScale {
        label: "log10 power per bin (luma squared):".to_owned(),
        ends: [format!("{low:.1}"), format!("{high:.1}")],
    }
}

/// What a run was, as a figure says it.
fn in_words(run: &RenderRequest) -> String {
    let RenderRequest { scene, sampling, .. } = run;
    let photo = scene.path.as_ref().and_then(|path| path.file_name());
    let photo = photo.map_or_else(|| "the demo photo".into(), |name| name.to_string_lossy());
    format!(
        "{photo}, mix {}, seed {}, {} steps of {}, guidance {}, {} px, mdsd3 {}",
        sampling.mix,
        sampling.seed,
        sampling.steps,
        sampling.sampler.name(),
        sampling.guidance,
        scene.size,
        mdsd3_words::VERSION
    )
}

/// A run in words and whole.
fn texts(run: &RenderRequest) -> Vec<(&'static str, String)> {
    // A request is plain data that always has a JSON form.
    let json = serde_json::to_string(run).unwrap_or_default();
    vec![(metadata::PARAMETERS_KEYWORD, format!("{}\n{json}", in_words(run)))]
}

/// A 2-D spectrum with both frequencies on one scale.
pub(crate) fn two_d_panel(title: &str, heat: Option<heat::Heat>) -> Panel {
    let edges = heat
        .iter()
        .flat_map(|heat| [heat.across.0, heat.across.1, heat.down.0, heat.down.1]);
    let half = edges.fold(0.5, |half: f64, edge| half.max(edge.abs()));
    let axis = |label: &str, first: f64| Axis::linear(label, (first, -first), &[-0.5, -0.25, 0.0, 0.25, 0.5]);
    Panel {
        title: title.to_owned(),
        // As much wider than high as the plot is, so that both directions have one scale.
        x: axis("across (cycles per pixel)", -half * ASPECT),
        // Rows run from the top down, and so do their frequencies.
        y: axis("down (cycles per pixel)", half),
        level: None,
        heat,
        series: Vec::new(),
    }
}

/// Logarithmic frequencies, labelled by the period in pixels.
pub(crate) fn frequency_axis() -> Axis {
    let ticks = [256, 128, 64, 32, 16, 8, 4, 2].map(|period| (1.0 / f64::from(period), format!("1/{period}")));
    Axis {
        label: "frequency (cycles per pixel)".to_owned(),
        scale: Scale::Log,
        range: (1.0 / 300.0, 0.55),
        ticks: ticks.into(),
    }
}

fn radial_panel(lines: &[NamedSpectrum<'_>]) -> Panel {
    let series: Vec<Series> = lines.iter().map(radial_series).collect();
    let powers = || series.iter().flat_map(|line| &line.points).map(|point| point.1);
    let range = (
        powers().fold(f64::INFINITY, f64::min).clamp(1e-9, 1.0),
        powers().fold(0.0, f64::max).max(1e-8),
    );
    Panel {
        title: "Radial average".to_owned(),
        x: frequency_axis(),
        y: Axis::decades("power per bin (luma squared)", range),
        level: None,
        heat: None,
        series,
    }
}

fn radial_series(line: &NamedSpectrum<'_>) -> Series {
    let with_power = line.spectrum.radial.iter().filter(|(_, power)| *power > 0.0);
    Series {
        label: line.name.to_owned(),
        color: line.color,
        points: with_power
            .map(|(radius, power)| (f64::from(*radius), f64::from(*power)))
            .collect(),
        interval: Vec::new(),
        marked: false,
    }
}

/// Radial averages, one radius per line; `radius` is cycles per pixel.
pub fn table(lines: &[NamedSpectrum<'_>]) -> Table {
    let mut table = Table::new(&[("image", Kind::Text), ("radius", Kind::Number), ("power", Kind::Number)]);
    for line in lines {
        let rows = line
            .spectrum
            .radial
            .iter()
            .map(|(radius, power)| vec![line.name.into(), Cell::number(*radius), Cell::number(*power)]);
        table.rows.extend(rows);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::chart::{Anchor, Shape};
    use super::*;

    #[test]
    fn a_wave_stands_where_numpy_has_it() {
        // numpy.fft.fftshift(abs(fft2(cos(2 pi (2 x + y) / 8))) ** 2) of 8x8 pixels is above 0 at rows and columns (3, 2) and
        // (5, 6): 1/8 cycle per pixel down and 1/4 across, and their negatives.
        let mut log_power = vec![-9.0; 64];
        (log_power[3 * 8 + 2], log_power[5 * 8 + 6]) = (1.0, 1.0);
        let spectrum = SpectrumFrame {
            width: 8,
            height: 8,
            log_power: log_power.into(),
            radial: vec![(0.28, 1.0)].into(),
        };
        let of = NamedSpectrum {
            name: "wave",
            color: [0; 3],
            spectrum: &spectrum,
        };
        let shapes = figure(of, &[of], None).shapes();
        let image = shapes.iter().find_map(|shape| match shape {
            Shape::Image {
                corner, size, indices, ..
            } if indices.len() == 64 => Some((*corner, *size, indices.clone())),
            _ => None,
        });
        let (corner, size, indices) = image.expect("a 2-D spectrum");
        let peak = indices.iter().rposition(|index| *index == 255).expect("a peak");
        let centre = |bin: usize, from: f64, length: f64| from + (bin as f64 + 0.5) / 8.0 * length;
        let (x, y) = (centre(peak % 8, corner.0, size.0), centre(peak / 8, corner.1, size.1));
        // Labels of the axis across are centred on their values, those of the axis down stand 4 points below.
        let label = |wanted: &str, of_down: bool| {
            let found = shapes.iter().find_map(|shape| match shape {
                Shape::Text { at, text, anchor, .. } if text == wanted && (*anchor == Anchor::End) == of_down => {
                    Some(*at)
                }
                _ => None,
            });
            found.expect("a label")
        };
        assert!((x - label("0.25", false).0).abs() < 0.01, "{x}");
        let (zero, quarter) = (label("0", true).1 - 4.0, label("0.25", true).1 - 4.0);
        assert!(
            quarter > zero && (y - f64::midpoint(zero, quarter)).abs() < 0.01,
            "{y} {zero} {quarter}"
        );
    }

    #[test]
    fn lines_and_rows_are_those_of_the_spectra() {
        let spectrum = SpectrumFrame {
            width: 2,
            height: 2,
            log_power: vec![0.0, 1.0, 2.0, 3.0].into(),
            radial: vec![(0.1, 100.0), (0.4, 0.0)].into(),
        };
        let of = |name| NamedSpectrum {
            name,
            color: [1, 2, 3],
            spectrum: &spectrum,
        };
        let figure = figure(of("haze"), &[of("haze"), of("scene")], Some(&RenderRequest::default()));
        assert!(
            figure.note.contains("the demo photo") && figure.note.contains("seed 0"),
            "{}",
            figure.note
        );
        assert!(figure.texts[0].1.contains("\"guidance\""), "{:?}", figure.texts);
        assert_eq!(
            figure.panels[0].heat.as_ref().map(|heat| heat.indices.clone()),
            Some(vec![0, 85, 170, 255])
        );
        let lines = &figure.panels[1].series;
        assert_eq!(
            (lines.len(), lines[0].points.len()),
            (2, 1),
            "no power has no logarithm"
        );
        assert_eq!(
            table(&[of("haze, step 3")]).csv().expect("equal rows"),
            b"image,radius,power\n\"haze, step 3\",0.1,100.0\n\"haze, step 3\",0.4,0.0\n"
        );
    }
}
