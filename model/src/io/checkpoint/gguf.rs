//! The header of a GGUF file, read by candle and then checked: nothing in it is trusted.

use std::io::{Read, Seek, SeekFrom};

use candle_core::DType;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};

use super::error::CheckpointError;
use super::format::Format;
use super::header::{Entry, Header};

/// How every GGUF file begins.
pub(super) const MAGIC: &[u8] = b"GGUF";
/// Where a header says that its tensors begin at multiples of something.
const ALIGNMENT_KEY: &[u8] = b"general.alignment";
/// How much of a file is searched for that; headers of image models take less.
const SEARCHED_BYTES: u64 = 1 << 22;
/// What city96's converter calls the shape of a tensor that it stored in another.
const SHAPE_KEY: &str = "comfy.gguf.orig_shape.";

/// Numbers of types that candle doesn't read (ggml.h, `enum ggml_type`).
const UNREAD_TYPES: [(u32, &str); 19] = [
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

/// Reads and checks a header; `reader` is the whole file.
pub(super) fn header(mut reader: impl Read + Seek, file_bytes: u64) -> Result<Header, CheckpointError> {
    let bad = |reason: String| CheckpointError::Gguf { reason };
    check_alignment(&mut reader).map_err(|e| bad(e.to_string()))?;
    let content = Content::read(&mut reader).map_err(|e| {
        // The message alone, without the backtrace that candle may carry.
        let message = e.to_string().lines().next().unwrap_or_default().to_owned();
        match unread_type(&message) {
            Some(kind) => CheckpointError::GgufType { kind },
            None => bad(message),
        }
    })?;
    if let Some(parts) = content
        .metadata
        .get("split.count")
        .and_then(|v| v.to_u16().ok())
        .filter(|&parts| parts > 1)
    {
        return Err(bad(format!(
            "it is one of {parts} parts of a model; merge them with llama.cpp's gguf-split first"
        )));
    }
    let mut header = Header::default();
    for (key, info) in &content.tensor_infos {
        let shape =
            stored_shape(key, info, &content).ok_or_else(|| bad(format!("tensor {key} has an impossible shape")))?;
        let entry = entry(key, info, shape, content.tensor_data_offset, file_bytes)?;
        header.entries.insert(key.clone(), entry);
    }
    check_overlaps(&header)?;
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.to_string().ok()?.clone()));
    header.metadata = content.metadata.iter().filter_map(text).collect();
    Ok(header)
}

/// An alignment of 0 is what candle would divide by.
fn check_alignment(reader: &mut (impl Read + Seek)) -> std::io::Result<()> {
    let mut start = Vec::new();
    reader.take(SEARCHED_BYTES).read_to_end(&mut start)?;
    reader.seek(SeekFrom::Start(0))?;
    let places = start
        .windows(ALIGNMENT_KEY.len())
        .enumerate()
        .filter(|(_, window)| *window == ALIGNMENT_KEY);
    for (place, _) in places {
        let [kind, _, _, _, value @ ..] = &start[place + ALIGNMENT_KEY.len()..] else {
            continue;
        };
        let bytes = match kind {
            0 | 1 => 1,
            2 | 3 => 2,
            _ => 4,
        };
        if value.iter().take(bytes).all(|&byte| byte == 0) {
            return Err(std::io::Error::other("it aligns its tensors to 0 bytes"));
        }
    }
    Ok(())
}

fn unread_type(message: &str) -> Option<String> {
    let number: u32 = message
        .rsplit_once("unknown dtype for tensor ")?
        .1
        .trim()
        .parse()
        .ok()?;
    let name = UNREAD_TYPES
        .iter()
        .find(|(of, _)| *of == number)
        .map(|(_, name)| (*name).to_owned());
    Some(name.unwrap_or_else(|| format!("number {number}")))
}

/// The shape that a model sees, of as many numbers as are stored.
fn stored_shape(key: &str, info: &TensorInfo, content: &Content) -> Option<Vec<usize>> {
    let count = |shape: &[usize]| shape.iter().try_fold(1_usize, |n, &side| n.checked_mul(side));
    let stored = info.shape.dims();
    let values = count(stored)?;
    let said = content.metadata.get(&format!("{SHAPE_KEY}{key}"));
    let said: Option<Vec<usize>> = said.and_then(|value| value.to_vec().ok()).and_then(|sides| {
        sides
            .iter()
            .map(|side| side.to_i32().ok().and_then(|side| usize::try_from(side).ok()))
            .collect()
    });
    Some(
        said.filter(|shape| count(shape) == Some(values))
            .unwrap_or_else(|| stored.to_vec()),
    )
}

fn entry(
    key: &str,
    info: &TensorInfo,
    shape: Vec<usize>,
    data_start: u64,
    file_bytes: u64,
) -> Result<Entry, CheckpointError> {
    let format = match info.ggml_dtype {
        GgmlDType::F32 => Format::Plain(DType::F32),
        GgmlDType::F16 => Format::Plain(DType::F16),
        GgmlDType::BF16 => Format::Plain(DType::BF16),
        kind => Format::Blocks(kind),
    };
    let values: usize = shape.iter().product();
    let bytes = format.bytes(values);
    let end = info.offset.checked_add(bytes as u64);
    let in_file = end
        .and_then(|end| end.checked_add(data_start))
        .is_some_and(|end| end <= file_bytes);
    if !in_file || !values.is_multiple_of(format.block()) || bytes < values / 8 {
        return Err(CheckpointError::OutOfRange {
            key: key.to_owned(),
            start: info.offset,
            end: end.unwrap_or(u64::MAX),
            data_bytes: file_bytes.saturating_sub(data_start),
        });
    }
    let dtype_name = format!("{:?}", info.ggml_dtype).to_uppercase();
    Ok(Entry {
        format: Some(format),
        dtype_name,
        shape,
        start: data_start + info.offset,
        bytes,
    })
}

/// Tensors may have unused bytes between them, but none in common.
fn check_overlaps(header: &Header) -> Result<(), CheckpointError> {
    let mut by_place: Vec<_> = header.entries.iter().collect();
    by_place.sort_by_key(|(_, entry)| (entry.start, entry.bytes));
    for pair in by_place.windows(2) {
        let [(first, before), (second, after)] = pair else {
            continue;
        };
        if before.start + before.bytes as u64 > after.start {
            return Err(CheckpointError::Overlap {
                first: (*first).clone(),
                second: (*second).clone(),
            });
        }
    }
    Ok(())
}
