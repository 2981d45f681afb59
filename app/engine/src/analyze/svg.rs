//! Charts as SVG: text stays text, so that a paper can set it in its own font.

use std::fmt::Write;

use super::chart::{Anchor, Figure, INK, Shape};

/// The figure as a complete SVG file.
pub fn svg(figure: &Figure) -> String {
    let (width, height) = figure.size();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"Ubuntu, DejaVu Sans, Arial, sans-serif\" fill=\"{}\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        hex(INK)
    );
    for shape in figure.shapes() {
        // Writing to a String can't fail.
        let _ = write_shape(&mut out, &shape);
    }
    out.push_str("</svg>\n");
    out
}

fn write_shape(out: &mut String, shape: &Shape) -> std::fmt::Result {
    match shape {
        Shape::Area { points, color, opacity } => {
            writeln!(
                out,
                "<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"{opacity}\"/>",
                list(points),
                hex(*color)
            )
        }
        Shape::Line {
            points,
            color,
            width,
            dashed,
        } => {
            let dash = if *dashed { " stroke-dasharray=\"4 3\"" } else { "" };
            let (points, color) = (list(points), hex(*color));
            writeln!(
                out,
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\"{dash}/>"
            )
        }
        Shape::Text {
            at: (x, y),
            text,
            size,
            anchor,
            turned,
        } => {
            let turn = if *turned {
                format!(" transform=\"rotate(-90 {x:.1} {y:.1})\"")
            } else {
                String::new()
            };
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let text = escaped(text);
            writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\"{turn}>{text}</text>"
            )
        }
    }
}

fn list(points: &[(f64, f64)]) -> String {
    points
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Text for XML and HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
