//! Charts as pixels: polygons by scanline at several samples per pixel, text from the embedded font's outlines.

use mdsd3_words::image::Rgba8;
use skrifa::FontRef;

use super::chart::{Anchor, Figure, INK, Shape};
use super::glyphs::text_outline;
use super::heat;

/// Samples per pixel and direction.
const SAMPLES: usize = 3;

/// The figure on white, `scale` pixels to a point.
pub fn rasterize(figure: &Figure, scale: usize) -> Rgba8 {
    let (width, height) = figure.size();
    let (width, height) = (width.ceil() as usize * scale, height.ceil() as usize * scale);
    let mut canvas = Canvas::new(width * SAMPLES, height * SAMPLES, (scale * SAMPLES) as f64);
    let font = FontRef::new(epaint_default_fonts::UBUNTU_LIGHT).ok();
    for shape in figure.shapes() {
        canvas.draw(&shape, font.as_ref());
    }
    canvas.averaged(width, height)
}

/// A closed polygon.
pub(super) type Contour = Vec<(f64, f64)>;

struct Canvas {
    width: usize,
    height: usize,
    /// Samples per point.
    scale: f64,
    samples: Vec<[u8; 3]>,
}

impl Canvas {
    fn new(width: usize, height: usize, scale: f64) -> Self {
        Self {
            width,
            height,
            scale,
            samples: vec![[255; 3]; width * height],
        }
    }

    fn draw(&mut self, shape: &Shape, font: Option<&FontRef<'_>>) {
        match shape {
            Shape::Area { points, color, opacity } => self.fill(std::slice::from_ref(points), *color, *opacity),
            Shape::Line {
                points,
                color,
                width,
                dashed,
            } => {
                let pieces = if *dashed {
                    dashes(points)
                } else {
                    points.windows(2).map(|p| (p[0], p[1])).collect()
                };
                for (from, to) in pieces {
                    self.fill(&[stroke(from, to, *width / 2.0)], *color, 1.0);
                }
            }
            Shape::Image {
                corner,
                size,
                columns,
                indices,
            } => self.paint(*corner, *size, *columns, indices),
            Shape::Text {
                at,
                text,
                size,
                anchor,
                turned,
            } => {
                let Some(font) = font else { return };
                let (contours, width) = text_outline(font, text, *size);
                let shift = match anchor {
                    Anchor::Start => 0.0,
                    Anchor::Middle => -width / 2.0,
                    Anchor::End => -width,
                };
                let place = |(x, y): (f64, f64)| {
                    if *turned {
                        (at.0 - y, at.1 - x - shift)
                    } else {
                        (at.0 + x + shift, at.1 - y)
                    }
                };
                let contours: Vec<Contour> = contours
                    .into_iter()
                    .map(|c| c.into_iter().map(place).collect())
                    .collect();
                self.fill(&contours, INK, 1.0);
            }
        }
    }

    /// Fills contours by the non-zero rule.
    fn fill(&mut self, contours: &[Contour], color: [u8; 3], opacity: f64) {
        let ys = || contours.iter().flatten().map(|p| p.1 * self.scale);
        let (top, bottom) = (
            ys().fold(f64::INFINITY, f64::min),
            ys().fold(f64::NEG_INFINITY, f64::max),
        );
        for row in top.max(0.0) as usize..(bottom.max(0.0).ceil() as usize).min(self.height) {
            let mut crossings = crossings(contours, self.scale, row as f64 + 0.5);
            crossings.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut winding = 0;
            for pair in crossings.windows(2) {
                winding += pair[0].1;
                if winding != 0 {
                    self.blend(row, pair[0].0, pair[1].0, color, opacity);
                }
            }
        }
    }

    fn blend(&mut self, row: usize, from: f64, to: f64, color: [u8; 3], opacity: f64) {
        let column = |x: f64| ((x - 0.5).ceil().max(0.0) as usize).min(self.width);
        let (from, to) = (row * self.width + column(from), row * self.width + column(to));
        for sample in self.samples.get_mut(from..to).unwrap_or_default() {
            for (old, new) in sample.iter_mut().zip(color) {
                *old = (f64::from(*old) + (f64::from(new) - f64::from(*old)) * opacity).round() as u8;
            }
        }
    }

    /// An image without interpolation.
    fn paint(&mut self, corner: (f64, f64), size: (f64, f64), columns: usize, indices: &[u8]) {
        let palette = heat::palette();
        let rows = indices.len() / columns.max(1);
        let range = |start: f64, length: f64, end: usize| {
            let at = |value: f64| ((value * self.scale).round().max(0.0) as usize).min(end);
            at(start)..at(start + length)
        };
        let (xs, ys) = (
            range(corner.0, size.0, self.width),
            range(corner.1, size.1, self.height),
        );
        for y in ys.clone() {
            for x in xs.clone() {
                let column = (x - xs.start) * columns / xs.len();
                let row = (y - ys.start) * rows / ys.len();
                self.samples[y * self.width + x] = palette[usize::from(indices[row * columns + column])];
            }
        }
    }

