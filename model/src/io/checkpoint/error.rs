//! What can be wrong with a checkpoint file.

use std::path::PathBuf;

use crate::error::ModelError;

/// A checkpoint that can't be read; each message is one line, and [`CheckpointError::at`] puts the file's name before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A pickle, which is a program rather than data.
    #[error("this is a PyTorch pickle, which can run programs when read; convert it to safetensors first")]
    Pickle,
    /// A large-file pointer in place of the file.
    #[error("this is a Git LFS pointer, not the file it points to; run `git lfs pull` in its repository")]
    LfsPointer,
    /// A GGUF file's header can't be used.
    #[error("this GGUF file can't be read: {reason}")]
    Gguf {
        /// Why.
        reason: String,
    },
    /// Numbers of a type that isn't read.
    #[error(
        "this GGUF file holds numbers of the type {kind}, which isn't read here; Q4_0 to Q8_0, Q2_K to Q6_K, F16, BF16 and F32 are"
    )]
    GgufType {
        /// The type's name.
        kind: String,
    },
    /// A factor of scaled weights that can't be applied.
    #[error("tensor {key} of scaled weights can't be applied: {reason}")]
    Scale {
        /// The tensor.
        key: String,
        /// Why.
        reason: String,
    },
    /// Fewer bytes than the length field at the start.
    #[error("not a safetensors file: {bytes} bytes long, too short for a header; copy or download it again")]
    TooShort {
        /// Bytes of the file.
        bytes: u64,
    },
    /// The header's length says more than there is.
    #[error(
        "not a complete safetensors file: its header would be {header_bytes} bytes long and the file has {file_bytes}; copy or download it again"
    )]
    HeaderBeyondFile {
        /// The length that the file begins with.
        header_bytes: u64,
        /// Bytes of the file.
        file_bytes: u64,
    },
    /// A header that no checkpoint needs.
    #[error("not a safetensors file: a header of {header_bytes} bytes, more than any checkpoint needs")]
    HeaderTooLong {
        /// The length that the file begins with.
        header_bytes: u64,
    },
    /// The header isn't the JSON that it should be.
    #[error("not a safetensors file: its header can't be read ({reason}); copy or download it again")]
    HeaderSyntax {
        /// The parser's words.
        reason: String,
    },
    /// One name for two tensors.
    #[error("the header names {key} twice; the program that wrote this safetensors file is at fault")]
    DuplicateKey {
        /// The name.
        key: String,
    },
    /// A dtype outside of what is supported.
    #[error("tensor {key} has dtype {dtype}; f32, f16 and bf16 are supported: convert it")]
    Dtype {
        /// The tensor.
        key: String,
        /// Its dtype as written.
        dtype: String,
    },
    /// Offsets that don't fit the file.
    #[error(
        "tensor {key} lies at bytes {start} to {end} of {data_bytes}; the file is damaged or cut off: copy or download it again"
    )]
    OutOfRange {
        /// The tensor.
        key: String,
        /// First byte of the data section.
        start: u64,
        /// Byte after the last.
        end: u64,
        /// Bytes of the data section.
        data_bytes: u64,
    },
    /// Offsets that don't fit shape and dtype.
    #[error(
        "tensor {key} of shape {shape:?} is given {bytes} bytes, which doesn't fit its dtype {dtype}; the safetensors file is damaged"
    )]
    Size {
        /// The tensor.
        key: String,
        /// Its shape.
        shape: Vec<u64>,
        /// Its dtype as written.
        dtype: String,
        /// Bytes between its offsets.
        bytes: u64,
    },
    /// Two tensors share bytes.
    #[error("tensors {first} and {second} overlap; the file is damaged")]
    Overlap {
        /// The earlier one.
        first: String,
        /// The later one.
        second: String,
    },
    /// Bytes that belong to no tensor.
    #[error("{bytes} bytes {place} belong to no tensor; the safetensors file is damaged: copy or download it again")]
    Hole {
        /// How many.
        bytes: u64,
        /// Where, in words.
        place: String,
    },
    /// The file was written to, or cut off, after it was opened.
    #[error("the file has changed since it was opened; load the model again")]
    Changed,
    /// NaN or infinity among the weights.
    #[error("tensor {key} holds NaN or infinite values; the checkpoint is damaged or its training diverged")]
    NotFinite {
        /// The tensor.
        key: String,
    },
    /// A sharded checkpoint's index can't be used.
    #[error("the index of a sharded checkpoint can't be used: {reason}")]
    Index {
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor that the model needs.
    #[error("tensor {key} is missing")]
    Missing {
        /// The tensor.
        key: String,
    },
}

impl CheckpointError {
    /// The crate's error, with the file before the message.
    pub fn at(self, file: &str) -> ModelError {
        ModelError::BadInput(format!("{file}: {self}"))
    }
}

/// The error of a file that can't be opened: one that isn't there is the caller's mistake, a failing disk is not.
pub(super) fn opening(path: PathBuf, source: std::io::Error) -> ModelError {
    use std::io::ErrorKind;
    match source.kind() {
        ErrorKind::NotFound => ModelError::BadInput(format!("{}: no such checkpoint file", path.display())),
        ErrorKind::IsADirectory => ModelError::BadInput(format!("{}: is a folder; name a file in it", path.display())),
        ErrorKind::InvalidInput | ErrorKind::FileTooLarge => {
            ModelError::BadInput(format!("{}: {source}", path.display()))
        }
        ErrorKind::PermissionDenied => ModelError::BadInput(format!(
            "{}: may not be read by this user; check its permissions",
            path.display()
        )),
        _ => ModelError::Io { path, source },
    }
}
