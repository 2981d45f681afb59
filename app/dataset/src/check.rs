//! Keys and values of a plan: checked by name, so that a slip of the pen is found and not ignored.

use mdsd3_render::RenderError;
use mdsd3_words::error::one_line;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Refuses keys that are not among `known`, naming the nearest known one.
pub(super) fn check_keys(table: &Table, known: &[&str], place: &str) -> Result<(), RenderError> {
    let Some(unknown) = table.keys().find(|key| !known.contains(&key.as_str())) else {
        return Ok(());
    };
    let nearest = known
        .iter()
        .min_by_key(|key| edit_distance(unknown, key))
        .unwrap_or(&"");
    Err(bad(format!(
        "{place}: unknown key {unknown:?}; the nearest known key is {nearest:?}"
    )))
}

/// The value of a key, when it is there.
pub(super) fn get<T: DeserializeOwned>(table: &Table, key: &str, place: &str) -> Result<Option<T>, RenderError> {
    table
        .get(key)
        .map(|value| typed(value, &format!("{place}: {key}")))
        .transpose()
}

/// A value as the type that is wanted of it.
pub(super) fn typed<T: DeserializeOwned>(value: &Value, place: &str) -> Result<T, RenderError> {
    let wrong = |error: toml::de::Error| bad(format!("{place}: {}", one_line(error.message())));
    value.clone().try_into().map_err(wrong)
}

pub(super) fn bad(message: String) -> RenderError {
    RenderError::BadInput(message)
}

/// Edits from one word to another: letters put in, left out, replaced or swapped with their neighbour.
fn edit_distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut costs = vec![vec![0; to.len() + 1]; from.len() + 1];
    for i in 0..=from.len() {
        for j in 0..=to.len() {
            if i == 0 || j == 0 {
                costs[i][j] = i + j;
                continue;
            }
            let replaced = costs[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            costs[i][j] = replaced.min(costs[i - 1][j] + 1).min(costs[i][j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                costs[i][j] = costs[i][j].min(costs[i - 2][j - 2] + 1);
            }
        }
    }
    costs[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_names_its_nearest_neighbour() {
        let table: Table = toml::from_str("sceens = []").expect("TOML");
        let error = check_keys(&table, &["seeds", "scenes", "size"], "plan.toml").expect_err("unknown");
        assert!(
            error.is_bad_input() && error.to_string().contains("\"scenes\""),
            "{error}"
        );
    }
}
