//! The journal: what is finished, one checked line per event, appended and flushed.
//!
//! A line is the first 16 digits of its SHA-256, a space, and JSON. A line that was cut by a crash fails its check; it is
//! ignored and its pair is made again, which gives the same files. Each shard has a journal of its own, so that no two
//! processes write one file; a finished dataset has one, in the plan's order.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use mdsd3_render::RenderError;
use mdsd3_words::hash::sha256_hex;
use mdsd3_words::regular::open_regular;
use serde::{Deserialize, Serialize};

use crate::check::bad;
use crate::files::{FileRecord, STATE, Shard};
use crate::hold;
use crate::stored::is_inside;

/// The journal of a finished dataset.
pub(super) const FINISHED: &str = ".mdsd3/journal.jsonl";

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Line {
    /// All files of a pair are there.
    Pair(PairRecord),
    /// A photo could not be used.
    Failed {
        /// As in the plan.
        scene: String,
        reason: String,
    },
    /// A list or a tar is there.
    List(FileRecord),
    /// Nothing is missing.
    Finished {
        plan: String,
        pairs: usize,
        failed_scenes: usize,
    },
}

/// A finished pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PairRecord {
    pub key: String,
    pub width: u32,
    pub height: u32,
    /// SHA-256 of the photo it was made of.
    pub scene_sha256: String,
    /// SHA-256 over its depth map and masks; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weather_sha256: Option<String>,
    pub files: Vec<FileRecord>,
}

/// What journals say.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By job key.
    pub pairs: HashMap<String, PairRecord>,
    /// Reason by scene; a later success of the scene doesn't remove it.
    pub failed: BTreeMap<String, String>,
    /// By path.
    pub lists: BTreeMap<String, FileRecord>,
    /// Pairs and failed photos that the last line of a finished dataset's journal counts.
    pub finished: Option<(usize, usize)>,
    /// Lines that failed their check.
    pub damaged: usize,
}

impl Known {
    /// Reads the journal of a finished dataset, else those of all shards.
    ///
    /// # Errors
    /// Bad input for a journal that is no regular file, or that names files outside of the dataset.
    pub fn read(folder: &Path) -> Result<Self, RenderError> {
        let paths = journals(folder)?;
        let finished = folder.join(FINISHED);
        if paths.contains(&finished) {
            let mut known = Self::default();
            known.add_all(&finished)?;
            if known.finished.is_some() {
                // What shards have left beside it says no more.
                return Ok(known);
            }
        }
        let mut known = Self::default();
        for path in &paths {
            known.add_all(path)?;
        }
        Ok(known)
    }

    /// Whether a finished dataset's journal has all the lines that its last one counts.
    pub fn is_whole(&self) -> bool {
        self.lost_lines() == 0
    }

    /// Lines that the last line of a finished dataset's journal counts and that are not there.
    pub fn lost_lines(&self) -> usize {
        self.finished.map_or(0, |(pairs, failed)| {
            pairs.abs_diff(self.pairs.len()) + failed.abs_diff(self.failed.len())
        })
    }

    fn add_all(&mut self, path: &Path) -> Result<(), RenderError> {
        for line in content_of(path)?
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            self.add(line, path)?;
        }
        Ok(())
    }

    fn add(&mut self, line: &[u8], path: &Path) -> Result<(), RenderError> {
        let line = parse(line);
        let named: &[FileRecord] = match &line {
            Some(Line::Pair(pair)) => &pair.files,
            Some(Line::List(file)) => std::slice::from_ref(file),
            _ => &[],
        };
        if let Some(outside) = named.iter().find(|file| !is_inside(&file.path)) {
            return Err(bad(format!(
                "{}: names {:?}, which is outside of the dataset; mdsd3 writes no such journal: make the dataset again in another folder",
                path.display(),
                outside.path
            )));
        }
        match line {
            Some(Line::Pair(pair)) => {
                self.pairs.insert(pair.key.clone(), pair);
            }
            Some(Line::Failed { scene, reason }) => {
                self.failed.insert(scene, reason);
            }
            Some(Line::List(file)) => {
                self.lists.insert(file.path.clone(), file);
            }
            Some(Line::Finished {
                pairs, failed_scenes, ..
            }) => self.finished = Some((pairs, failed_scenes)),
            None => self.damaged += 1,
        }
        Ok(())
    }
}

