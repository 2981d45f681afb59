//! Charts as SVG: text stays text, so that a paper can set it in its own font.

use std::fmt::Write;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::chart::{Anchor, Figure, INK, Shape};
use super::heat;

/// The figure as a complete SVG file.
pub fn svg(figure: &Figure) -> String {
    let (width, height) = figure.size();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"Ubuntu, DejaVu Sans, Arial, sans-serif\" fill=\"{}\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        hex(INK)
    );
    if !figure.note.is_empty() {
        // Writing to a String can't fail, here and below.
        let _ = writeln!(out, "<title>{}</title>", escaped(&figure.note));
    }
    for (keyword, text) in &figure.texts {
        let _ = writeln!(out, "<metadata id=\"{keyword}\">{}</metadata>", escaped(text));
    }
    for shape in figure.shapes() {
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
        Shape::Image {
            corner: (x, y),
            size: (width, height),
            columns,
            indices,
        } => {
            let png = heat::png(*columns, indices).map_err(|_| std::fmt::Error)?;
            writeln!(
                out,
                "<image x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" preserveAspectRatio=\"none\" \
                 style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
                BASE64_STANDARD.encode(&png)
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

/// Text for XML and HTML; control characters, which XML can't hold, are left out.
pub(crate) fn escaped(text: &str) -> String {
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
