//! The header of a safetensors file: 8 bytes of length, JSON, then the tensors' bytes. Nothing in it is trusted.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::error::CheckpointError;
use super::format::Format;

/// Bytes of the length field.
pub(super) const LENGTH_BYTES: u64 = 8;
/// The longest header that is read. SD3.5-large with all encoders takes under 1 MB.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// A tensor's place in its file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// `None` for a dtype that is known but can't be used; whoever asks for the tensor is told.
    pub format: Option<Format>,
    /// The dtype as written.
    pub dtype_name: String,
    pub shape: Vec<usize>,
    /// First byte, counted from the start of the file.
    pub start: u64,
    pub bytes: usize,
}

/// What a file says about itself.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub entries: BTreeMap<String, Entry>,
    pub metadata: BTreeMap<String, String>,
}

/// The length of the header in bytes, from the first bytes of a file (all of them, if it is shorter than 64).
pub(super) fn header_bytes(start: &[u8], file_bytes: u64) -> Result<u64, CheckpointError> {
    if start.starts_with(b"version https://git-lfs") {
        return Err(CheckpointError::LfsPointer);
    }
    let zip = start.starts_with(b"PK\x03\x04");
    let protocol = start.first() == Some(&0x80) && start.get(1).is_some_and(|v| (2..=5).contains(v));
    // A safetensors file begins with its header's length, which may look like a pickle's mark, and then `{`.
    if (zip || protocol) && start.get(8) != Some(&b'{') {
        return Err(CheckpointError::Pickle);
    }
    let Some(length) = start.first_chunk::<8>() else {
        return Err(CheckpointError::TooShort { bytes: file_bytes });
    };
    let header_bytes = u64::from_le_bytes(*length);
    if header_bytes > file_bytes.saturating_sub(LENGTH_BYTES) {
        return Err(CheckpointError::HeaderBeyondFile {
            header_bytes,
            file_bytes,
        });
    }
    if header_bytes > MAX_HEADER_BYTES {
        return Err(CheckpointError::HeaderTooLong { header_bytes });
    }
    Ok(header_bytes)
}

impl Header {
    /// Parses and checks a header; `json` is all of it, `file_bytes` the length of the whole file.
    pub fn parse(json: &[u8], file_bytes: u64) -> Result<Self, CheckpointError> {
        let syntax = |reason: String| CheckpointError::HeaderSyntax { reason };
        let raw: RawHeader = serde_json::from_slice(json).map_err(|e| syntax(e.to_string()))?;
        if let Some(key) = raw.duplicate {
            return Err(CheckpointError::DuplicateKey { key });
        }
        let data_start = LENGTH_BYTES + json.len() as u64;
        let data_bytes = file_bytes.saturating_sub(data_start);
        let mut entries = BTreeMap::new();
        for (key, entry) in raw.entries {
            let entry = entry.checked(&key, data_start, data_bytes)?;
            entries.insert(key, entry);
        }
        check_tiling(&entries, data_start, file_bytes)?;
        Ok(Self {
            entries,
            metadata: raw.metadata,
        })
    }
}

/// Tensors must cover the data section without overlap and without holes, as the format asks.
fn check_tiling(entries: &BTreeMap<String, Entry>, data_start: u64, file_bytes: u64) -> Result<(), CheckpointError> {
    let mut by_place: Vec<_> = entries.iter().collect();
    by_place.sort_by_key(|(_, e)| (e.start, e.bytes));
    let (mut end, mut before) = (data_start, None::<&String>);
    for (key, entry) in by_place {
        if entry.start < end {
            let first = before.cloned().unwrap_or_default();
            return Err(CheckpointError::Overlap {
                first,
                second: key.clone(),
            });
        }
        if entry.start > end {
            return Err(CheckpointError::Hole {
                bytes: entry.start - end,
                place: format!("before tensor {key}"),
            });
        }
        (end, before) = (entry.start + entry.bytes as u64, Some(key));
    }
    if end < file_bytes {
        return Err(CheckpointError::Hole {
            bytes: file_bytes - end,
            place: "at the end".to_owned(),
        });
    }
    Ok(())
}

/// An entry as written.
#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl RawEntry {
    fn checked(self, key: &str, data_start: u64, data_bytes: u64) -> Result<Entry, CheckpointError> {
        let [start, end] = self.data_offsets;
        let Some((format, number_bytes)) = format_from_name(&self.dtype) else {
            return Err(CheckpointError::Dtype {
                key: key.to_owned(),
                dtype: self.dtype,
            });
        };
        if start > end || end > data_bytes {
            return Err(CheckpointError::OutOfRange {
                key: key.to_owned(),
                start,
                end,
                data_bytes,
            });
        }
        let bytes = end - start;
        let needed = self.shape.iter().try_fold(number_bytes, |n, &side| n.checked_mul(side));
        if needed != Some(bytes) {
            return Err(CheckpointError::Size {
                key: key.to_owned(),
                shape: self.shape,
                dtype: self.dtype,
                bytes,
            });
        }
        let shape = self.shape.iter().map(|&side| side as usize).collect();
        Ok(Entry {
            format,
            dtype_name: self.dtype,
            shape,
            start: data_start + start,
            bytes: bytes as usize,
        })
    }
}

/// A dtype and its bytes per number. Dtypes of the format that can't be computed with keep a file readable, as the model at
/// hand may not need those tensors.
fn format_from_name(name: &str) -> Option<(Option<Format>, u64)> {
    if let Some(format) = Format::named(name) {
        return Some((Some(format), format.bytes(1) as u64));
    }
    Some(match name {
        "BOOL" | "I8" => (None, 1),
        "I16" | "U16" => (None, 2),
        "U32" => (None, 4),
        "U64" => (None, 8),
        _ => return None,
    })
}

/// The header's JSON, with the first name that is there twice: a map type would silently keep the last.
#[derive(Default)]
struct RawHeader {
    entries: BTreeMap<String, RawEntry>,
    metadata: BTreeMap<String, String>,
    duplicate: Option<String>,
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut header = RawHeader::default();
                let mut has_metadata = false;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "__metadata__" {
                        header.metadata = map.next_value()?;
                        if std::mem::replace(&mut has_metadata, true) {
                            header.duplicate.get_or_insert(key);
                        }
                        continue;
                    }
                    let entry = map
                        .next_value()
                        .map_err(|e| A::Error::custom(format!("tensor {key}: {e}")))?;
                    if header.entries.insert(key.clone(), entry).is_some() {
                        header.duplicate.get_or_insert(key);
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}
