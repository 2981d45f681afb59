//! A table of named columns, written alike as CSV and as Parquet.

use std::fmt::Write;

/// What a column holds; any cell may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Words without commas and quotes.
    Text,
    /// Counts, indices, seeds.
    Whole,
    /// Measured numbers, infinite ones included.
    Number,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Of a [`Kind::Text`] column.
    Text(String),
    /// Of a [`Kind::Whole`] column.
    Whole(u64),
    /// Of a [`Kind::Number`] column.
    Number(f64),
    /// Not measured, or no number.
    Missing,
}

impl Cell {
    /// A measured number, rounded to seven significant digits: what is measured comes from single precision, and both
    /// formats shall hold the same numbers.
    pub fn number(value: impl Into<f64>) -> Self {
        let value = value.into();
        if value.is_nan() {
            return Self::Missing;
        }
        Self::Number(format!("{value:.6e}").parse().unwrap_or(value))
    }

    /// A count or an index.
    pub fn whole(value: usize) -> Self {
        Self::Whole(value as u64)
    }

    fn csv(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Whole(value) => value.to_string(),
            // Debug is the shortest text that reads back as the same number, with an exponent where that is shorter.
            Self::Number(value) => format!("{value:?}"),
            Self::Missing => String::new(),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.replace([',', '"', '\n'], "_"))
    }
}

impl<T: Into<f64>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, Self::number)
    }
}

/// The table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Name and kind of each column.
    pub columns: Vec<(&'static str, Kind)>,
    /// Rows of one cell per column.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[(&'static str, Kind)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// A header, then a line per row; missing cells are empty.
    pub fn csv(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let mut csv = names.join(",") + "\n";
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(Cell::csv).collect();
            // Writing to a String can't fail.
            let _ = writeln!(csv, "{}", cells.join(","));
        }
        csv
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_from_csv_as_they_are_in_the_table() {
        let mut table = Table::new(&[("name", Kind::Text), ("step", Kind::Whole), ("share", Kind::Number)]);
        for value in [0.1 + 0.2, 1.0 / 3.0 * 1e-9, f64::NEG_INFINITY, f64::from(0.95f32), 1.0] {
            table
                .rows
                .push(vec!["a,b".into(), Cell::Whole(u64::MAX), Cell::number(value)]);
        }
        table.rows.push(vec!["x".into(), Cell::Missing, Cell::number(f64::NAN)]);
        let csv = table.csv();
        assert!(
            csv.starts_with("name,step,share\na_b,18446744073709551615,0.3\n"),
            "{csv}"
        );
        assert!(
            csv.contains(",-inf\n") && csv.contains(",0.95\n") && csv.ends_with("x,,\n"),
            "{csv}"
        );
        for (line, row) in csv.lines().skip(1).zip(&table.rows) {
            let text = line.rsplit(',').next().unwrap_or_default();
            let expected = text.parse().map_or(Cell::Missing, Cell::Number);
            assert_eq!(row[2], expected);
        }
    }
}
