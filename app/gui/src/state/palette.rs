//! The command palette's behaviour: what is typed, what matches, what is chosen.

use crate::commands::Command;

/// An open palette.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Palette {
    /// What was typed.
    pub query: String,
    selected: usize,
}

impl Palette {
    /// The commands that match, best first; all in menu order while nothing is typed.
    pub fn matches(&self) -> Vec<Command> {
        let query = self.query.trim().to_lowercase();
        let mut scored: Vec<(u32, Command)> = Command::all()
            .filter(|command| *command != Command::ShowPalette)
            .filter_map(|command| Some((score(command, &query)?, command)))
            .collect();
        // Stable: equals stay in menu order.
        scored.sort_by_key(|(score, _)| *score);
        scored.into_iter().map(|(_, command)| command).collect()
    }

    /// Place of the chosen command among [`Self::matches`].
    pub fn selected(&self) -> usize {
        self.selected.min(self.matches().len().saturating_sub(1))
    }

    /// The chosen command.
    pub fn chosen(&self) -> Option<Command> {
        self.matches().get(self.selected()).copied()
    }

    /// Moves the choice; at either end it goes on at the other.
    pub fn move_by(&mut self, delta: isize) {
        let count = self.matches().len().cast_signed();
        if count > 0 {
            self.selected = (self.selected().cast_signed() + delta)
                .rem_euclid(count)
                .cast_unsigned();
        }
    }

    /// To be called when the query has changed: the best match is chosen.
    pub fn query_changed(&mut self) {
        self.selected = 0;
    }
}

/// How badly a command matches, 0 being best; `None` when it does not.
///
/// The label counts before the heading. Within it a beginning of the label comes before a beginning of a word, that
/// before a part of a word, and that before letters in order.
fn score(command: Command, query: &str) -> Option<u32> {
    let label = command.label().to_lowercase();
    if query.is_empty() || label.starts_with(query) {
        return Some(0);
    }
    if label.split(' ').any(|word| word.starts_with(query)) {
        return Some(1);
    }
    if label.contains(query) {
        return Some(2);
    }
    let with_heading = format!("{} {label}", command.group().to_lowercase());
    let words_begin = |word: &str| with_heading.split(' ').any(|part| part.starts_with(word));
    if query.split_whitespace().all(words_begin) {
        return Some(3);
    }
    holds_in_order(&label, query).then_some(4)
}

/// Whether all letters of `query` are in `text` in their order.
fn holds_in_order(text: &str, query: &str) -> bool {
    let mut rest = text.chars();
    query
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .all(|letter| rest.any(|found| found == letter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panes;

    fn matches(query: &str) -> Vec<Command> {
        let palette = Palette {
            query: query.to_owned(),
            ..Palette::default()
        };
        palette.matches()
    }

    #[test]
    fn the_best_match_comes_first() {
        assert_eq!(matches("open")[0], Command::OpenPhoto);
        assert_eq!(matches("seed")[0], Command::NewSeed);
        assert_eq!(matches("  LOG ")[0], Command::Show(panes::log::PANE));
        assert_eq!(matches("100")[0], Command::ZoomOriginal);
        assert_eq!(matches("file quit")[0], Command::Quit);
        assert!(matches("svimg").contains(&Command::SaveImage));
        assert!(matches("no such command").is_empty());
        assert_eq!(
            matches("").len(),
            Command::all().count() - 1,
            "all but the palette itself"
        );
    }

    #[test]
    fn the_choice_goes_round_and_follows_the_query() {
        let mut palette = Palette::default();
        palette.move_by(-1);
        assert_eq!(palette.chosen(), matches("").last().copied());
        palette.move_by(1);
        assert_eq!(palette.selected(), 0);
        palette.move_by(3);
        palette.query = "redo".to_owned();
        palette.query_changed();
        assert_eq!(palette.chosen(), Some(Command::Redo));
        palette.query = "no such command".to_owned();
        palette.move_by(1);
        assert_eq!(palette.chosen(), None);
    }
}
