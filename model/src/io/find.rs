//! Which files are photos: one rule for the scenes of a plan, for training and for the studio.
//!
//! A file whose content is of a format that is read is a photo, whatever it is called; so is one with a photo's extension,
//! as a damaged photo is to be reported and not passed over. What a pattern doesn't write out is left alone when it is
//! hidden (begins with a dot: `._a.jpg`, `.ipynb_checkpoints`, `.trash`). A photo that is found twice counts once.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};
use mdsd3_words::WordsError;
use walkdir::{DirEntry, WalkDir};

use super::photo::{self, EXTENSIONS};
use crate::error::ModelError;

/// How patterns match: `*` stays within a folder, and a leading dot is hidden, see [`MAYBE_HIDDEN`].
const SHOWN: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};
/// As [`SHOWN`], with hidden files.
const MAYBE_HIDDEN: MatchOptions = MatchOptions {
    require_literal_leading_dot: false,
    ..SHOWN
};
/// Bytes of a file by which its format is known.
const SNIFFED_BYTES: u64 = 64;

/// A file that a pattern matches and that isn't taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file or folder, as messages show it.
    pub name: String,
    /// Why, such as `is hidden`.
    pub reason: String,
}

/// The photos of a pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Their paths as the pattern writes them, by `/`, sorted folder by folder.
    pub photos: Vec<String>,
    /// Everything else that it matches.
    pub skipped: Vec<Skipped>,
}

/// Whether `text` is a pattern rather than a name.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a file is a photo: by its content or, where that says nothing, by its extension. The error says what it is.
///
/// # Errors
/// In words.
pub fn check_photo(path: &Path) -> Result<(), String> {
    if has_photo_extension(path) {
        return Ok(());
    }
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(SNIFFED_BYTES).read_to_end(&mut start))
        .map_err(|error| format!("can't be read ({error})"))?;
    photo::check_format(&start)
}

/// Whether a name is hidden.
pub fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Photos that `pattern` finds from `folder`: `*`, `?` and `[..]` match within a name, `**` any number of folders.
///
/// # Errors
/// Bad input when it is no pattern or finds no photo, with what it found instead; a folder that can't be read.
pub fn photos_of(pattern: &str, folder: &Path) -> Result<Found, ModelError> {
    let parts: Vec<&str> = parts_of(pattern);
    let written = parts.iter().take_while(|part| !is_pattern(part)).count();
    let (prefix, rest) = parts.split_at(written);
    let prefix: PathBuf = prefix.iter().collect();
    let matcher = Matcher::new(rest).map_err(|error| bad(pattern, format!("is no pattern ({})", error.msg)))?;
    let mut found = Found::default();
    let mut walk = WalkDir::new(shown_folder(&folder.join(&prefix)))
        .follow_links(true)
        .min_depth(1)
        .max_depth(matcher.depth)
        .sort_by_file_name()
        .into_iter();
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            // The folder itself isn't there: nothing is found.
            Err(error) if error.depth() == 0 => break,
            Err(error) => {
                matcher.skip_dead(error, &mut found)?;
                continue;
            }
        };
        if entry.file_type().is_dir() {
            // Deeper ones aren't entered, and there skipping would skip the rest of their own folder.
            if entry.depth() < matcher.depth && matcher.passes_over(&entry, &mut found) {
                walk.skip_current_dir();
            }
        } else {
            matcher.take(&entry, &prefix, &mut found);
        }
    }
    if found.photos.is_empty() {
        return Err(bad(pattern, nothing_found(&found, folder)));
    }
    Ok(found)
}

/// Leaves each photo once, under its first name: links and patterns may lead to one file by several ways.
pub fn without_repeats(found: Found, folder: &Path) -> Found {
    let mut names: HashMap<PathBuf, String> = HashMap::new();
    let mut unique = Found {
        photos: Vec::with_capacity(found.photos.len()),
        skipped: found.skipped,
    };
    for photo in found.photos {
        let path = folder.join(&photo);
        match names.get(&path.canonicalize().unwrap_or_else(|_| path.clone())) {
            Some(first) if *first == photo => {}
            Some(first) => {
                let reason = format!("is {first} by another name");
                unique.skip(Path::new(&photo), reason);
            }
            None => {
                names.insert(path.canonicalize().unwrap_or(path), photo.clone());
                unique.photos.push(photo);
            }
        }
    }
    unique
}

/// The parts of a pattern between slashes.
fn parts_of(pattern: &str) -> Vec<&str> {
    let parts = Path::new(pattern).components().filter_map(|part| match part {
        Component::CurDir => None,
        other => other.as_os_str().to_str(),
    });
    parts.collect()
}

