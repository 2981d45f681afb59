//! Checking a dataset against its journal: every file, byte for byte.

use std::fs;
use std::path::Path;

use super::check::bad;
use super::files::{FileRecord, PLAN_HASH, STAGING, STATE};
use super::journal::Known;
use crate::error::EngineError;
use mdsd3_words::hash::sha256_of_file;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Pairs in the journal.
    pub pairs: usize,
    /// Photos that could not be used.
    pub failed_scenes: usize,
    /// Files that are as the journal says.
    pub good: usize,
    /// Files that are not there.
    pub missing: Vec<String>,
    /// Files with other content.
    pub differing: Vec<String>,
    /// Files that the journal doesn't know.
    pub unknown: Vec<String>,
    /// Whether the dataset was finished.
    pub is_finished: bool,
    /// Journal lines that failed their check.
    pub damaged_lines: usize,
}

impl Report {
    /// Whether the dataset is complete and unchanged. Unknown files don't spoil it.
    pub fn is_good(&self) -> bool {
        self.is_finished && self.missing.is_empty() && self.differing.is_empty() && self.damaged_lines == 0
    }
}

/// Checks the dataset in `folder`.
///
/// # Arguments
/// - `progress`: called with the number of files checked and of all
///
/// # Errors
/// [`EngineError::BadInput`] for a folder without a journal, [`EngineError::Io`] for files that can't be read.
pub fn verify(folder: &Path, mut progress: impl FnMut(usize, usize)) -> Result<Report, EngineError> {
    if !folder.join(PLAN_HASH).is_file() {
        return Err(bad(format!(
            "{}: no dataset made by mdsd3 sweep; name its folder",
            folder.display()
        )));
    }
    let known = Known::read(folder)?;
    let mut report = Report {
        pairs: known.pairs.len(),
        failed_scenes: known.failed.len(),
        is_finished: known.is_finished,
        damaged_lines: known.damaged,
        ..Report::default()
    };
    // Packed pairs have no files of their own any more: their tar stands for them.
    let is_packed = |file: &&FileRecord| known.is_finished && file.path.starts_with(STAGING);
    let of_pairs = known
        .pairs
        .values()
        .flat_map(|pair| &pair.files)
        .filter(|file| !is_packed(file));
    let mut files: Vec<&FileRecord> = of_pairs.chain(known.lists.values()).collect();
    files.sort();
    files.dedup();
    for (index, file) in files.iter().enumerate() {
        check(folder, file, &mut report)?;
        progress(index + 1, files.len());
    }
    find_unknown(folder, "", &files, &mut report.unknown)?;
    Ok(report)
}

fn check(folder: &Path, file: &FileRecord, report: &mut Report) -> Result<(), EngineError> {
    let path = folder.join(&file.path);
    match fs::metadata(&path) {
        Err(_) => report.missing.push(file.path.clone()),
        Ok(facts) if facts.len() == file.bytes && sha256_of_file(&path)? == file.sha256 => report.good += 1,
        Ok(_) => report.differing.push(file.path.clone()),
    }
    Ok(())
}

fn find_unknown(
    folder: &Path,
    below: &str,
    files: &[&FileRecord],
    unknown: &mut Vec<String>,
) -> Result<(), EngineError> {
    let here = folder.join(below);
    let entries = fs::read_dir(&here).map_err(|source| EngineError::reading(&here, source))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        if path == STATE {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find_unknown(folder, &path, files, unknown)?;
        } else if files.binary_search_by(|file| file.path.cmp(&path)).is_err() {
            unknown.push(path);
        }
    }
    Ok(())
}