    fn averaged(&self, width: usize, height: usize) -> Rgba8 {
        let mut pixels = Vec::with_capacity(width * height * 4);
        for index in 0..width * height {
            let mut sum = [0usize; 3];
            for sample in 0..SAMPLES * SAMPLES {
                let row = index / width * SAMPLES + sample / SAMPLES;
                let color = self.samples[row * self.width + index % width * SAMPLES + sample % SAMPLES];
                sum.iter_mut()
                    .zip(color)
                    .for_each(|(sum, part)| *sum += usize::from(part));
            }
            pixels.extend(sum.map(|sum| (sum / (SAMPLES * SAMPLES)) as u8));
            pixels.push(255);
        }
        Rgba8 {
            width: width as u32,
            height: height as u32,
            pixels: pixels.into(),
        }
    }
}

/// Where a horizontal line meets the contours, and whether they go down (1) or up (-1) there.
fn crossings(contours: &[Contour], scale: f64, y: f64) -> Vec<(f64, i32)> {
    let mut found = Vec::new();
    for contour in contours {
        for (index, from) in contour.iter().enumerate() {
            let to = contour[(index + 1) % contour.len()];
            let (y0, y1) = (from.1 * scale, to.1 * scale);
            if (y0 <= y) != (y1 <= y) {
                let x = from.0 * scale + (y - y0) / (y1 - y0) * (to.0 - from.0) * scale;
                found.push((x, if y1 > y0 { 1 } else { -1 }));
            }
        }
    }
    found
}

/// A segment as a rectangle that reaches half its width beyond both ends, so that corners close.
fn stroke(from: (f64, f64), to: (f64, f64), half: f64) -> Contour {
    let length = (to.0 - from.0).hypot(to.1 - from.1).max(1e-9);
    let (dx, dy) = ((to.0 - from.0) / length * half, (to.1 - from.1) / length * half);
    vec![
        (from.0 - dx - dy, from.1 - dy + dx),
        (to.0 + dx - dy, to.1 + dy + dx),
        (to.0 + dx + dy, to.1 + dy - dx),
        (from.0 - dx + dy, from.1 - dy - dx),
    ]
}

fn dashes(points: &[(f64, f64)]) -> Vec<((f64, f64), (f64, f64))> {
    let mut pieces = Vec::new();
    for pair in points.windows(2) {
        let length = (pair[1].0 - pair[0].0).hypot(pair[1].1 - pair[0].1);
        let at = |t: f64| {
            let share = (t / length.max(1e-9)).min(1.0);
            (
                pair[0].0 + (pair[1].0 - pair[0].0) * share,
                pair[0].1 + (pair[1].1 - pair[0].1) * share,
            )
        };
        pieces.extend((0..(length / 7.0).ceil() as usize).map(|i| (at(i as f64 * 7.0), at(i as f64 * 7.0 + 4.0))));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::chart::{Axis, Panel, Series};

    #[test]
    fn a_figure_has_its_colours_and_its_text() {
        let axis = || Axis::linear("sigma", (0.0, 1.0), &[0.0, 1.0]);
        let red = Series {
            label: "rain".to_owned(),
            color: [200, 0, 0],
            points: vec![(0.0, 0.5), (1.0, 0.5)],
            interval: vec![],
            marked: false,
        };
        let panel = Panel {
            title: "Formation".to_owned(),
            x: axis(),
            y: axis(),
            level: None,
            heat: None,
            series: vec![red],
        };
        let figure = Figure {
            panels: vec![panel],
            legend_title: "lane".to_owned(),
            color_scale: None,
        };
        let image = rasterize(&figure, 1);
        let (width, height) = figure.size();
        assert_eq!((image.width, image.height), (width.ceil() as u32, height.ceil() as u32));
        let of = |wanted: &dyn Fn(&[u8]) -> bool| image.pixels.chunks(4).filter(|p| wanted(p)).count();
        assert!(of(&|p| p[0] > 150 && p[1] < 60) > 250, "a red line across");
        // A light face at this size is mostly antialiased edge, so half dark counts as ink.
        let ink = of(&|p| p[..3].iter().all(|&v| v < 140));
        assert!(ink > 300, "dark text and axes, {ink} pixels");
        let svg = super::super::svg::svg(&figure);
        assert!(svg.contains(">Formation</text>") && svg.contains("#c80000") && svg.ends_with("</svg>\n"));
    }
}
