//! Charts as plain shapes, which the SVG and the PNG writer draw alike.

pub use super::axis::{Axis, Scale};
use super::heat::{Heat, PALETTE_LEN};

/// One line of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// Red, green, blue.
    pub color: [u8; 3],
    /// Points in order; a NaN leaves a gap.
    pub points: Vec<(f64, f64)>,
    /// Lower and upper end of each point's interval; empty for none.
    pub interval: Vec<(f64, f64)>,
    /// Whether points are marked and intervals are bars rather than a band.
    pub marked: bool,
}

/// One plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Above it.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// A dashed level across.
    pub level: Option<f64>,
    /// An image under the lines, at its frequencies on both axes.
    pub heat: Option<Heat>,
    /// Its lines.
    pub series: Vec<Series>,
}

/// Panels side by side with one legend per distinct label.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figure {
    /// From left to right.
    pub panels: Vec<Panel>,
    /// What the legend is about.
    pub legend_title: String,
    /// What the colours of the images stand for.
    pub color_scale: Option<ColorScale>,
    /// What was measured and how, in a line or a few under the rest.
    pub note: String,
    /// Keyword and text of what the file carries unseen, such as the settings of the run.
    pub texts: Vec<(&'static str, String)>,
}

/// A colour bar.
#[derive(Debug, Clone, PartialEq)]
pub struct ColorScale {
    /// What its numbers are, with the unit.
    pub label: String,
    /// What the first and the last colour stand for.
    pub ends: [String; 2],
}

/// How a text is placed on its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// Begins there.
    Start,
    /// Centred there.
    Middle,
    /// Ends there.
    End,
}

/// What a writer can draw; lengths in points of 1/96 inch, y down.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// A filled polygon.
    Area {
        points: Vec<(f64, f64)>,
        color: [u8; 3],
        opacity: f64,
    },
    /// A stroked line.
    Line {
        points: Vec<(f64, f64)>,
        color: [u8; 3],
        width: f64,
        dashed: bool,
    },
    /// An image whose values are indices into the palette of [`super::heat`], rows top to bottom.
    Image {
        corner: (f64, f64),
        size: (f64, f64),
        columns: usize,
        indices: Vec<u8>,
    },
    /// A text on its baseline; turned texts read upwards.
    Text {
        at: (f64, f64),
        text: String,
        size: f64,
        anchor: Anchor,
        turned: bool,
    },
}

/// Width of a plot over its height.
pub const ASPECT: f64 = PLOT_WIDTH / PLOT_HEIGHT;
/// Text and axes.
pub(super) const INK: [u8; 3] = [34, 34, 34];
const GRID: [u8; 3] = [225, 225, 225];
const PLOT_WIDTH: f64 = 270.0;
const PLOT_HEIGHT: f64 = 230.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 52.0;
const LEGEND_ROW: f64 = 18.0;
const TEXT: f64 = 12.0;
const TITLE: f64 = 14.0;

impl Figure {
    /// Width and height.
    pub fn size(&self) -> (f64, f64) {
        let rows = (self.legend_rows().len() + usize::from(self.color_scale.is_some()) + self.note_rows().len()) as f64;
        (
            self.panels.len() as f64 * (LEFT + PLOT_WIDTH) + 16.0,
            TOP + PLOT_HEIGHT + BOTTOM + rows * LEGEND_ROW + 8.0,
        )
    }

    /// Everything to draw, back to front.
    pub(super) fn shapes(&self) -> Vec<Shape> {
        let mut shapes = Vec::new();
        for (index, panel) in self.panels.iter().enumerate() {
            let left = LEFT + index as f64 * (LEFT + PLOT_WIDTH);
            panel.draw(left, &mut shapes);
        }
        self.draw_legend(&mut shapes);
        shapes
    }

    /// The note, broken into rows that fit the width.
    fn note_rows(&self) -> Vec<String> {
        let mut rows: Vec<String> = Vec::new();
        for word in self.note.split_whitespace() {
            match rows.last_mut() {
                Some(row) if text_width(row) + text_width(word) + TEXT < self.width() => {
                    row.push(' ');
                    row.push_str(word);
                }
                _ => rows.push(word.to_owned()),
            }
        }
        rows
    }

