//! Figures as pixels: their SVG, drawn by `resvg` with the embedded font, so that both files look alike everywhere.

use std::sync::Arc;

use mdsd3_words::image::Rgba8;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{FontResolver, Options, Tree};

use super::chart::Figure;
use super::svg::svg;

/// The figure on white, `scale` pixels to a point.
///
/// # Errors
/// The library's words, such as for a figure too large for memory.
pub fn rasterize(figure: &Figure, scale: f32) -> Result<Rgba8, String> {
    let tree = Tree::from_str(&svg(figure), &options()).map_err(|error| error.to_string())?;
    let size = tree.size();
    let pixels = |length: f32| (length * scale).ceil() as u32;
    let (width, height) = (pixels(size.width()), pixels(size.height()));
    let mut canvas =
        Pixmap::new(width, height).ok_or_else(|| format!("{width}x{height} px are too many for a figure"))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut canvas.as_mut());
    Ok(Rgba8 {
        width,
        height,
        // The figure's background is opaque, so premultiplied colours are the colours.
        pixels: canvas.take().into(),
    })
}

/// All text in the embedded face, the same on every machine; a letter that it lacks, such as a Chinese one, comes from the
/// system's fonts, which are looked for only then.
fn options() -> Options<'static> {
    let mut options = Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    let embedded = fonts.faces().next().map(|face| face.id);
    let from_system = FontResolver::default_fallback_selector();
    options.font_resolver = FontResolver {
        select_font: Box::new(move |_, _| embedded),
        select_fallback: Box::new(move |letter, used, fonts| {
            if fonts.len() == 1 {
                Arc::make_mut(fonts).load_system_fonts();
            }
            from_system(letter, used, fonts)
        }),
    };
    options
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
            title: "Formation \u{1b}[31m <&>".to_owned(),
            x: axis(),
            y: axis(),
            level: None,
            heat: None,
            series: vec![red],
        };
        let figure = Figure {
            panels: vec![panel],
            legend_title: "lane".to_owned(),
            ..Figure::default()
        };
        let image = rasterize(&figure, 1.0).expect("drawn");
        let (width, height) = figure.size();
        assert_eq!((image.width, image.height), (width.ceil() as u32, height.ceil() as u32));
        let of = |wanted: &dyn Fn(&[u8]) -> bool| image.pixels.chunks(4).filter(|p| wanted(p)).count();
        assert!(of(&|p| p[0] > 150 && p[1] < 60) > 250, "a red line across");
        assert!(of(&|p| p[3] != 255) == 0, "opaque");
        // A light face at this size is mostly antialiased edge, so half dark counts as ink.
        let ink = of(&|p| p[..3].iter().all(|&v| v < 140));
        assert!(ink > 300, "dark text and axes, {ink} pixels");
        let svg = svg(&figure);
        assert!(svg.contains(">Formation [31m &lt;&amp;&gt;</text>"), "{svg}");
        assert!(svg.contains("#c80000") && svg.ends_with("</svg>\n"));
    }
}
