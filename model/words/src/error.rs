//! The error of this crate, and messages on one line.

use std::any::Any;
use std::path::{Path, PathBuf};

use crate::mix::MixError;

/// What can be wrong with a description; each message is one line that says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WordsError {
    /// The input is at fault, and the message says how to mend it.
    #[error("{0}")]
    BadInput(String),
    /// A file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
}

impl WordsError {
    /// Whether the caller's input is at fault (exit code 2) rather than the machine or the program (exit code 1).
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::BadInput(_))
    }

    /// An error about reading `path`: a file that isn't there is the caller's mistake, a failing disk is not.
    pub fn reading(path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match source.kind() {
            ErrorKind::NotFound => Self::BadInput(format!("{}: no such file; check the path", path.display())),
            ErrorKind::IsADirectory => Self::BadInput(format!("{}: is a folder; name a file in it", path.display())),
            ErrorKind::PermissionDenied => Self::BadInput(format!(
                "{}: may not be read by this user; check its permissions",
                path.display()
            )),
            // Not a regular file, too large, or no text.
            ErrorKind::InvalidInput | ErrorKind::FileTooLarge | ErrorKind::InvalidData => {
                Self::BadInput(format!("{}: {source}", path.display()))
            }
            _ => Self::Io {
                path: path.to_owned(),
                source,
            },
        }
    }
}

impl From<MixError> for WordsError {
    fn from(error: MixError) -> Self {
        Self::BadInput(error.to_string())
    }
}

/// An error about input, for checks in this crate.
pub(crate) fn bad(message: String) -> WordsError {
    WordsError::BadInput(message)
}

/// Joins the lines of a message with "; ", so that it stays one line on a terminal and in the studio's log.
///
/// The tensor library appends a backtrace to its messages when `RUST_BACKTRACE` is set; it is left out.
pub fn one_line(message: &str) -> String {
    let is_backtrace = |line: &&str| line.starts_with("0: ") || line.starts_with("stack backtrace:");
    let lines = message.lines().map(str::trim).take_while(|line| !is_backtrace(line));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// What a panic said, on one line; its payload is text unless a library made it something else.
pub fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    one_line(text.unwrap_or("a panic without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_one_line_without_their_backtrace() {
        assert_eq!(
            one_line("shape mismatch\n  left [1]\n\n   0: candle_core::bt\n   1: main"),
            "shape mismatch; left [1]"
        );
    }
}
