//! Spectra of images as a figure and a table, as the studio exports them.

use mdsd3_words::image::SpectrumFrame;

use super::chart::{ASPECT, Axis, Figure, Panel, Scale, Series};
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

/// The 2-D spectrum of `map` beside the radial averages of `lines`.
pub fn figure(map: NamedSpectrum<'_>, lines: &[NamedSpectrum<'_>]) -> Figure {
    let mean = MeanSpectrum::of_frame(map.spectrum);
    let (images, (low, high)) = heat::images(&[&mean]);
    let mut two_d = two_d_panel(map.name, images.into_iter().next());
    two_d.title = format!("{} (log10 power {low:.1} black to {high:.1})", map.name);
    Figure {
        panels: vec![two_d, radial_panel(lines)],
        legend_title: "Radial average:".to_owned(),
        color_scale: None,
    }
}

/// A 2-D spectrum with both frequencies on one scale.
pub(crate) fn two_d_panel(title: &str, heat: Option<heat::Heat>) -> Panel {
    // As much wider than high as the plot is, so that both directions have one scale.
    let axis = |label: &str, half: f64| Axis::linear(label, (-half, half), &[-0.5, -0.25, 0.0, 0.25, 0.5]);
    Panel {
        title: title.to_owned(),
        x: axis("across (cycles per pixel)", 0.5 * ASPECT),
        y: axis("down (cycles per pixel)", 0.5),
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
    use super::*;

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
        let figure = figure(of("haze"), &[of("haze"), of("scene")]);
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
