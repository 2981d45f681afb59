//! Outlines of text from the embedded font, as polygons.

use skrifa::instance::{LocationRef, Size};
use skrifa::outline::{DrawSettings, OutlinePen};
use skrifa::{FontRef, MetadataProvider};

use super::raster::Contour;

/// Outlines of a text from the origin to the right, y up, and its width.
pub(super) fn text_outline(font: &FontRef<'_>, text: &str, size: f64) -> (Vec<Contour>, f64) {
    let (charmap, outlines) = (font.charmap(), font.outline_glyphs());
    let size = Size::new(size as f32);
    let metrics = font.glyph_metrics(size, LocationRef::default());
    let mut pen = Pen::default();
    for character in text.chars() {
        let glyph = charmap.map(character).unwrap_or_default();
        if let Some(outline) = outlines.get(glyph) {
            // A glyph that can't be drawn leaves its space blank.
            let _ = outline.draw(DrawSettings::unhinted(size, LocationRef::default()), &mut pen);
        }
        pen.offset += f64::from(metrics.advance_width(glyph).unwrap_or_default());
    }
    (pen.contours, pen.offset)
}

/// Collects outlines as polygons.
#[derive(Default)]
struct Pen {
    offset: f64,
    contours: Vec<Contour>,
}

impl Pen {
    fn add(&mut self, x: f64, y: f64) {
        if let Some(contour) = self.contours.last_mut() {
            contour.push((x, y));
        }
    }

    /// Where the pen is.
    fn here(&self) -> (f64, f64) {
        self.contours
            .last()
            .and_then(|contour| contour.last())
            .copied()
            .unwrap_or_default()
    }

    fn curve(&mut self, along: impl Fn(f64) -> (f64, f64)) {
        const PIECES: usize = 5;
        for piece in 1..=PIECES {
            let (x, y) = along(piece as f64 / PIECES as f64);
            self.add(x, y);
        }
    }

    fn point(&self, x: f32, y: f32) -> (f64, f64) {
        (f64::from(x) + self.offset, f64::from(y))
    }
}

impl OutlinePen for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.contours.push(vec![self.point(x, y)]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.point(x, y);
        self.add(x, y);
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        let (a, b, c) = (self.here(), self.point(cx, cy), self.point(x, y));
        let mix = |a: f64, b: f64, c: f64, t: f64| (1.0 - t).powi(2) * a + 2.0 * t * (1.0 - t) * b + t * t * c;
        self.curve(|t| (mix(a.0, b.0, c.0, t), mix(a.1, b.1, c.1, t)));
    }

    fn curve_to(&mut self, cx0: f32, cy0: f32, cx1: f32, cy1: f32, x: f32, y: f32) {
        let (a, b, c, d) = (
            self.here(),
            self.point(cx0, cy0),
            self.point(cx1, cy1),
            self.point(x, y),
        );
        let mix = |a: f64, b: f64, c: f64, d: f64, t: f64| {
            let s = 1.0 - t;
            s.powi(3) * a + 3.0 * s * s * t * b + 3.0 * s * t * t * c + t.powi(3) * d
        };
        self.curve(|t| (mix(a.0, b.0, c.0, d.0, t), mix(a.1, b.1, c.1, d.1, t)));
    }

    fn close(&mut self) {}
}
