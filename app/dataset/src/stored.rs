//! The files of a dataset as they lie on disk, against what its journal says of them.
//!
//! A folder may come from anywhere, so a journal's word decides about nothing outside the folder: its paths are relative, lead to
//! regular files within it, also through links, and are refused otherwise.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use mdsd3_render::RenderError;
use mdsd3_words::hash::sha256_of_file;

use crate::check::bad;
use crate::files::FileRecord;

/// How a recorded file is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// As the journal says.
    Good,
    /// With another length, or another content where that was looked at.
    Different,
    /// Not at all.
    Missing,
}

/// How closely files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// That they have their length: for files that this process has read or written itself.
    Length,
    /// That they have their content, byte for byte.
    Content,
}

/// A dataset's folder.
#[derive(Debug)]
pub(super) struct Stored {
    root: PathBuf,
}

/// Whether a path can only lead to what is in a folder: names alone, none of them `..`.
pub(super) fn is_inside(path: &str) -> bool {
    let is_name = |part: Component| matches!(part, Component::Normal(_));
    !path.is_empty() && !path.contains(['\\', '\0']) && Path::new(path).components().all(is_name)
}

impl Stored {
    /// In `folder`, which is there.
    pub fn open(folder: &Path) -> Result<Self, RenderError> {
        let root = folder.canonicalize();
        Ok(Self {
            root: root.map_err(|source| RenderError::reading(folder, source))?,
        })
    }

    /// The file of a record; `None` when it is not there.
    ///
    /// # Errors
    /// Bad input for what lies outside of the folder, and for a pipe, a device or a folder; [`RenderError::Io`] when it can't be told.
    pub fn path_of(&self, record: &FileRecord) -> Result<Option<PathBuf>, RenderError> {
        let named = self.root.join(&record.path);
        let path = match named.canonicalize() {
            Ok(path) => path,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(RenderError::reading(&named, error)),
        };
        let facts = fs::metadata(&path).map_err(|source| RenderError::reading(&path, source))?;
        if is_inside(&record.path) && path.starts_with(&self.root) && facts.is_file() {
            return Ok(Some(path));
        }
        Err(bad(format!(
            "{}: its journal names {:?}, which is no regular file in this folder; mdsd3 writes no such journal: make the dataset again in another folder",
            self.root.display(),
            record.path
        )))
    }

    /// How the file of a record is found.
    ///
    /// # Errors
    /// As [`Self::path_of`].
    pub fn find(&self, record: &FileRecord, care: Care) -> Result<Found, RenderError> {
        let Some(path) = self.path_of(record)? else {
            return Ok(Found::Missing);
        };
        let facts = fs::metadata(&path).map_err(|source| RenderError::reading(&path, source))?;
        let is_good = facts.len() == record.bytes && (care == Care::Length || sha256_of_file(&path)? == record.sha256);
        Ok(if is_good { Found::Good } else { Found::Different })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_lead_into_a_folder() {
        for path in ["gt/a.png", ".mdsd3/staging/a.gt.png", "a", "..a/b..", "雨.png"] {
            assert!(is_inside(path), "{path}");
        }
        for path in [
            "",
            "..",
            "../a",
            "gt/../../a",
            "/etc/passwd",
            "gt\\..\\a",
            "a\0b",
            "gt/..",
        ] {
            assert!(!is_inside(path), "{path}");
        }
    }

    #[test]
    fn files_are_found_by_length_and_by_content() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("a"), b"pixels").expect("written");
        let stored = Stored::open(folder.path()).expect("there");
        let find = |record: &FileRecord, care| stored.find(record, care).expect("inside");
        let (record, other) = (FileRecord::new("a", b"pixels"), FileRecord::new("a", b"pixelz"));
        assert_eq!(find(&record, Care::Content), Found::Good);
        assert_eq!(
            (find(&other, Care::Length), find(&other, Care::Content)),
            (Found::Good, Found::Different)
        );
        assert_eq!(find(&FileRecord::new("a", b"longer"), Care::Length), Found::Good);
        assert_eq!(find(&FileRecord::new("a", b"short"), Care::Length), Found::Different);
        assert_eq!(find(&FileRecord::new("b", b""), Care::Content), Found::Missing);
    }

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_folder_and_pipes_are_refused() {
        let outside = tempfile::tempdir().expect("a temporary folder");
        fs::write(outside.path().join("secret"), b"secret").expect("written");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, folder.path().join(name)).expect("linked");
        link(&outside.path().join("secret"), "file");
        link(outside.path(), "folder");
        fs::write(folder.path().join("own"), b"secret").expect("written");
        link(Path::new("own"), "inside");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("mkfifo runs");
        assert!(made.success());
        let stored = Stored::open(folder.path()).expect("there");
        for path in ["file", "folder/secret", "folder", "pipe"] {
            let record = FileRecord::new(path, b"secret");
            let error = stored.find(&record, Care::Content).expect_err("refused");
            assert!(error.is_bad_input() && error.to_string().contains(path), "{error}");
        }
        let record = FileRecord::new("inside", b"secret");
        assert_eq!(stored.find(&record, Care::Content).expect("inside"), Found::Good);
    }
}
