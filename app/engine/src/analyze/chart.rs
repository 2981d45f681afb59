//! Line charts as plain shapes, which the SVG and the PNG writer draw alike.

/// How numbers map to a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Proportional.
    Linear,
    /// By the decimal logarithm.
    Log,
}

/// One axis of a panel.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What it shows, with the unit.
    pub label: String,
    /// How.
    pub scale: Scale,
    /// Value at the left or bottom, value at the right or top; the first may be the larger.
    pub range: (f64, f64),
    /// Where labels stand, and what they say.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// A linear axis with a label at each of `ticks`.
    pub fn linear(label: &str, range: (f64, f64), ticks: &[f64]) -> Self {
        let ticks = ticks.iter().map(|tick| (*tick, tick.to_string())).collect();
        Self {
            label: label.to_owned(),
            scale: Scale::Linear,
            range,
            ticks,
        }
    }

    /// A linear axis from 0 to a round number that holds `largest`, with up to six labels.
    pub fn from_zero(label: &str, largest: f64) -> Self {
        let rough = largest.max(1e-9) / 5.0;
        let magnitude = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|m| m * magnitude)
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(rough);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let count = (largest / step).ceil().max(1.0) as usize;
        let ticks = (0..=count)
            .map(|i| (i as f64 * step, format!("{:.decimals$}", i as f64 * step)))
            .collect();
        Self {
            label: label.to_owned(),
            scale: Scale::Linear,
            range: (0.0, count as f64 * step),
            ticks,
        }
    }

    /// A logarithmic axis over whole decades that hold `range`.
    pub fn decades(label: &str, range: (f64, f64)) -> Self {
        let (low, high) = (range.0.log10().floor() as i32, range.1.log10().ceil() as i32);
        let every = ((high - low) / 6 + 1) as usize;
        let ticks = (low..=high)
            .step_by(every)
            .map(|power| (10f64.powi(power), format!("1e{power}")))
            .collect();
        Self {
            label: label.to_owned(),
            scale: Scale::Log,
            range: (10f64.powi(low), 10f64.powi(high.max(low + 1))),
            ticks,
        }
    }

    /// Position of a value, 0 to 1 within the range.
    fn position(&self, value: f64) -> f64 {
        let (a, b) = self.range;
        match self.scale {
            Scale::Linear => (value - a) / (b - a),
            Scale::Log => (value / a).log10() / (b / a).log10(),
        }
    }
}

/// One line of a panel.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
pub struct Panel {
    /// Above it.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// A dashed level across.
    pub level: Option<f64>,
    /// Its lines.
    pub series: Vec<Series>,
}

/// Panels side by side with one legend per distinct label.
#[derive(Debug, Clone)]
pub struct Figure {
    /// From left to right.
    pub panels: Vec<Panel>,
    /// What the legend is about.
    pub legend_title: String,
}

/// How a text is placed on its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Begins there.
    Start,
    /// Centred there.
    Middle,
    /// Ends there.
    End,
}

/// What a writer can draw; lengths in points of 1/96 inch, y down.
#[derive(Debug, Clone)]
pub enum Shape {
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
    /// A text on its baseline; turned texts read upwards.
    Text {
        at: (f64, f64),
        text: String,
        size: f64,
        anchor: Anchor,
        turned: bool,
    },
}

/// Text and axes.
pub const INK: [u8; 3] = [34, 34, 34];
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
        let rows = self.legend_rows().len() as f64;
        (
            self.panels.len() as f64 * (LEFT + PLOT_WIDTH) + 16.0,
            TOP + PLOT_HEIGHT + BOTTOM + rows * LEGEND_ROW + 8.0,
        )
    }

    /// Everything to draw, back to front.
    pub fn shapes(&self) -> Vec<Shape> {
        let mut shapes = Vec::new();
        for (index, panel) in self.panels.iter().enumerate() {
            let left = LEFT + index as f64 * (LEFT + PLOT_WIDTH);
            panel.draw(left, &mut shapes);
        }
        self.draw_legend(&mut shapes);
        shapes
    }

    /// Distinct labels, broken into rows that fit the width.
    fn legend_rows(&self) -> Vec<Vec<&Series>> {
        let mut distinct: Vec<&Series> = Vec::new();
        for series in self.panels.iter().flat_map(|panel| &panel.series) {
            if distinct.iter().all(|known| known.label != series.label) {
                distinct.push(series);
            }
        }
        let width = self.panels.len() as f64 * (LEFT + PLOT_WIDTH) - LEFT;
        let mut rows: Vec<Vec<&Series>> = vec![Vec::new()];
        let mut used = text_width(&self.legend_title) + 16.0;
        for series in distinct {
            let own = legend_width(series);
            if used + own > width && rows.last().is_some_and(|row| !row.is_empty()) {
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
        shapes.push(text((LEFT, y), &self.legend_title, Anchor::Start));
        let mut x = LEFT + text_width(&self.legend_title) + 16.0;
        for row in self.legend_rows() {
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
    }
}

impl Panel {
    fn draw(&self, left: f64, shapes: &mut Vec<Shape>) {
        let place = |x: f64, y: f64| (left + x * PLOT_WIDTH, TOP + (1.0 - y) * PLOT_HEIGHT);
        let line = |points, color, width, dashed| Shape::Line {
            points,
            color,
            width,
            dashed,
        };
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
        let position =
            |(x, y): (f64, f64)| place(self.x.position(x).clamp(0.0, 1.0), self.y.position(y).clamp(0.0, 1.0));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_place_values_and_hold_the_largest() {
        let falling = Axis::linear("sigma", (1.0, 0.0), &[1.0, 0.0]);
        assert!((falling.position(0.75) - 0.25).abs() < 1e-12);
        let log = Axis::decades("power", (3e-5, 0.2));
        assert_eq!(log.range, (1e-5, 1.0));
        assert!((log.position(1e-4) - 0.2).abs() < 1e-9);
        for largest in [0.03, 0.7, 1.0, 23.0] {
            let axis = Axis::from_zero("x", largest);
            assert!(axis.range.1 >= largest && axis.ticks.len() <= 7, "{axis:?}");
        }
    }
}
