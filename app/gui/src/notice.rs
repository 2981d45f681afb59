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

/// What is said to the user.
#[derive(Debug, Default)]
pub struct Messages {
    /// Messages over the viewport, oldest first.
    pub notices: Vec<Notice>,
    /// All messages.
    pub log: Log,
    now_secs: f64,
}

impl Messages {
    /// Messages over the viewport at most: more hide the image that they are about, and the log has them all.
    const MOST_NOTICES: usize = 3;

    /// Lets time pass: takes off what was shown long enough.
    pub fn tick(&mut self, now_secs: f64) {
        self.now_secs = now_secs;
        self.notices.retain(|notice| !notice.is_over(now_secs));
    }

    /// Seconds until [`Self::tick`] may have something to take off.
    pub fn wake_after_secs(&self) -> Option<f64> {
        let passes = |notice: &Notice| notice.level < Level::Warning;
        self.notices.iter().any(passes).then_some(1.0)
    }

    /// Keeps a message in the log alone.
    pub fn record(&mut self, level: Level, message: impl Into<String>) {
        self.log.push(self.now_secs, level, message);
    }

    /// Shows a message over the viewport and keeps it in the log.
    pub fn notify(&mut self, level: Level, message: impl Into<String>, action: Option<(Command, &'static str)>) {
        let message = sentence_case(&message.into());
        self.record(level, message.clone());
        self.notices.retain(|notice| notice.message != message);
        let (action, action_label) = action.map_or((None, ""), |(command, label)| (Some(command), label));
        self.notices.push(Notice {
            level,
            message,
            topic: None,
            action,
            action_label,
            since_secs: self.now_secs,
        });
        if self.notices.len() > Self::MOST_NOTICES {
            self.notices.remove(0);
        }
    }

    /// Shows a problem until it is dismissed or `topic` succeeds.
    pub fn problem(&mut self, topic: Topic, message: String, action: Option<(Command, &'static str)>) {
        self.notify(Level::Error, message, action);
        if let Some(notice) = self.notices.last_mut() {
            notice.topic = Some(topic);
        }
    }

    /// Takes problems off the viewport that a success has made moot.
    pub fn succeeded(&mut self, topic: Topic) {
        self.notices.retain(|notice| notice.topic != Some(topic));
    }

    /// Takes a message off the viewport.
    pub fn dismiss(&mut self, index: usize) {
        if index < self.notices.len() {
            self.notices.remove(index);
        }
    }
}

/// A message as a sentence: engine messages begin in lower case, since the command line puts "error:" before them. A first
/// word that is a file or a setting keeps its spelling.
pub fn sentence_case(message: &str) -> String {
    let is_word = message
        .split(' ')
        .next()
        .is_some_and(|word| word.chars().all(|letter| letter.is_ascii_lowercase()));
    let mut letters = message.chars();
    match letters.next() {
        Some(first) if is_word => first.to_ascii_uppercase().to_string() + letters.as_str(),
        _ => message.to_owned(),
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

    #[test]
    fn messages_go_by_themselves_unless_they_are_errors() {
        let mut messages = Messages::default();
        messages.tick(1.0);
        messages.notify(Level::Success, "Saved", None);
        messages.notify(Level::Error, "Broken", None);
        messages.tick(20.0);
        assert_eq!(messages.notices.len(), 1);
        messages.dismiss(0);
        messages.dismiss(7);
        assert!(messages.notices.is_empty());
    }

    #[test]
    fn the_same_message_is_shown_once_and_never_more_than_three() {
        let mut messages = Messages::default();
        for index in 0..10 {
            messages.notify(Level::Error, format!("Problem {}", index % 5), None);
        }
        assert_eq!(messages.notices.len(), 3);
    }

    #[test]
    fn messages_begin_with_a_capital_unless_they_begin_with_a_name() {
        assert_eq!(sentence_case("the model is missing"), "The model is missing");
        assert_eq!(sentence_case("photo.png: no such file"), "photo.png: no such file");
        assert_eq!(sentence_case("x: too small"), "x: too small");
        assert_eq!(sentence_case(""), "");
    }
}
