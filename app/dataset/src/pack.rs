//! Tars: the pairs that waited in the staging folder become one file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use mdsd3_model::pair_layout::{Done, Pack, STAGING};
use mdsd3_render::RenderError;
use mdsd3_words::hash::sha256_of_file;

use crate::check::bad;
use crate::files::{FileRecord, Shard, Writer};
use crate::finish::Present;
use crate::journal::{Journal, Known, Line};
use crate::stored::Stored;

/// What packing tars needs.
pub(super) struct Packing<'a> {
    pub folder: &'a Path,
    pub stored: Stored,
    pub writer: &'a Writer,
    pub done: &'a [Done],
    pub known: &'a Known,
    pub there: &'a Present,
    pub shard: Shard,
}

impl Packing<'_> {
    /// Packs a tar, unless an earlier attempt did; then its pairs' own files can go.
    pub fn pack_if_needed(&self, pack: &Pack) -> Result<FileRecord, RenderError> {
        let records = pack
            .pairs
            .iter()
            .filter_map(|index| self.known.pairs.get(&self.done[*index].job.key));
        let files: Vec<&FileRecord> = records.flat_map(|pair| &pair.files).collect();
        // Packed files are removed, and a journal's word alone must not decide what is.
        if let Some(file) = files.iter().find(|file| !Path::new(&file.path).starts_with(STAGING)) {
            return Err(bad(format!(
                "{}: its journal names {:?} as a file to be packed, which this program keeps in {STAGING}; make the dataset again in another folder",
                self.folder.display(),
                file.path
            )));
        }
        let known = self.known.lists.get(&pack.path);
        let record = match known.filter(|list| self.there.lists.contains(&list.path)) {
            Some(record) => record.clone(),
            None => self.pack(&pack.path, &files)?,
        };
        for file in files {
            // What is left is removed with its folder.
            let _ = fs::remove_file(self.folder.join(&file.path));
        }
        Ok(record)
    }

    fn pack(&self, path: &str, files: &[&FileRecord]) -> Result<FileRecord, RenderError> {
        let mut members = Vec::with_capacity(files.len());
        for file in files {
            let found = self.stored.path_of(file)?;
            members.push((*file, found.ok_or_else(|| gone(self.folder, file))?));
        }
        let target = self.folder.join(path);
        self.writer.place(&target, |temporary| write_tar(&members, temporary))?;
        let facts = fs::metadata(&target).map_err(|source| RenderError::reading(&target, source))?;
        let record = FileRecord {
            path: path.to_owned(),
            bytes: facts.len(),
            sha256: sha256_of_file(&target)?,
        };
        // From here on the pairs count as there without their own files.
        Journal::open(self.folder, self.shard)?.append(&Line::List(record.clone()))?;
        Ok(record)
    }
}

fn gone(folder: &Path, file: &FileRecord) -> RenderError {
    bad(format!(
        "{}: {} is gone since it was looked at; run again with --resume",
        folder.display(),
        file.path
    ))
}

/// Headers hold nothing of this machine or time, so that equal pairs make equal tars.
fn write_tar(members: &[(&FileRecord, PathBuf)], target: &Path) -> io::Result<()> {
    let mut builder = tar::Builder::new(BufWriter::new(File::create_new(target)?));
    for (record, path) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(record.bytes);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        let name = record.path.rsplit('/').next().unwrap_or(&record.path);
        builder.append_data(&mut header, name, File::open(path)?)?;
    }
    let mut file = builder.into_inner()?;
    file.flush()?;
    file.get_ref().sync_all()
}

/// Whether a tar has so many members.
pub(super) fn has_members(tar: &Path, count: usize) -> bool {
    let opened = File::open(tar).ok().map(tar::Archive::new);
    opened.is_some_and(|mut archive| {
        let entries = archive.entries_with_seek();
        entries.is_ok_and(|entries| entries.flatten().count() == count)
    })
}
