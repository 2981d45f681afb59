//! Tables as Parquet, which data frames read with types and without guessing.
//!
//! One row group, Snappy, all columns optional: text as UTF-8 strings, whole numbers as unsigned 64-bit integers, numbers
//! as doubles. Missing cells are nulls.

use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use super::table::{Cell, Kind, Table};

/// The table as a whole Parquet file.
///
/// # Errors
/// The library's, none of which a well-formed table should meet.
pub fn parquet(table: &Table) -> Result<Vec<u8>> {
    let fields = table
        .columns
        .iter()
        .map(|(name, kind)| Ok(Arc::new(field(name, *kind)?)));
    let schema = Type::group_type_builder("table")
        .with_fields(fields.collect::<Result<_>>()?)
        .build()?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut rows = writer.next_row_group()?;
    for (index, (_, kind)) in table.columns.iter().enumerate() {
        let Some(mut column) = rows.next_column()? else { break };
        let cells = table.rows.iter().filter_map(|row| row.get(index));
        match kind {
            Kind::Text => write::<ByteArrayType>(&mut column, cells, |cell| match cell {
                Cell::Text(text) => Some(ByteArray::from(text.as_str())),
                _ => None,
            })?,
            Kind::Whole => write::<Int64Type>(&mut column, cells, |cell| match cell {
                // The same bits: the column says that they are unsigned.
                Cell::Whole(value) => Some(value.cast_signed()),
                _ => None,
            })?,
            Kind::Number => write::<DoubleType>(&mut column, cells, |cell| match cell {
                Cell::Number(value) => Some(*value),
                _ => None,
            })?,
        }
        column.close()?;
    }
    rows.close()?;
    writer.into_inner()
}

fn field(name: &str, kind: Kind) -> Result<Type> {
    let (physical, logical) = match kind {
        Kind::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Whole => (PhysicalType::INT64, Some(LogicalType::integer(64, false))),
        Kind::Number => (PhysicalType::DOUBLE, None),
    };
    Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}

/// Writes a column: the values that are there, and for every row whether it has one.
fn write<'a, T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    cells: impl Iterator<Item = &'a Cell>,
    value: impl Fn(&Cell) -> Option<T::T>,
) -> Result<()> {
    let values: Vec<Option<T::T>> = cells.map(value).collect();
    let is_there: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    column.typed::<T>().write_batch(&values, Some(&is_there), None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;

    fn read(table: &Table) -> SerializedFileReader<File> {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&parquet(table).expect("well formed")).expect("room");
        SerializedFileReader::new(file).expect("just written")
    }

    #[test]
    fn a_table_reads_back_with_its_types_and_gaps() {
        let mut table = Table::new(&[("lane", Kind::Text), ("seed", Kind::Whole), ("share", Kind::Number)]);
        table
            .rows
            .push(vec!["haze+rain".into(), Cell::Whole(u64::MAX), Cell::number(1.0 / 3.0)]);
        table
            .rows
            .push(vec!["µ".into(), Cell::Missing, Cell::number(f64::NEG_INFINITY)]);
        table
            .rows
            .push(vec![Cell::Missing, Cell::whole(7), Cell::number(f64::NAN)]);
        let reader = read(&table);
        let rows = reader.get_row_iter(None).expect("rows");
        for (row, expected) in rows.zip(&table.rows) {
            let row = row.expect("readable");
            let read = row.get_column_iter().map(|(_, field)| match field {
                Field::Str(text) => Cell::Text(text.clone()),
                Field::ULong(value) => Cell::Whole(*value),
                Field::Double(value) => Cell::Number(*value),
                Field::Null => Cell::Missing,
                other => panic!("a column of another type: {other:?}"),
            });
            assert_eq!(&read.collect::<Vec<_>>(), expected);
        }
        let names = reader.metadata().file_metadata().schema_descr().columns().iter();
        assert_eq!(
            names.map(|c| c.name().to_owned()).collect::<Vec<_>>(),
            ["lane", "seed", "share"]
        );
    }

    #[test]
    fn a_table_without_rows_is_a_file_too() {
        let reader = read(&Table::new(&[("seed", Kind::Whole)]));
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
    }
}
