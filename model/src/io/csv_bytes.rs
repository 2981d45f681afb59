//! Records as CSV.

use std::io;

/// Records as the bytes of a CSV file (RFC 4180, lines end in a line feed): a cell with a comma, a quote or a line break is
/// quoted, so that every cell reads back as it is.
///
/// # Errors
/// When records differ in length.
pub fn csv_bytes<R>(records: impl IntoIterator<Item = R>) -> io::Result<Vec<u8>>
where
    R: IntoIterator,
    R::Item: AsRef<[u8]>,
{
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        writer.write_record(record)?;
    }
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}
