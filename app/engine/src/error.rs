//! The engine's one error type.

use std::path::{Path, PathBuf};

use mdsd3_model::error::ModelError;

/// Everything that can go wrong in this crate; each message is one line that says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The input is at fault, and the message says how to mend it.
    #[error("{0}")]
    BadInput(String),
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
    /// More requests were sent than the worker has taken; nothing was queued.
    #[error("the engine is busy: {waiting} requests are waiting already; stop the run or wait, then try again")]
    Busy {
        /// Requests in the queue.
        waiting: usize,
    },
    /// The worker thread is gone; only a new engine helps.
    #[error("the engine has stopped; restart the program")]
    Stopped,
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

impl EngineError {
    /// Whether the caller's input is at fault (exit code 2) rather than the machine or the program (exit code 1).
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::BadInput(_) => true,
            Self::Model(error) => error.is_bad_input(),
            _ => false,
        }
    }

    /// The message on one line: line breaks that a library put into its own message become "; ".
    pub fn one_line(&self) -> String {
        one_line(&self.to_string())
    }

    /// An error about reading `path`: a file that isn't there is the caller's mistake, a failing disk is not.
    pub(crate) fn reading(path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match source.kind() {
            ErrorKind::NotFound => Self::BadInput(format!("{}: no such file; check the path", path.display())),
            ErrorKind::IsADirectory => Self::BadInput(format!("{}: is a folder; name a file in it", path.display())),
            ErrorKind::PermissionDenied => Self::BadInput(format!(
                "{}: may not be read by this user; check its permissions",
                path.display()
            )),
            _ => Self::Io {
                path: path.to_owned(),
                source,
            },
        }
    }
}

/// Joins the lines of a message with "; ", so that it stays one line on a terminal and in the studio's log.
///
/// The tensor library appends a backtrace to its messages when `RUST_BACKTRACE` is set; it is left out.
pub fn one_line(message: &str) -> String {
    let is_backtrace = |line: &&str| line.starts_with("0: ") || line.starts_with("stack backtrace:");
    let lines = message.lines().map(str::trim).take_while(|line| !is_backtrace(line));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
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
