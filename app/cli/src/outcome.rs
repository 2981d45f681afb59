//! How the program ends: exit 0, 1 for a failure, 2 for bad input; one line on stderr says why.

use std::borrow::Cow;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use mdsd3_engine::EngineError;
use mdsd3_render::RenderError;
use mdsd3_words::WordsError;
use mdsd3_words::error::one_line;

const FAILURE: u8 = 1;
const BAD_INPUT: u8 = 2;

/// Ends with a command's result.
pub fn report(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if is_closed_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    complain(&in_words(&error));
    let is_bad_input = error.chain().any(|cause| {
        cause.downcast_ref().is_some_and(WordsError::is_bad_input)
            || cause.downcast_ref().is_some_and(RenderError::is_bad_input)
            || cause.downcast_ref().is_some_and(EngineError::is_bad_input)
    });
    ExitCode::from(if is_bad_input { BAD_INPUT } else { FAILURE })
}

/// What went wrong and why. An error whose message holds its cause already doesn't say it twice.
fn in_words(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

/// Ends with clap's message: help and version as they are, mistakes as one line.
pub fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A reader such as `head` may close the pipe early; that is no failure.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    complain(&usage_message(&error.to_string()));
    ExitCode::from(BAD_INPUT)
}

/// Prints a line to stdout.
pub fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", printable(line))?)
}

/// A text without what would steer a terminal: names of files and texts out of images may hold anything.
pub fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    // As JSON writes it, which much of what is printed is.
    let shown = |c: char| {
        if steers(c) {
            format!("\\u{:04x}", u32::from(c))
        } else {
            c.to_string()
        }
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Prints what there is to say of a photo to stderr.
pub fn note(photo: &str, notes: &[String]) {
    for note in notes {
        // Without stderr there is nobody to tell.
        let _ = writeln!(
            std::io::stderr(),
            "{}",
            printable(&one_line(&format!("note: {photo}: {note}")))
        );
    }
}

fn complain(message: &str) {
    // Without stderr there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "mdsd3: {}", printable(&one_line(message)));
}

/// What clap says before its usage lines, without its "error:".
fn usage_message(text: &str) -> String {
    let message = text.strip_prefix("error: ").unwrap_or(text);
    let cut = ["\nUsage:", "\nFor more information"]
        .iter()
        .filter_map(|mark| message.find(mark))
        .min();
    let message = &message[..cut.unwrap_or(message.len())];
    let lines: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    format!("{} (mdsd3 --help lists the options)", lines.join(" "))
}

/// Whether the reader of stdout has gone away, as in `mdsd3 info model | head -1`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printed_steers_the_terminal() {
        let name = "\u{1b}]0;title\u{7}\u{1b}[31mred\u{9b}2J\r雨.png\n\tnext";
        let shown = printable(name);
        assert_eq!(
            shown,
            "\\u001b]0;title\\u0007\\u001b[31mred\\u009b2J\\u000d雨.png\n\tnext"
        );
        assert!(matches!(printable("雨 plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_cause_is_said_once() {
        let source = std::io::Error::other("no room");
        let error = anyhow::Error::from(WordsError::Io {
            path: "a.png".into(),
            source,
        });
        assert_eq!(in_words(&error), "a.png: no room");
        assert_eq!(in_words(&error.context("not written")), "not written: a.png: no room");
    }

    #[test]
    fn clap_mistakes_become_one_line() {
        let text = "error: the following required arguments were not provided:\n  <PHOTO>\n\nUsage: mdsd3 degrade\n\nFor more information, try '--help'.\n";
        let message = usage_message(text);
        assert_eq!(
            message,
            "the following required arguments were not provided: <PHOTO> (mdsd3 --help lists the options)"
        );
    }
}