    /// Of everything below the plots.
    fn width(&self) -> f64 {
        self.panels.len() as f64 * (LEFT + PLOT_WIDTH) - LEFT
    }

    /// Distinct labels, broken into rows that fit the width; none without lines.
    fn legend_rows(&self) -> Vec<Vec<&Series>> {
        let mut distinct: Vec<&Series> = Vec::new();
        for series in self.panels.iter().flat_map(|panel| &panel.series) {
            if distinct.iter().all(|known| known.label != series.label) {
                distinct.push(series);
            }
        }
        if distinct.is_empty() {
            return Vec::new();
        }
        let mut rows: Vec<Vec<&Series>> = vec![Vec::new()];
        let mut used = text_width(&self.legend_title) + 16.0;
        for series in distinct {
            let own = legend_width(series);
            if used + own > self.width() && rows.last().is_some_and(|row| !row.is_empty()) {
                rows.push(Vec::new());
                used = 0.0;
            }
            used += own;
            if let Some(row) = rows.last_mut() {
                row.push(series);
            }
        }
        rows
    }

    fn draw_legend(&self, shapes: &mut Vec<Shape>) {
        let mut y = TOP + PLOT_HEIGHT + BOTTOM + 10.0;
        if let Some(scale) = &self.color_scale {
            draw_color_bar(y, scale, shapes);
            y += LEGEND_ROW;
        }
        let rows = self.legend_rows();
        if !rows.is_empty() {
            shapes.push(text((LEFT, y), &self.legend_title, Anchor::Start));
        }
        let mut x = LEFT + text_width(&self.legend_title) + 16.0;
        for row in rows {
            for series in row {
                let line = vec![(x, y - 4.0), (x + 20.0, y - 4.0)];
                shapes.push(Shape::Line {
                    points: line,
                    color: series.color,
                    width: 2.5,
                    dashed: false,
                });
                shapes.push(text((x + 26.0, y), &series.label, Anchor::Start));
                x += legend_width(series);
            }
            x = LEFT;
            y += LEGEND_ROW;
        }
        for row in self.note_rows() {
            shapes.push(text((LEFT, y), &row, Anchor::Start));
            y += LEGEND_ROW;
        }
    }
}

/// The palette from left to right between the labels of its ends.
fn draw_color_bar(y: f64, scale: &ColorScale, shapes: &mut Vec<Shape>) {
    const LENGTH: f64 = 160.0;
    let [first, last] = &scale.ends;
    shapes.push(text((LEFT, y), &scale.label, Anchor::Start));
    let x = LEFT + text_width(&scale.label) + 16.0;
    let left = x + text_width(first) + 6.0;
    shapes.push(text((x, y), first, Anchor::Start));
    shapes.push(Shape::Image {
        corner: (left, y - 10.0),
        size: (LENGTH, 11.0),
        columns: PALETTE_LEN,
        indices: (0..=u8::MAX).collect(),
    });
    shapes.push(text((left + LENGTH + 6.0, y), last, Anchor::Start));
}

impl Panel {
    fn draw(&self, left: f64, shapes: &mut Vec<Shape>) {
        let place = |x: f64, y: f64| (left + x * PLOT_WIDTH, TOP + (1.0 - y) * PLOT_HEIGHT);
        self.draw_grid(left, shapes);
        let position =
            |(x, y): (f64, f64)| place(self.x.position(x).clamp(0.0, 1.0), self.y.position(y).clamp(0.0, 1.0));
        if let Some(heat) = &self.heat {
            let at = |x: f64, y: f64| place(self.x.position(x), self.y.position(y));
            let (corner, opposite) = (at(heat.across.0, heat.down.0), at(heat.across.1, heat.down.1));
            shapes.push(Shape::Image {
                corner,
                size: (opposite.0 - corner.0, opposite.1 - corner.1),
                columns: heat.columns,
                indices: heat.indices.clone(),
            });
        }
        for series in &self.series {
            series.draw_interval(&position, shapes);
        }
        for series in &self.series {
            series.draw_line(&position, shapes);
        }
        shapes.push(line(
            vec![place(0.0, 1.0), place(0.0, 0.0), place(1.0, 0.0)],
            INK,
            1.2,
            false,
        ));
        self.draw_labels(left, shapes);
    }

