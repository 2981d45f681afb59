//! Where the bytes of a checkpoint come from: a file that is mapped tensor by tensor, or memory.

use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::{Mmap, MmapOptions};

use super::error::{CheckpointError, opening};
use super::header::{self, Entry, Header, LENGTH_BYTES};
use crate::error::ModelError;

/// One safetensors file.
pub(super) struct Source {
    /// The path, or a name, for messages.
    pub name: String,
    bytes: Bytes,
}

enum Bytes {
    File { file: File, path: PathBuf },
    Memory(Arc<[u8]>),
}

/// The bytes of one tensor.
pub(super) enum TensorBytes<'a> {
    Mapped(Mmap),
    Memory(&'a [u8]),
}

impl Deref for TensorBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Memory(bytes) => bytes,
        }
    }
}

impl Source {
    /// Opens a file and reads its header; its tensors stay on disk.
    pub fn open(path: &Path) -> Result<(Self, Header), ModelError> {
        let name = path.display().to_string();
        let failed = |e| opening(path.to_owned(), e);
        let mut file = File::open(path).map_err(failed)?;
        let information = file.metadata().map_err(failed)?;
        if information.is_dir() {
            return Err(opening(path.to_owned(), std::io::ErrorKind::IsADirectory.into()));
        }
        let file_bytes = information.len();
        let mut start = Vec::new();
        file.by_ref().take(64).read_to_end(&mut start).map_err(failed)?;
        let header_bytes = header::header_bytes(&start, file_bytes).map_err(|e| e.at(&name))?;
        let mut json = start.split_off(start.len().min(LENGTH_BYTES as usize));
        json.truncate(header_bytes as usize);
        let rest = header_bytes - json.len() as u64;
        file.by_ref().take(rest).read_to_end(&mut json).map_err(failed)?;
        let header = Header::parse(&json, file_bytes).map_err(|e| e.at(&name))?;
        Ok((
            Self {
                name,
                bytes: Bytes::File {
                    file,
                    path: path.to_owned(),
                },
            },
            header,
        ))
    }

    /// The same over bytes in memory; `name` is for messages.
    pub fn parse(bytes: &[u8], name: &str) -> Result<(Self, Header), ModelError> {
        let file_bytes = bytes.len() as u64;
        let start = &bytes[..bytes.len().min(64)];
        let header_bytes = header::header_bytes(start, file_bytes).map_err(|e| e.at(name))?;
        let json = &bytes[LENGTH_BYTES as usize..][..header_bytes as usize];
        let header = Header::parse(json, file_bytes).map_err(|e| e.at(name))?;
        Ok((
            Self {
                name: name.to_owned(),
                bytes: Bytes::Memory(bytes.into()),
            },
            header,
        ))
    }

    /// Whether the bytes are in a file, which can be mapped.
    pub fn is_file(&self) -> bool {
        matches!(self.bytes, Bytes::File { .. })
    }

    /// The bytes of a tensor, from `skip` on, `len` of them. A mapping lives only as long as the result: what has been
    /// converted no longer counts as this process's memory.
    pub fn tensor_bytes(
        &self,
        key: &str,
        entry: &Entry,
        skip: usize,
        len: usize,
    ) -> Result<TensorBytes<'_>, ModelError> {
        let start = entry.start + skip as u64;
        match &self.bytes {
            Bytes::Memory(bytes) => Ok(TensorBytes::Memory(&bytes[start as usize..][..len])),
            Bytes::File { .. } if len == 0 => Ok(TensorBytes::Memory(&[])),
            Bytes::File { file, path } => {
                let failed = |source| ModelError::Io {
                    path: path.clone(),
                    source,
                };
                if start + len as u64 > file.metadata().map_err(failed)?.len() {
                    return Err(CheckpointError::Changed { key: key.to_owned() }.at(&self.name));
                }
                Ok(TensorBytes::Mapped(map(file, start, len).map_err(failed)?))
            }
        }
    }
}

/// Maps a range of a file, read-only.
fn map(file: &File, start: u64, len: usize) -> std::io::Result<Mmap> {
    // SAFETY: a mapping is undefined behaviour's neighbour only if the file changes under it. It is read-only, its range
    // was just checked against the file's length, and it lives for the conversion of one tensor; the bytes are read as
    // plain numbers, for which every bit pattern is valid. A program that cuts the file off in that moment ends this
    // process by a signal; reading gigabytes into memory twice to rule that out would cost every user more.
    #[allow(unsafe_code)]
    let map = unsafe { MmapOptions::new().offset(start).len(len).map(file)? };
    // A hint that may fail without harm: the range is read once, front to back.
    #[cfg(unix)]
    map.advise(memmap2::Advice::Sequential).ok();
    Ok(map)
}
