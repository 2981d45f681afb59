//! Where an image is, and what a pair says of itself.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use mdsd3_words::Mix;

use crate::error::ModelError;
use crate::io::find::{check_photo, is_hidden};
use crate::io::photo::read_photo;

/// An image file, or a part of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file of its own.
    File(PathBuf),
    /// A member of a tar.
    Member {
        /// The tar.
        tar: PathBuf,
        /// The member's name.
        name: String,
        /// Its first byte in the tar.
        offset: u64,
        /// Its length in bytes.
        len: u64,
    },
}

impl Source {
    /// Its bytes.
    ///
    /// # Errors
    /// Bad input for what is no regular file, [`ModelError::Io`] when it can't be read.
    pub fn read(&self) -> Result<Vec<u8>, ModelError> {
        match self {
            Self::File(path) => read_photo(path),
            Self::Member { tar, offset, len, .. } => read_part(tar, *offset, *len),
        }
    }

    /// What messages call it.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Member { tar, name, .. } => format!("{}: {name}", tar.display()),
        }
    }
}

/// `len` bytes of a file from `offset`.
///
/// # Errors
/// [`ModelError::Io`] when they can't be read.
pub fn read_part(path: &Path, offset: u64, len: u64) -> Result<Vec<u8>, ModelError> {
    let io = |source| ModelError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(io)?;
    file.seek(SeekFrom::Start(offset)).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// A training pair, or a photo to make pairs of.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The clean scene.
    pub clean: Source,
    /// Its degraded form; `None` where physical degradations make it.
    pub degraded: Option<Source>,
    /// Severities, where the data says them.
    pub mix: Option<Mix>,
    /// The prompt, where the data says one.
    pub prompt: Option<String>,
}

/// Images directly in a folder, by name, hidden ones left out; empty when there is no such folder.
pub fn images_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let is_image = |path: &PathBuf| {
        let is_shown = !path.file_name().is_some_and(is_hidden);
        is_shown && path.is_file() && check_photo(path).is_ok()
    };
    let mut images: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_image).collect();
    images.sort();
    images
}

/// Folders directly in a folder, by name, hidden ones left out.
pub fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let is_shown = |path: &PathBuf| path.is_dir() && !path.file_name().is_some_and(is_hidden);
    let mut folders: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_shown).collect();
    folders.sort();
    folders
}

/// The last part of a path.
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A file's name without its extension.
pub fn stem_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
