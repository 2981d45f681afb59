//! Messages to the user: banners where something happened, and the log that keeps all of them.

use crate::commands::Command;

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the record.
    Info,
    /// Something succeeded.
    Success,
    /// Something deserves attention.
    Warning,
    /// Something failed.
    Error,
}

/// What a problem is about. The next success of the same takes its message off the viewport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Opening photos and other files.
    Opening,
    /// Loading a model.
    Model,
    /// Saving files.
    Saving,
}

/// A message over the viewport.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// How much it matters; errors stay until dismissed.
    pub level: Level,
    /// One line that says what, where and what to do.
    pub message: String,
    /// What it is about, when the next success makes it moot.
    pub topic: Option<Topic>,
    /// What the message's button does, if it has one.
    pub action: Option<Command>,
    /// What that button says.
    pub action_label: &'static str,
    /// When it appeared, in seconds since the studio opened.
    pub since_secs: f64,
}

impl Notice {
    /// Seconds that messages other than errors stay.
    const SHOWN_SECS: f64 = 6.0;

    /// Whether it has been shown long enough.
    pub fn is_over(&self, now_secs: f64) -> bool {
        self.level < Level::Warning && now_secs - self.since_secs > Self::SHOWN_SECS
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// Seconds since the studio opened.
    pub at_secs: f64,
    /// How much it matters.
    pub level: Level,
    /// The line.
    pub message: String,
}

/// All messages, oldest first; the oldest go when it is full.
#[derive(Debug, Default)]
pub struct Log {
    entries: std::collections::VecDeque<LogEntry>,
    dropped: u64,
    unread_errors: usize,
}

impl Log {
    /// Lines kept; enough for a day of mixing, little enough to draw.
    const CAPACITY: usize = 2000;

    /// Adds a line.
    pub fn push(&mut self, at_secs: f64, level: Level, message: impl Into<String>) {
        if self.entries.len() == Self::CAPACITY {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.unread_errors += usize::from(level == Level::Error);
        self.entries.push_back(LogEntry {
            at_secs,
            level,
            message: message.into(),
        });
    }

    /// The lines, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &LogEntry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// The number of the oldest line, counted from the studio's start: what tells a line from the others while old ones go.
    pub fn first_number(&self) -> u64 {
        self.dropped
    }

    /// Errors since the log was last looked at.
    pub fn unread_errors(&self) -> usize {
        self.unread_errors
    }

    /// Called while the log is on screen.
    pub fn mark_read(&mut self) {
        self.unread_errors = 0;
    }

    /// All lines as text, for the clipboard.
    pub fn to_text(&self) -> String {
        let line = |entry: &LogEntry| format!("{} {:?} {}\n", clock(entry.at_secs), entry.level, entry.message);
        self.entries.iter().map(line).collect()
    }
}

/// Seconds since the start as `m:ss.s`.
pub fn clock(secs: f64) -> String {
    let tenths = (secs.max(0.0) * 10.0).round() as u64;
    format!("{}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_newest_lines_and_counts_unread_errors() {
        let mut log = Log::default();
        for index in 0..Log::CAPACITY + 3 {
            log.push(
                0.0,
                if index < 2 { Level::Error } else { Level::Info },
                format!("line {index}"),
            );
        }
        assert_eq!(log.entries().len(), Log::CAPACITY);
        assert_eq!(log.first_number(), 3);
        assert_eq!(
            log.entries().next().map(|entry| entry.message.clone()),
            Some("line 3".to_owned())
        );
        assert_eq!(log.unread_errors(), 2);
        log.mark_read();
        assert_eq!(log.unread_errors(), 0);
    }

    #[test]
    fn the_clock_reads_minutes_seconds_tenths() {
        assert_eq!(clock(0.0), "0:00.0");
        assert_eq!(clock(61.25), "1:01.3");
    }
}
