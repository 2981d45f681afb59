//! An analysis as a whole: its files agree with each other.

use std::fs::{self, File};

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::Field;

use super::*;
use crate::request::tests::parsed;

const SMALL: [&str; 10] = [
    "--size",
    "64",
    "--steps",
    "2",
    "--seeds",
    "2",
    "--compare",
    "--alpha-beta",
    "--lanes",
    "haze,rain,haze+rain",
];

#[test]
fn every_table_is_there_as_csv_and_as_parquet_with_the_same_cells() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let analysis = run(&mut Session::new(), &parsed(&SMALL), folder.path(), &mut ())
        .expect("the bundled model")
        .expect("not stopped");
    for (name, rows) in [
        // Three mixes and their interaction, in pixels and latents per seed and once between seeds.
        ("formation", 4 * (2 * 2 + 1) * 8 * 2),
        ("radial", 4 * 2 * 16),
        ("measures", 3 * 2 + 3 * 2),
        ("alpha-beta", 2 * 2 * 16),
        ("summary", 0),
    ] {
        let file = |extension: &str| folder.path().join(format!("{name}.{extension}"));
        let csv = fs::read_to_string(file("csv")).expect("written");
        let reader = SerializedFileReader::new(File::open(file("parquet")).expect("written")).expect("whole");
        let columns = reader.metadata().file_metadata().schema_descr().columns();
        let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
        let mut lines = csv.lines();
        assert_eq!(lines.next(), Some(names.join(",").as_str()), "{name}");
        let mut count = 0;
        for (line, row) in lines.zip(reader.get_row_iter(None).expect("rows")) {
            let row = row.expect("readable");
            for (text, (column, field)) in line.split(',').zip(row.get_column_iter()) {
                assert!(agree(text, field), "{name}, {column}: {text} is not {field}");
            }
            count += 1;
        }
        assert_eq!(count, csv.lines().count() - 1, "{name}: as many rows in both");
        assert!(rows == 0 || count == rows, "{name}: {count} rows");
    }
    the_figure_holds_what_the_table_has(&analysis);
    let said = findings::findings(&analysis).join(" ");
    assert!(
        said.contains("Sampled with moving average") && said.contains("beyond the sum"),
        "{said}"
    );
}

/// Every curve of the studio's view, the one of all bands included, with room for what overshoots; and what was measured.
fn the_figure_holds_what_the_table_has(analysis: &Analysis) {
    let figure = figures::formation(analysis, trajectory::Space::Pixels, figures::Over::Sigma);
    let titles: Vec<&str> = figure.panels.iter().map(|panel| panel.title.as_str()).collect();
    assert_eq!(
        titles, analysis.lanes.names,
        "mixes, and what the mix does beyond its parts"
    );
    for panel in &figure.panels {
        assert_eq!(panel.series.last().map(|line| line.label.as_str()), Some("all"));
        let ends = panel
            .series
            .iter()
            .flat_map(|line| &line.interval)
            .map(|interval| interval.1);
        let highest = ends.filter(|end| end.is_finite()).fold(0.0, f64::max);
        assert!(
            highest <= panel.y.range.1,
            "{}: {highest} of {:?}",
            panel.title,
            panel.y.range
        );
    }
    assert!(
        figure.note.contains("seeds 0 to 1") && figure.note.contains("64 px"),
        "{}",
        figure.note
    );
    assert!(figure.texts[0].1.contains("\"alpha_beta\":true"), "{:?}", figure.texts);
}

fn agree(text: &str, field: &Field) -> bool {
    match field {
        Field::Null => text.is_empty(),
        Field::Str(value) => text == value,
        Field::ULong(value) => text.parse() == Ok(*value),
        Field::Double(value) => text.parse() == Ok(*value),
        _ => false,
    }
}