/// Refuses a journal that is a pipe, or a link, which may lead out of the dataset to a file that would be written to.
fn check_regular(path: &Path) -> Result<(), RenderError> {
    if fs::symlink_metadata(path).is_ok_and(|facts| !facts.is_file()) {
        return Err(bad(format!(
            "{}: is no regular file; mdsd3 writes no such journal: make the dataset again in another folder",
            path.display()
        )));
    }
    Ok(())
}

fn content_of(path: &Path) -> Result<Vec<u8>, RenderError> {
    check_regular(path)?;
    let failed = |source| RenderError::reading(path, source);
    let mut content = Vec::new();
    open_regular(path)
        .and_then(|mut file| file.read_to_end(&mut content))
        .map_err(failed)?;
    Ok(content)
}

/// Paths of all journals of a dataset, sorted.
pub(super) fn journals(folder: &Path) -> Result<Vec<PathBuf>, RenderError> {
    let state = folder.join(STATE);
    let entries = match fs::read_dir(&state) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|source| RenderError::reading(&state, source))?,
    };
    let is_journal = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("journal") && name.ends_with(".jsonl")
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_journal).collect();
    paths.sort();
    Ok(paths)
}

/// The journal that one process appends to.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Journal {
    /// Opens or begins the journal of a shard, and keeps other processes from writing the same one.
    pub fn open(folder: &Path, shard: Shard) -> Result<Self, RenderError> {
        let path = path_of(folder, shard);
        let failed = |source| RenderError::Io {
            path: path.clone(),
            source,
        };
        check_regular(&path)?;
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(hold::in_use(folder)),
            // Some network file systems have no locks; a second process there is the user's care.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        let text = content_of(&path)?;
        // What follows the last line end was cut by a crash; the next line must not be glued to it.
        let length = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end as u64 + 1);
        file.set_len(length).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self { path, file, length })
    }

    /// Appends a line and flushes it to disk; on an error the journal is as it was.
    pub fn append(&mut self, line: &Line) -> Result<(), RenderError> {
        let text = format(line)?;
        let written = self
            .file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // A full disk may have taken a part of the line.
            let _ = self.file.set_len(self.length);
            return Err(RenderError::Io {
                path: self.path.clone(),
                source,
            });
        }
        self.length += text.len() as u64;
        Ok(())
    }
}

pub(super) fn path_of(folder: &Path, shard: Shard) -> PathBuf {
    folder.join(name_of(shard))
}

/// A shard's journal, from the dataset's folder.
pub(super) fn name_of(shard: Shard) -> String {
    format!("{STATE}/journal-{}-of-{}.jsonl", shard.index, shard.count)
}

/// A line with its check and its end.
pub(super) fn format(line: &Line) -> Result<String, RenderError> {
    let json = serde_json::to_string(line).map_err(|error| bad(format!("the journal can't be written ({error})")))?;
    Ok(format!("{} {json}\n", check_of(json.as_bytes())))
}

fn parse(line: &[u8]) -> Option<Line> {
    let (check, json) = (line.get(..16)?, line.get(17..)?);
    (check == check_of(json).as_bytes()).then(|| serde_json::from_slice(json).ok())?
}

