//! The engine's one error type.

use mdsd3_model::error::ModelError;
use mdsd3_render::RenderError;
use mdsd3_words::WordsError;
use mdsd3_words::error::one_line;

/// Everything that can go wrong in this crate; each message is one line that says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A run, a dataset or a study failed.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// More requests were sent than the worker has taken; nothing was queued.
    #[error("the engine is busy: {waiting} requests are waiting already; stop the run or wait, then try again")]
    Busy {
        /// Requests in the queue.
        waiting: usize,
    },
    /// The worker thread is gone; only a new engine helps.
    #[error("the engine has stopped; restart the program")]
    Stopped,
}

impl From<ModelError> for EngineError {
    fn from(error: ModelError) -> Self {
        Self::Render(error.into())
    }
}

impl From<WordsError> for EngineError {
    fn from(error: WordsError) -> Self {
        Self::Render(error.into())
    }
}

impl EngineError {
    /// Whether the caller's input is at fault (exit code 2) rather than the machine or the program (exit code 1).
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::Render(error) if error.is_bad_input())
    }

    /// The message on one line: line breaks that a library put into its own message become "; ".
    pub fn one_line(&self) -> String {
        one_line(&self.to_string())
    }

    /// The input is at fault, and `message` says how to mend it.
    pub fn bad_input(message: String) -> Self {
        Self::Render(RenderError::BadInput(message))
    }

    /// A thread whose computation panicked, with its payload's words.
    pub(crate) fn panicked(message: String) -> Self {
        Self::Render(RenderError::Panicked { message })
    }

    /// The operating system refused a thread.
    pub(crate) fn thread(name: &'static str, source: std::io::Error) -> Self {
        Self::Render(RenderError::Thread { name, source })
    }
}
