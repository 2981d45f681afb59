//! The error of runs, and of the datasets and studies that are made of runs.

use std::path::{Path, PathBuf};

use mdsd3_model::error::ModelError;
use mdsd3_words::WordsError;
use mdsd3_words::error::one_line;

/// Everything that can go wrong between a model and its images; each message is one line that says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The input is at fault, and the message says how to mend it.
    #[error("{0}")]
    BadInput(String),
    /// A description is wrong.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// The model crate reported an error.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// An image or a table could not be encoded.
    #[error("{path}: could not be encoded: {reason}")]
    Encode {
        /// The target file.
        path: PathBuf,
        /// The encoder's words.
        reason: String,
    },
    /// A computation panicked: a defect of the program.
    #[error("internal error: {message}; please report it with what you did")]
    Panicked {
        /// The panic message.
        message: String,
    },
    /// The operating system refused a thread.
    #[error("the thread {name} could not be started: {source}")]
    Thread {
        /// The thread's name.
        name: &'static str,
        /// The reason.
        source: std::io::Error,
    },
}

/// An error about input.
pub(crate) fn bad(message: String) -> RenderError {
    RenderError::BadInput(message)
}

impl RenderError {
    /// Whether the caller's input is at fault (exit code 2) rather than the machine or the program (exit code 1).
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::BadInput(_) => true,
            Self::Words(error) => error.is_bad_input(),
            Self::Model(error) => error.is_bad_input(),
            _ => false,
        }
    }

    /// The message on one line: line breaks that a library put into its own message become "; ".
    pub fn one_line(&self) -> String {
        one_line(&self.to_string())
    }

    /// An error about reading `path`: a file that isn't there is the caller's mistake, a failing disk is not.
    pub fn reading(path: &Path, source: std::io::Error) -> Self {
        WordsError::reading(path, source).into()
    }
}
