//! A table of named columns, written alike as CSV and as Parquet.

use std::io;

use mdsd3_model::io::csv_bytes::csv_bytes;

/// What a column holds; any cell may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Words, whatever is in them.
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
        Self::Text(text.to_owned())
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

    /// A header, then a record per row; missing cells are empty.
    ///
    /// # Errors
    /// When a row has another length than the header.
    pub fn csv(&self) -> io::Result<Vec<u8>> {
        let names = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(Cell::csv).collect());
        csv_bytes(std::iter::once::<Vec<String>>(names).chain(rows))
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
                .push(vec!["a,\"b\"\n".into(), Cell::Whole(u64::MAX), Cell::number(value)]);
        }
        table.rows.push(vec!["x".into(), Cell::Missing, Cell::number(f64::NAN)]);
        let csv = String::from_utf8(table.csv().expect("equal rows")).expect("text");
        assert!(
            csv.starts_with("name,step,share\n\"a,\"\"b\"\"\n\",18446744073709551615,0.3\n"),
            "{csv}"
        );
        assert!(
            csv.contains(",-inf\n") && csv.contains(",0.95\n") && csv.ends_with("x,,\n"),
            "{csv}"
        );
        let last_cells = csv
            .lines()
            .filter(|line| line.starts_with("\",") || line.starts_with("x,"));
        let read: Vec<Cell> = last_cells
            .map(|line| line.rsplit(',').next().unwrap_or_default())
            .map(|text| text.parse().map_or(Cell::Missing, Cell::Number))
            .collect();
        assert_eq!(read, table.rows.iter().map(|row| row[2].clone()).collect::<Vec<_>>());
    }
}