/// The part of a pattern that isn't written out.
struct Matcher {
    whole: Pattern,
    /// By folder, down to the first `**`.
    folders: Vec<Pattern>,
    /// Folders that are looked into, at most.
    depth: usize,
    /// Whether hidden names are written out in it.
    names_hidden: bool,
}

impl Matcher {
    fn new(parts: &[&str]) -> Result<Self, glob::PatternError> {
        let written = parts.iter().take_while(|part| **part != "**");
        let folders: Vec<Pattern> = written.map(|part| Pattern::new(part)).collect::<Result<_, _>>()?;
        let is_deep = folders.len() < parts.len();
        Ok(Self {
            whole: Pattern::new(&parts.join("/"))?,
            folders,
            depth: if is_deep { usize::MAX } else { parts.len() },
            names_hidden: parts.iter().any(|part| part.starts_with('.')),
        })
    }

    /// Whether nothing in a folder is looked at; a hidden one is counted.
    fn passes_over(&self, entry: &DirEntry, found: &mut Found) -> bool {
        let name = entry.file_name().to_string_lossy();
        let wanted = self.folders.get(entry.depth() - 1);
        if wanted.is_some_and(|pattern| !pattern.matches_with(&name, MAYBE_HIDDEN)) {
            return true;
        }
        let is_passed = is_hidden(entry.file_name()) && !self.names_hidden;
        if is_passed {
            found.skip(entry.path(), "is a hidden folder".to_owned());
        }
        is_passed
    }

    /// Counts links that lead nowhere or back. A folder that can't be read is an error: a dataset must not be made without its
    /// photos because a disk was away.
    fn skip_dead(&self, error: walkdir::Error, found: &mut Found) -> Result<(), ModelError> {
        let path = error.path().unwrap_or(Path::new("")).to_owned();
        if error.loop_ancestor().is_some() {
            found.skip(&path, "is a link back to a folder it is in".to_owned());
            return Ok(());
        }
        let depth = error.depth();
        let source = std::io::Error::from(error);
        if source.kind() != ErrorKind::NotFound {
            return Err(WordsError::reading(&path, source).into());
        }
        if self.matches(&last_parts(&path, depth), SHOWN) {
            found.skip(&path, "is a link to nothing".to_owned());
        }
        Ok(())
    }

    /// Names that are no Unicode match too, to be counted.
    fn matches(&self, below: &Path, options: MatchOptions) -> bool {
        self.whole.matches_with(&below.to_string_lossy(), options)
    }

    fn take(&self, entry: &DirEntry, prefix: &Path, found: &mut Found) {
        let below = last_parts(entry.path(), entry.depth());
        if !self.matches(&below, MAYBE_HIDDEN) {
            return;
        }
        if !self.matches(&below, SHOWN) {
            return found.skip(entry.path(), "is hidden".to_owned());
        }
        if !entry.file_type().is_file() {
            return found.skip(entry.path(), "is no regular file".to_owned());
        }
        let Some(name) = written_by_slashes(&prefix.join(below)) else {
            return found.skip(entry.path(), "has a name that is no Unicode; rename it".to_owned());
        };
        match check_photo(entry.path()) {
            Ok(()) => found.photos.push(name),
            Err(reason) => found.skip(entry.path(), reason),
        }
    }
}

impl Found {
    fn skip(&mut self, path: &Path, reason: String) {
        self.skipped.push(Skipped {
            name: path.display().to_string(),
            reason,
        });
    }
}

/// The last `count` parts of a path.
fn last_parts(path: &Path, count: usize) -> PathBuf {
    let parts: Vec<Component<'_>> = path.components().collect();
    parts[parts.len().saturating_sub(count)..].iter().collect()
}

/// `None` for what is no Unicode.
fn written_by_slashes(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    Some(if cfg!(windows) {
        text.replace('\\', "/")
    } else {
        text.to_owned()
    })
}

fn has_photo_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str())
}

fn nothing_found(found: &Found, folder: &Path) -> String {
    let folder = shown_folder(folder).display().to_string();
    let folder = if folder == "." {
        "the working folder".to_owned()
    } else {
        folder
    };
    let instead = match found.skipped.as_slice() {
        [] => String::new(),
        [only] => format!("; {} {}", only.name, only.reason),
        [first, ..] => format!(
            "; {} files are passed over, such as {}, which {}",
            found.skipped.len(),
            first.name,
            first.reason
        ),
    };
    format!("finds no photo in {folder}{instead}")
}

/// The working folder has no name where a path is relative to it.
fn shown_folder(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

fn bad(pattern: &str, what: String) -> ModelError {
    ModelError::BadInput(format!("scenes: {pattern}: {what}"))
}

#[cfg(test)]
mod tests;
