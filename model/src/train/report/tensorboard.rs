//! `TensorBoard` event files: length-prefixed records with masked CRC-32C (`TFRecord`), each a protocol-buffer `Event`.
//!
//! Only the fields that scalars and images need are written; names and numbers are those of `TensorFlow`'s `event.proto`
//! and `summary.proto`.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::ModelError;
use crate::train::table::append_whole;

/// An open event file.
pub struct EventFile {
    path: PathBuf,
}

/// A value of a step.
pub enum Value<'a> {
    Scalar(f32),
    /// A PNG with its width and height in pixels.
    Png(&'a [u8], u32, u32),
}

impl EventFile {
    /// A new file in `folder` of a run that goes on behind `done` steps. What earlier files hold of later ones counts as never
    /// written: readers purge everything from the session's first step on, which is the one after `done`.
    pub fn create(folder: &Path, done: usize) -> Result<Self, ModelError> {
        let io = |source| ModelError::Io {
            path: folder.to_owned(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(io)?;
        let secs = wall_time_secs();
        let free = (0..).map(|n| folder.join(format!("events.out.tfevents.{:010}.{n}.mdsd3", secs as u64)));
        let path = free.into_iter().find(|path| !path.exists()).unwrap_or_default();
        let file = Self { path };
        let mut version = Message::default();
        version.double(1, secs).bytes(3, b"brain.Event:2");
        let mut start = Message::default();
        let mut session = Message::default();
        session.varint(1, 1);
        start.double(1, secs).varint(2, done as u64 + 1).bytes(7, &session.0);
        file.append(&[record(&version.0), record(&start.0)].concat())?;
        Ok(file)
    }

    /// Writes values of a step.
    pub fn write(&self, step: usize, values: &[(String, Value)]) -> Result<(), ModelError> {
        let mut summary = Message::default();
        for (tag, value) in values {
            let mut message = Message::default();
            message.bytes(1, tag.as_bytes());
            match value {
                Value::Scalar(number) => message.float(2, *number),
                Value::Png(png, width, height) => {
                    let mut image = Message::default();
                    image.varint(1, u64::from(*height)).varint(2, u64::from(*width));
                    image.varint(3, 3).bytes(4, png);
                    message.bytes(4, &image.0)
                }
            };
            summary.bytes(1, &message.0);
        }
        let mut event = Message::default();
        event
            .double(1, wall_time_secs())
            .varint(2, step as u64)
            .bytes(5, &summary.0);
        self.append(&record(&event.0))
    }

    fn append(&self, bytes: &[u8]) -> Result<(), ModelError> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .and_then(|mut file| {
                let len = file.metadata()?.len();
                append_whole(&mut file, len, bytes)
            })
            .map_err(|source| ModelError::Io {
                path: self.path.clone(),
                source,
            })
    }
}

fn wall_time_secs() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// A protocol-buffer message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn varint(&mut self, field: u64, value: u64) -> &mut Self {
        self.raw_varint(field << 3);
        self.raw_varint(value);
        self
    }

    fn double(&mut self, field: u64, value: f64) -> &mut Self {
        self.raw_varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn float(&mut self, field: u64, value: f32) -> &mut Self {
        self.raw_varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(&mut self, field: u64, value: &[u8]) -> &mut Self {
        self.raw_varint(field << 3 | 2);
        self.raw_varint(value.len() as u64);
        self.0.extend(value);
        self
    }
}

/// Length, its check, data, its check.
fn record(data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u64).to_le_bytes();
    let mut out = len.to_vec();
    out.extend(masked_crc(&len).to_le_bytes());
    out.extend(data);
    out.extend(masked_crc(data).to_le_bytes());
    out
}

/// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), rotated and shifted as `TFRecord` has it.
fn masked_crc(data: &[u8]) -> u32 {
    let crc = !data.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    });
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads records back by the format's rules; panics where a check fails.
    fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
        let (mut at, mut records) = (0, Vec::new());
        while at < bytes.len() {
            let number = |from: usize| u32::from_le_bytes(bytes[from..from + 4].try_into().unwrap());
            let len = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            assert_eq!(number(at + 8), masked_crc(&bytes[at..at + 8]));
            let data = &bytes[at + 12..at + 12 + len];
            assert_eq!(number(at + 12 + len), masked_crc(data));
            records.push(data.to_vec());
            at += 16 + len;
        }
        records
    }

    /// Fields of a message: number and, for nested ones, bytes.
    fn fields(mut data: &[u8]) -> Vec<(u64, Vec<u8>)> {
        fn varint(data: &mut &[u8]) -> u64 {
            let (mut value, mut shift) = (0, 0);
            loop {
                let byte = data[0];
                *data = &data[1..];
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        }
        let mut out = Vec::new();
        while !data.is_empty() {
            let key = varint(&mut data);
            let value = match key & 7 {
                0 => varint(&mut data).to_le_bytes().to_vec(),
                kind => {
                    let len = match kind {
                        1 => 8,
                        5 => 4,
                        2 => varint(&mut data) as usize,
                        other => panic!("wire type {other}"),
                    };
                    let (value, rest) = data.split_at(len);
                    data = rest;
                    value.to_vec()
                }
            };
            out.push((key >> 3, value));
        }
        out
    }

    fn field(fields: &[(u64, Vec<u8>)], number: u64) -> Vec<u8> {
        fields.iter().find(|(n, _)| *n == number).unwrap().1.clone()
    }

    #[test]
    fn the_check_is_castagnolis() {
        // The check value of CRC-32C, and its mask.
        let crc = 0xe306_9283_u32;
        assert_eq!(masked_crc(b"123456789"), crc.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn records_can_be_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = EventFile::create(folder.path(), 40).unwrap();
        let values = [
            ("loss/total".to_owned(), Value::Scalar(0.25)),
            ("samples".to_owned(), Value::Png(b"png", 30, 300)),
        ];
        file.write(50, &values).unwrap();
        let records = records(&std::fs::read(&file.path).unwrap());
        assert_eq!(field(&fields(&records[0]), 3), b"brain.Event:2");
        // A session that goes on behind step 40: what was written from step 41 on is purged.
        let start = fields(&records[1]);
        assert_eq!((field(&start, 2)[0], field(&fields(&field(&start, 7)), 1)[0]), (41, 1));
        let event = fields(&records[2]);
        assert_eq!(field(&event, 2)[0], 50);
        let values: Vec<_> = fields(&field(&event, 5)).into_iter().map(|(_, v)| fields(&v)).collect();
        assert_eq!(field(&values[0], 1), b"loss/total");
        assert_eq!(field(&values[0], 2), 0.25f32.to_le_bytes());
        let image = fields(&field(&values[1], 4));
        let size = u16::from_le_bytes(field(&image, 1)[..2].try_into().unwrap());
        assert_eq!(
            (size, field(&image, 2)[0], field(&image, 4)),
            (300, 30, b"png".to_vec())
        );
        // A second run of the same second gets a file of its own.
        let again = EventFile::create(folder.path(), 0).unwrap();
        assert_ne!(again.path, file.path);
    }
}