    /// Grid lines with their labels, and the level.
    fn draw_grid(&self, left: f64, shapes: &mut Vec<Shape>) {
        let place = |x: f64, y: f64| (left + x * PLOT_WIDTH, TOP + (1.0 - y) * PLOT_HEIGHT);
        for (value, label) in &self.x.ticks {
            let at = self.x.position(*value);
            shapes.push(line(vec![place(at, 0.0), place(at, 1.0)], GRID, 1.0, false));
            shapes.push(text(
                (place(at, 0.0).0, TOP + PLOT_HEIGHT + 16.0),
                label,
                Anchor::Middle,
            ));
        }
        for (value, label) in &self.y.ticks {
            let at = self.y.position(*value);
            shapes.push(line(vec![place(0.0, at), place(1.0, at)], GRID, 1.0, false));
            shapes.push(text((left - 6.0, place(0.0, at).1 + 4.0), label, Anchor::End));
        }
        if let Some(level) = self.level {
            let at = self.y.position(level);
            shapes.push(line(vec![place(0.0, at), place(1.0, at)], INK, 1.0, true));
        }
    }

    /// Title and names of the axes.
    fn draw_labels(&self, left: f64, shapes: &mut Vec<Shape>) {
        let centre = left + PLOT_WIDTH / 2.0;
        shapes.push(Shape::Text {
            at: (centre, 20.0),
            text: self.title.clone(),
            size: TITLE,
            anchor: Anchor::Middle,
            turned: false,
        });
        shapes.push(text((centre, TOP + PLOT_HEIGHT + 36.0), &self.x.label, Anchor::Middle));
        let at = (left - 46.0, TOP + PLOT_HEIGHT / 2.0);
        shapes.push(Shape::Text {
            at,
            text: self.y.label.clone(),
            size: TEXT,
            anchor: Anchor::Middle,
            turned: true,
        });
    }
}

fn line(points: Vec<(f64, f64)>, color: [u8; 3], width: f64, dashed: bool) -> Shape {
    Shape::Line {
        points,
        color,
        width,
        dashed,
    }
}

impl Series {
    fn draw_interval(&self, position: &dyn Fn((f64, f64)) -> (f64, f64), shapes: &mut Vec<Shape>) {
        let ends: Vec<_> = self
            .points
            .iter()
            .zip(&self.interval)
            .filter(|(p, i)| p.1.is_finite() && i.0.is_finite())
            .collect();
        if self.marked {
            for (point, (low, high)) in ends {
                let points = vec![position((point.0, *low)), position((point.0, *high))];
                shapes.push(Shape::Line {
                    points,
                    color: self.color,
                    width: 1.4,
                    dashed: false,
                });
            }
            return;
        }
        let upper = ends.iter().map(|(point, (_, high))| position((point.0, *high)));
        let lower = ends.iter().rev().map(|(point, (low, _))| position((point.0, *low)));
        let points: Vec<(f64, f64)> = upper.chain(lower).collect();
        if points.len() > 3 {
            shapes.push(Shape::Area {
                points,
                color: self.color,
                opacity: 0.18,
            });
        }
    }

    fn draw_line(&self, position: &dyn Fn((f64, f64)) -> (f64, f64), shapes: &mut Vec<Shape>) {
        for run in self
            .points
            .split(|point| !point.1.is_finite())
            .filter(|run| run.len() > 1)
        {
            let points = run.iter().map(|point| position(*point)).collect();
            shapes.push(Shape::Line {
                points,
                color: self.color,
                width: 1.8,
                dashed: false,
            });
        }
        for point in self.points.iter().filter(|point| self.marked && point.1.is_finite()) {
            let (x, y) = position(*point);
            let points = vec![(x - 3.5, y), (x, y - 3.5), (x + 3.5, y), (x, y + 3.5)];
            shapes.push(Shape::Area {
                points,
                color: self.color,
                opacity: 1.0,
            });
        }
    }
}

fn legend_width(series: &Series) -> f64 {
    26.0 + text_width(&series.label) + 18.0
}

/// Close enough to leave room: fonts differ where the SVG is shown.
fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * TEXT * 0.53
}

fn text(at: (f64, f64), text: &str, anchor: Anchor) -> Shape {
    Shape::Text {
        at,
        text: text.to_owned(),
        size: TEXT,
        anchor,
        turned: false,
    }
}
