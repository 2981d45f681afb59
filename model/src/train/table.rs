//! CSV tables that grow while a run goes on.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use crate::error::ModelError;
use crate::io::atomic::write_atomically;
use crate::io::csv_bytes::csv_bytes;

/// Appends to a file of `len` bytes in one write, so that a kill leaves whole rows; what a full disk cut off is taken back.
pub fn append_whole(file: &mut File, len: u64, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(bytes).inspect_err(|_| {
        // Failing that, the torn row stays, which readers skip.
        let _ = file.set_len(len);
    })
}

/// A CSV file with a header.
pub struct Table {
    path: PathBuf,
    columns: Vec<String>,
}

impl Table {
    pub fn new<S: AsRef<str>>(path: PathBuf, columns: &[S]) -> Self {
        Self {
            path,
            columns: columns.iter().map(|c| c.as_ref().to_owned()).collect(),
        }
    }

    /// Appends rows, and the header when the file is new.
    pub fn append(&self, rows: &[Vec<String>]) -> Result<(), ModelError> {
        let io = |source| self.io(source);
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let bytes = self.encoded(rows, len == 0)?;
        append_whole(&mut file, len, &bytes).map_err(io)
    }

    /// Drops rows whose first column is a step behind `step`: a resumed run writes them again.
    pub fn keep_until(&self, step: usize) -> Result<(), ModelError> {
        if !self.path.exists() {
            return Ok(());
        }
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_path(&self.path)
            .map_err(|e| self.io(e.into()))?;
        let is_kept = |row: &csv::StringRecord| {
            row.len() == self.columns.len()
                && row
                    .get(0)
                    .and_then(|s| s.parse().ok())
                    .is_some_and(|s: usize| s <= step)
        };
        let rows: Vec<Vec<String>> = reader
            .records()
            .filter_map(Result::ok)
            .filter(is_kept)
            .map(|row| row.iter().map(str::to_owned).collect())
            .collect();
        let bytes = self.encoded(&rows, true)?;
        write_atomically(&self.path, |file| file.write_all(&bytes))
    }

    fn encoded(&self, rows: &[Vec<String>], with_header: bool) -> Result<Vec<u8>, ModelError> {
        let header = with_header.then_some(&self.columns);
        csv_bytes(header.into_iter().chain(rows)).map_err(|source| self.io(source))
    }

    fn io(&self, source: std::io::Error) -> ModelError {
        ModelError::Io {
            path: self.path.clone(),
            source,
        }
    }
}