fn check_of(json: &[u8]) -> String {
    sha256_hex(json)[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str) -> Line {
        Line::Pair(PairRecord {
            key: key.to_owned(),
            width: 4,
            height: 4,
            scene_sha256: "ab".to_owned(),
            weather_sha256: None,
            files: vec![FileRecord::new("gt/a.png", b"pixels")],
        })
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join(STATE)).expect("created");
        folder
    }

    #[test]
    fn a_journal_cut_anywhere_keeps_its_whole_lines_and_goes_on() {
        let whole: String = ["one", "two", "three"]
            .iter()
            .map(|key| format(&pair(key)).expect("a line"))
            .collect();
        for cut in 0..=whole.len() {
            let folder = folder();
            fs::write(path_of(folder.path(), Shard::ALL), &whole.as_bytes()[..cut]).expect("written");
            let mut journal = Journal::open(folder.path(), Shard::ALL).expect("opened");
            let before = Known::read(folder.path()).expect("read");
            assert_eq!(before.damaged, 0);
            journal.append(&pair("four")).expect("appended");
            let after = Known::read(folder.path()).expect("read");
            assert_eq!(
                (after.pairs.len(), after.damaged),
                (before.pairs.len() + 1, 0),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_changed_line_is_not_believed() {
        let folder = folder();
        let line = format(&pair("one"))
            .expect("a line")
            .replace("pixels", "pixelz")
            .replace("\"width\":4", "\"width\":5");
        fs::write(path_of(folder.path(), Shard::ALL), line).expect("written");
        let known = Known::read(folder.path()).expect("read");
        assert_eq!((known.pairs.len(), known.damaged), (0, 1));
    }

    /// What an attacker, or a hand that edits, may put into a folder that someone goes on with.
    #[test]
    fn files_outside_of_the_dataset_are_refused() {
        for path in ["../secret", "/etc/passwd", "gt/../../secret", ""] {
            let file = FileRecord {
                path: path.to_owned(),
                ..FileRecord::new("gt/a.png", b"pixels")
            };
            let Line::Pair(mut in_a_pair) = pair("one") else {
                panic!("a pair")
            };
            in_a_pair.files.push(file.clone());
            for line in [Line::Pair(in_a_pair), Line::List(file)] {
                let folder = folder();
                let text = format(&line).expect("a line");
                fs::write(path_of(folder.path(), Shard::ALL), text).expect("written");
                let error = Known::read(folder.path()).expect_err("refused");
                assert!(error.is_bad_input() && error.to_string().contains("outside"), "{error}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_journal_that_is_a_link_or_a_pipe_is_refused() {
        let outside = tempfile::tempdir().expect("a temporary folder");
        let target = outside.path().join("precious");
        fs::write(&target, "no end of line").expect("written");
        let folder = folder();
        let journal = path_of(folder.path(), Shard::ALL);
        std::os::unix::fs::symlink(&target, &journal).expect("linked");
        assert!(Journal::open(folder.path(), Shard::ALL).is_err_and(|error| error.is_bad_input()));
        assert!(Known::read(folder.path()).is_err_and(|error| error.is_bad_input()));
        assert_eq!(fs::read_to_string(&target).expect("there"), "no end of line");
        fs::remove_file(&journal).expect("removed");
        let made = std::process::Command::new("mkfifo")
            .arg(&journal)
            .status()
            .expect("mkfifo runs");
        assert!(made.success());
        assert!(Known::read(folder.path()).is_err_and(|error| error.is_bad_input()));
    }

    #[test]
    fn a_finished_journal_counts_its_lines() {
        let folder = folder();
        let lines = [
            pair("one"),
            pair("two"),
            Line::Finished {
                plan: "ab".to_owned(),
                pairs: 2,
                failed_scenes: 0,
            },
        ];
        let lines = lines.map(|line| format(&line).expect("a line"));
        fs::write(folder.path().join(FINISHED), lines.concat()).expect("written");
        assert_eq!(Known::read(folder.path()).expect("read").lost_lines(), 0);
        fs::write(folder.path().join(FINISHED), lines[1..].concat()).expect("written");
        let known = Known::read(folder.path()).expect("read");
        assert_eq!(
            (known.lost_lines(), known.damaged, known.finished),
            (1, 0, Some((2, 0)))
        );
    }

    #[test]
    fn only_one_process_writes_a_journal() {
        let folder = folder();
        let _first = Journal::open(folder.path(), Shard::ALL).expect("opened");
        let second = Journal::open(folder.path(), Shard::ALL).expect_err("locked");
        assert!(second.is_bad_input() && second.to_string().contains("another mdsd3"));
    }
}
