//! Charts and tables as files: what a paper or a data frame takes.
//!
//! A [`Figure`] is drawn once, as plain shapes, and written alike as SVG and as PNG; a [`Table`] is written alike as CSV and
//! as Parquet. Sizes are in points of 1/96 inch.
//!
//! | module | what |
//! |---|---|
//! | [`chart`] | panels, lines, legends as shapes |
//! | [`axis`] | scales and labels |
//! | [`heat`] | two-dimensional spectra as images in panels |
//! | [`spectra`] | spectra of images, for the studio's exports |
//! | `svg`, `raster` | shapes as text, as pixels |
//! | [`table`], `parquet` | named columns |

pub mod axis;
pub mod chart;
pub mod heat;
pub mod spectra;
pub mod table;

mod parquet;
mod raster;
mod svg;

use std::path::Path;

use mdsd3_render::RenderError;
use mdsd3_render::metadata;

pub use chart::Figure;
pub(crate) use svg::escaped;
pub use svg::svg;
pub use table::Table;

/// Pixels to a point in PNG figures: 192 per inch.
const PNG_SCALE: f32 = 2.0;

/// Extensions that [`write()`] knows.
pub const EXTENSIONS: [&str; 4] = ["svg", "png", "csv", "parquet"];

/// Writes a figure (`.svg`, `.png`) or the numbers behind it (`.csv`, `.parquet`), as the path's extension says.
///
/// # Errors
/// Bad input for another extension; when the file can't be written.
pub fn write(path: &Path, figure: &Figure, table: &Table) -> Result<(), RenderError> {
    match extension_of(path).as_str() {
        "csv" | "parquet" => write_table(path, table),
        _ => write_figure(path, figure),
    }
}

/// Writes a figure as `.svg` or `.png`.
///
/// # Errors
/// As [`write()`].
pub fn write_figure(path: &Path, figure: &Figure) -> Result<(), RenderError> {
    match extension_of(path).as_str() {
        "svg" => metadata::write_file(path, svg(figure).as_bytes()),
        "png" => {
            let image = raster::rasterize(figure, PNG_SCALE).map_err(|reason| encoding(path, reason))?;
            metadata::write_png_with_texts(path, &image, &figure.texts)
        }
        _ => Err(unknown_extension(path)),
    }
}

/// Writes a table as `.csv` or `.parquet`.
///
/// # Errors
/// As [`write()`].
pub fn write_table(path: &Path, table: &Table) -> Result<(), RenderError> {
    match extension_of(path).as_str() {
        "csv" => {
            let bytes = table.csv().map_err(|error| encoding(path, error.to_string()))?;
            metadata::write_file(path, &bytes)
        }
        "parquet" => {
            let bytes = parquet::parquet(table).map_err(|error| encoding(path, error.to_string()))?;
            metadata::write_file(path, &bytes)
        }
        _ => Err(unknown_extension(path)),
    }
}

fn encoding(path: &Path, reason: String) -> RenderError {
    RenderError::Encode {
        path: path.to_owned(),
        reason,
    }
}

fn extension_of(path: &Path) -> String {
    path.extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase()
}

fn unknown_extension(path: &Path) -> RenderError {
    RenderError::BadInput(format!(
        "{}: a figure is saved as {}; use one of these extensions",
        path.display(),
        EXTENSIONS.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use table::{Cell, Kind};

    #[test]
    fn the_extension_decides_what_is_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let figure = Figure::default();
        let mut table = Table::new(&[("step", Kind::Whole)]);
        table.rows.push(vec![Cell::whole(3)]);
        let starts: [&[u8]; 4] = [b"<svg ", b"\x89PNG", b"step\n3\n", b"PAR1"];
        for (extension, start) in EXTENSIONS.into_iter().zip(starts) {
            let path = folder.path().join("figure").with_extension(extension);
            write(&path, &figure, &table).expect("writable");
            assert!(std::fs::read(&path).expect("written").starts_with(start), "{extension}");
        }
        let refusal = write(&folder.path().join("figure.pdf"), &figure, &table).expect_err("no PDF");
        assert!(
            refusal.is_bad_input() && refusal.to_string().contains("svg"),
            "{refusal}"
        );
    }
}
