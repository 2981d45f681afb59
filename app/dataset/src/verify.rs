//! Checking a dataset against its journal: every file, byte for byte.

use std::fs;
use std::path::Path;

use mdsd3_model::pair_layout::STAGING;
use mdsd3_render::RenderError;

use crate::check::bad;
use crate::files::{FileRecord, PLAN_HASH, STATE};
use crate::journal::Known;
use crate::stored::{Care, Found, Stored};

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
    /// Journal lines that its last one counts and that are not there.
    pub lost_lines: usize,
}

impl Report {
    /// Whether the dataset is complete and unchanged. Unknown files don't spoil it.
    pub fn is_good(&self) -> bool {
        let is_journal_good = self.is_finished && self.damaged_lines == 0 && self.lost_lines == 0;
        is_journal_good && self.missing.is_empty() && self.differing.is_empty()
    }
}

/// Checks the dataset in `folder`.
///
/// # Arguments
/// - `progress`: called with the number of files checked and of all
///
/// # Errors
/// [`RenderError::BadInput`] for a folder without a journal and for a journal that names files outside of it, [`RenderError::Io`]
/// for files that can't be read.
pub fn verify(folder: &Path, mut progress: impl FnMut(usize, usize)) -> Result<Report, RenderError> {
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
        is_finished: known.finished.is_some(),
        damaged_lines: known.damaged,
        lost_lines: known.lost_lines(),
        ..Report::default()
    };
    // Packed pairs have no files of their own any more: their tar stands for them.
    let is_packed = |file: &&FileRecord| known.finished.is_some() && file.path.starts_with(STAGING);
    let of_pairs = known
        .pairs
        .values()
        .flat_map(|pair| &pair.files)
        .filter(|file| !is_packed(file));
    let mut files: Vec<&FileRecord> = of_pairs.chain(known.lists.values()).collect();
    files.sort();
    files.dedup();
    let stored = Stored::open(folder)?;
    for (index, file) in files.iter().enumerate() {
        match stored.find(file, Care::Content)? {
            Found::Good => report.good += 1,
            Found::Different => report.differing.push(file.path.clone()),
            Found::Missing => report.missing.push(file.path.clone()),
        }
        progress(index + 1, files.len());
    }
    find_unknown(folder, "", &files, &mut report.unknown)?;
    Ok(report)
}

fn find_unknown(
    folder: &Path,
    below: &str,
    files: &[&FileRecord],
    unknown: &mut Vec<String>,
) -> Result<(), RenderError> {
    let here = folder.join(below);
    let entries = fs::read_dir(&here).map_err(|source| RenderError::reading(&here, source))?;
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
