//! Where the bytes of a checkpoint come from: a file that is mapped tensor by tensor, or memory.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use mdsd3_words::regular::open_regular;
use memmap2::{Mmap, MmapOptions};

use super::error::{CheckpointError, opening};
use super::gguf;
use super::header::{self, Entry, Header, LENGTH_BYTES};
use crate::error::ModelError;

/// One safetensors or GGUF file.
pub(super) struct Source {
    /// The path, or a name, for messages.
    pub name: String,
    bytes: Bytes,
}

enum Bytes {
    File(Arc<Watched>),
    Memory(Arc<[u8]>),
}

/// An open file that must stay as it is: what is mapped of it would change with it.
pub(super) struct Watched {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// When it was last written; `None` where the file system doesn't tell.
    modified: Option<SystemTime>,
}

impl Watched {
    fn new(file: File, path: &Path) -> std::io::Result<Self> {
        let facts = file.metadata()?;
        Ok(Self {
            bytes: facts.len(),
            modified: facts.modified().ok(),
            file,
            path: path.to_owned(),
        })
    }

    /// Refuses a file that was cut off or written to since it was opened.
    pub fn check(&self) -> Result<(), ModelError> {
        let facts = self.file.metadata().map_err(|source| ModelError::Io {
            path: self.path.clone(),
            source,
        })?;
        if facts.len() == self.bytes && facts.modified().ok() == self.modified {
            return Ok(());
        }
        Err(CheckpointError::Changed.at(&self.path.display().to_string()))
    }
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
        let mut file = open_regular(path).map_err(failed)?;
        let watched = Watched::new(file.try_clone().map_err(failed)?, path).map_err(failed)?;
        let file_bytes = watched.bytes;
        let mut start = Vec::new();
        file.by_ref().take(64).read_to_end(&mut start).map_err(failed)?;
        if start.starts_with(gguf::MAGIC) {
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            let header = gguf::header(BufReader::new(&file), file_bytes).map_err(|e| e.at(&name))?;
            return Ok((Self::of_file(name, watched), header));
        }
        let header_bytes = header::header_bytes(&start, file_bytes).map_err(|e| e.at(&name))?;
        let mut json = start.split_off(start.len().min(LENGTH_BYTES as usize));
        json.truncate(header_bytes as usize);
        let rest = header_bytes - json.len() as u64;
        file.by_ref().take(rest).read_to_end(&mut json).map_err(failed)?;
        let header = Header::parse(&json, file_bytes).map_err(|e| e.at(&name))?;
        Ok((Self::of_file(name, watched), header))
    }

    fn of_file(name: String, watched: Watched) -> Self {
        Self {
            name,
            bytes: Bytes::File(Arc::new(watched)),
        }
    }

    /// The same over bytes in memory; `name` is for messages.
    pub fn parse(bytes: &[u8], name: &str) -> Result<(Self, Header), ModelError> {
        let file_bytes = bytes.len() as u64;
        let start = &bytes[..bytes.len().min(64)];
        let header = if start.starts_with(gguf::MAGIC) {
            gguf::header(Cursor::new(bytes), file_bytes)
        } else {
            header::header_bytes(start, file_bytes).and_then(|header_bytes| {
                let json = &bytes[LENGTH_BYTES as usize..][..header_bytes as usize];
                Header::parse(json, file_bytes)
            })
        };
        let header = header.map_err(|e| e.at(name))?;
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
        self.watched().is_some()
    }

    /// The file that must stay as it is while something of it is mapped.
    pub fn watched(&self) -> Option<&Arc<Watched>> {
        match &self.bytes {
            Bytes::File(watched) => Some(watched),
            Bytes::Memory(_) => None,
        }
    }

    /// The bytes of a tensor, from `skip` on, `len` of them. A mapping lives only as long as the result: what has been
    /// converted no longer counts as this process's memory.
    pub fn tensor_bytes(&self, entry: &Entry, skip: usize, len: usize) -> Result<TensorBytes<'_>, ModelError> {
        let start = entry.start + skip as u64;
        match &self.bytes {
            Bytes::Memory(bytes) => Ok(TensorBytes::Memory(&bytes[start as usize..][..len])),
            Bytes::File(_) if len == 0 => Ok(TensorBytes::Memory(&[])),
            Bytes::File(watched) => {
                watched.check()?;
                let mapped = map(&watched.file, start, len).map_err(|source| ModelError::Io {
                    path: watched.path.clone(),
                    source,
                })?;
                Ok(TensorBytes::Mapped(mapped))
            }
        }
    }
}

/// Maps a range of a file, read-only.
fn map(file: &File, start: u64, len: usize) -> std::io::Result<Mmap> {
    // SAFETY: a mapping is undefined behaviour's neighbour only if the file changes under it. It is read-only, and its bytes
    // are read as plain numbers, for which every bit pattern is valid. It lives for the conversion of one tensor, or, of a
    // `StoredMatrix`, as long as the model. Length and time of writing are compared with those at opening before each
    // conversion and each product, so that a file that was changed meanwhile is an error. What is left is the moment of one
    // product: a program that cuts the file off in it ends this process by SIGBUS. Reading gigabytes into memory to rule that
    // out would cost every user more.
    #[allow(unsafe_code)]
    let map = unsafe { MmapOptions::new().offset(start).len(len).map(file)? };
    // A hint that may fail without harm: the range is read once, front to back.
    #[cfg(unix)]
    map.advise(memmap2::Advice::Sequential).ok();
    Ok(map)
}
