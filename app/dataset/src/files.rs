//! Files of a dataset: written under a temporary name, flushed and renamed, so that each is complete or not there.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use mdsd3_model::error::ModelError;
use mdsd3_model::io::atomic::make_atomically;
use mdsd3_render::RenderError;
use mdsd3_words::hash::sha256_hex;
use serde::{Deserialize, Serialize};

use crate::check::bad;
use crate::plan::Copies;

/// Where a sweep keeps its journal, in the dataset's folder; hidden, so that trainers pass over it.
pub(super) const STATE: &str = ".mdsd3";
/// The plan's hash in that folder.
pub(super) const PLAN_HASH: &str = ".mdsd3/plan";

/// A part of the jobs: those whose key falls on `index` of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: u32,
    /// At least 1.
    pub count: u32,
}

impl Shard {
    /// All jobs.
    pub const ALL: Self = Self { index: 0, count: 1 };

    /// Whether a job is in this shard. The key is a hash, so shards are about equally large whatever the plan.
    pub(super) fn holds(self, key: &str) -> bool {
        let head = key.get(..8).and_then(|head| u32::from_str_radix(head, 16).ok());
        head.unwrap_or_default() % self.count == self.index
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (index, count) = text.split_once('/')?;
            let shard = Self {
                index: index.parse().ok()?,
                count: count.parse().ok()?,
            };
            (shard.index < shard.count).then_some(shard)
        };
        parse().ok_or_else(|| "give I/N with I from 0 to N-1, such as 0/4".to_owned())
    }
}

/// A file as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct FileRecord {
    /// From the dataset's folder, separated by `/`.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
}

impl FileRecord {
    pub fn new(path: &str, content: &[u8]) -> Self {
        Self {
            path: path.to_owned(),
            bytes: content.len() as u64,
            sha256: sha256_hex(content),
        }
    }
}

/// Writes files into a dataset's folder.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    folder: PathBuf,
    /// Tells this process's temporary names from those of other shards.
    tag: String,
}

impl Writer {
    pub fn new(folder: &Path, shard: Shard) -> Self {
        Self {
            folder: folder.to_owned(),
            tag: format!("{}-of-{}", shard.index, shard.count),
        }
    }

    /// Writes one file. A file that has this content already is left alone: another shard may be reading it.
    pub fn write(&self, path: &str, content: &[u8]) -> Result<FileRecord, RenderError> {
        let record = FileRecord::new(path, content);
        let target = self.folder.join(path);
        if !has_content(&target, content) {
            self.place(&target, |temporary| {
                let mut file = File::create_new(temporary)?;
                file.write_all(content)?;
                file.sync_all()
            })?;
        }
        Ok(record)
    }

    /// Gives the file `original`, whose content is known, the further name `path`.
    pub fn link(&self, original: &str, path: &str, content: &[u8], copies: Copies) -> Result<FileRecord, RenderError> {
        let (source, target) = (self.folder.join(original), self.folder.join(path));
        match copies {
            Copies::Duplicate => return self.write(path, content),
            // Renaming one name of a file over another does nothing and would leave the temporary name.
            Copies::Hardlink if has_content(&target, content) => {}
            Copies::Hardlink => self.place(&target, |temporary| fs::hard_link(&source, temporary))?,
            Copies::Symlink => self.place(&target, |temporary| symlink(&relative(original, path), temporary))?,
        }
        Ok(FileRecord::new(path, content))
    }

    /// Makes a file by `make` under a temporary name beside `target` and renames it.
    pub fn place(&self, target: &Path, make: impl Fn(&Path) -> io::Result<()>) -> Result<(), RenderError> {
        make_atomically(target, &self.tag, make).map_err(|source| RenderError::Io {
            path: target.to_owned(),
            source,
        })
    }
}

fn has_content(path: &Path, content: &[u8]) -> bool {
    let same_length =
        fs::symlink_metadata(path).is_ok_and(|facts| facts.is_file() && facts.len() == content.len() as u64);
    same_length && fs::read(path).is_ok_and(|found| found == content)
}

/// The way from the folder of `path` to `original`; both from the same folder.
fn relative(original: &str, path: &str) -> PathBuf {
    let (from, to): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), original.split('/').collect());
    let common = from[..from.len() - 1]
        .iter()
        .zip(&to)
        .take_while(|(one, other)| one == other)
        .count();
    let up = std::iter::repeat_n("..", from.len() - 1 - common);
    up.chain(to[common..].iter().copied()).collect()
}

#[cfg(unix)]
fn symlink(original: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(original, link)
}

#[cfg(not(unix))]
fn symlink(_original: &Path, _link: &Path) -> io::Result<()> {
    Err(io::Error::new(
        ErrorKind::Unsupported,
        "symbolic links are for Unix; set pairs = \"duplicate\"",
    ))
}

/// Whether an error says that there is no room: the one failure that waiting can mend.
pub(super) fn is_disk_full(error: &RenderError) -> bool {
    let (RenderError::Io { source, .. } | RenderError::Model(ModelError::Io { source, .. })) = error else {
        return false;
    };
    matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Refuses an output folder that can't be made or written to.
pub(super) fn check_writable(folder: &Path) -> Result<(), RenderError> {
    let shown = folder.display();
    let refused = |reason: &str| Err(bad(format!("{shown}: {reason}; choose another output folder")));
    if folder.exists() && !folder.is_dir() {
        return refused("is a file, not a folder");
    }
    let state = folder.join(STATE);
    if fs::symlink_metadata(&state).is_ok_and(|facts| !facts.is_dir()) {
        return refused("its .mdsd3 is no folder of its own");
    }
    // A file without a name: two commands that begin at once don't meet, and a killed one leaves nothing.
    let tried = fs::create_dir_all(&state).and_then(|()| tempfile::tempfile_in(&state));
    match tried {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => Ok(()),
        Err(error) => refused(&format!("can't be written to ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_point_from_where_they_are() {
        assert_eq!(
            relative("train/Haze/target/a.png", "train/Rain/target/a_1.png"),
            Path::new("../../Haze/target/a.png")
        );
        assert_eq!(relative("gt/a.png", "gt/b.png"), Path::new("a.png"));
    }

    #[cfg(unix)]
    #[test]
    fn every_kind_of_copy_reads_the_same_and_leaves_nothing_behind() {
        for copies in [Copies::Duplicate, Copies::Hardlink, Copies::Symlink] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let writer = Writer::new(folder.path(), Shard::ALL);
            writer.write("gt/a.png", b"pixels").expect("written");
            for _ in 0..2 {
                writer.link("gt/a.png", "gt/b.png", b"pixels", copies).expect("linked");
            }
            assert_eq!(fs::read(folder.path().join("gt/b.png")).expect("there"), b"pixels");
            assert_eq!(fs::read_dir(folder.path().join("gt")).expect("there").count(), 2);
        }
    }

    #[test]
    fn shards_share_the_jobs_out() {
        assert_eq!("2/4".parse(), Ok(Shard { index: 2, count: 4 }));
        for text in ["4/4", "1", "a/b", "0/0", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        let keys: Vec<String> = (0..400).map(|job| sha256_hex(&[job as u8, (job >> 8) as u8])).collect();
        let sizes: Vec<usize> = (0..4)
            .map(|index| keys.iter().filter(|key| Shard { index, count: 4 }.holds(key)).count())
            .collect();
        assert_eq!(sizes.iter().sum::<usize>(), 400);
        assert!(sizes.iter().all(|size| (60..140).contains(size)), "{sizes:?}");
    }
}
