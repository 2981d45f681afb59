//! The one error type of this crate.

use std::path::PathBuf;

use mdsd3_words::WordsError;
use mdsd3_words::mix::MixError;

/// Everything that can go wrong in this crate; each message is one line that says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The input is at fault, and the message says how to mend it.
    #[error("{0}")]
    BadInput(String),
    /// A description is wrong.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl ModelError {
    /// What a model's builder says of the tensors that it was given, which are at fault; `name` says where they are from. Its
    /// first line: with `RUST_BACKTRACE` set, candle's errors carry a backtrace in their message.
    pub(crate) fn in_tensors(name: &str, error: &candle_core::Error) -> Self {
        let message = error.to_string();
        Self::BadInput(format!("{name}: {}", message.lines().next().unwrap_or_default()))
    }

    /// Whether the caller's input is at fault (exit code 2) rather than the machine or the program (exit code 1).
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::BadInput(_) => true,
            Self::Words(error) => error.is_bad_input(),
            Self::Io { .. } | Self::Tensor(_) => false,
        }
    }
}

impl From<MixError> for ModelError {
    fn from(error: MixError) -> Self {
        Self::Words(error.into())
    }
}
