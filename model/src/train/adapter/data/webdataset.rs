//! `WebDataset` shards: tars with `KEY.gt.png`, `KEY.lq.png` and `KEY.json`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::layouts::mix_of_info;
use super::source::{Item, Source, read_part};
use crate::error::ModelError;

/// Bytes of a tar's blocks.
const BLOCK: u64 = 512;
/// Longest JSON that is read, in bytes.
const LONGEST_INFO: u64 = 1 << 20;

/// The tars of a folder, by name.
pub fn tars(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let is_tar = |path: &PathBuf| path.is_file() && path.extension().is_some_and(|e| e == "tar");
    let mut tars: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_tar).collect();
    tars.sort();
    tars
}

/// All pairs of a folder's tars; where a split was made, of those called `train-*` alone.
pub fn items(folder: &Path) -> Result<Vec<Item>, ModelError> {
    let all = tars(folder);
    let is_train = |path: &&PathBuf| super::source::name_of(path).starts_with("train");
    let mut chosen: Vec<&PathBuf> = all.iter().filter(is_train).collect();
    if chosen.is_empty() {
        chosen = all.iter().collect();
    }
    let mut items = Vec::new();
    for tar in chosen {
        items.extend(pairs(tar)?);
    }
    Ok(items)
}

fn pairs(tar: &Path) -> Result<Vec<Item>, ModelError> {
    let mut keys: BTreeMap<String, BTreeMap<String, Source>> = BTreeMap::new();
    for member in members(tar)? {
        if let Source::Member { name, .. } = &member
            && let Some((key, field)) = split_key(name)
        {
            keys.entry(key).or_default().insert(field, member);
        }
    }
    let is = |field: &str, kind: &str| field.split('.').next() == Some(kind);
    let pair = |fields: BTreeMap<String, Source>| {
        let image = |kind: &str| fields.iter().find(|(field, _)| is(field, kind)).map(|(_, s)| s.clone());
        let mix = fields.get("json").and_then(|source| {
            let Source::Member { tar, offset, len, .. } = source else {
                return None;
            };
            let bytes = read_part(tar, *offset, (*len).min(LONGEST_INFO)).ok()?;
            mix_of_info(&serde_json::from_slice(&bytes).ok()?)
        });
        Some(Item {
            clean: image("gt")?,
            degraded: Some(image("lq")?),
            mix,
            prompt: None,
        })
    };
    Ok(keys.into_values().filter_map(pair).collect())
}

/// `folder/KEY.gt.png` to `folder/KEY` and `gt.png`: a key ends at the first dot of its last part.
fn split_key(name: &str) -> Option<(String, String)> {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let (key, field) = file.split_once('.')?;
    Some((format!("{folder}/{key}"), field.to_owned()))
}

/// The regular files in a tar (POSIX ustar; headers of extensions are passed over).
fn members(tar: &Path) -> Result<Vec<Source>, ModelError> {
    let io = |source| ModelError::Io {
        path: tar.to_owned(),
        source,
    };
    let mut file = File::open(tar).map_err(io)?;
    let end = file.metadata().map_err(io)?.len();
    let (mut at, mut members) = (0, Vec::new());
    while at + BLOCK <= end {
        let mut header = [0u8; BLOCK as usize];
        file.seek(SeekFrom::Start(at)).map_err(io)?;
        file.read_exact(&mut header).map_err(io)?;
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        let damaged = || ModelError::BadInput(format!("{}: is no tar, or a damaged one", tar.display()));
        let len = octal(&header[124..136]).ok_or_else(damaged)?;
        let offset = at + BLOCK;
        if matches!(header[156], b'0' | 0) && offset + len <= end {
            let (prefix, name) = (text(&header[345..500]), text(&header[..100]));
            members.push(Source::Member {
                tar: tar.to_owned(),
                name: if prefix.is_empty() {
                    name
                } else {
                    format!("{prefix}/{name}")
                },
                offset,
                len,
            });
        }
        at = len
            .div_ceil(BLOCK)
            .checked_mul(BLOCK)
            .and_then(|padded| offset.checked_add(padded))
            .ok_or_else(damaged)?;
    }
    Ok(members)
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn octal(field: &[u8]) -> Option<u64> {
    u64::from_str_radix(text(field).trim_matches([' ', '\0']), 8).ok()
}
