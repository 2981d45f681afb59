//! Ranges of the numbers that a file gives: checked where it is read, so that a slip is a message and not a crash far behind.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// Most steps of a training, and most of whatever is counted in steps.
pub const MOST_STEPS: usize = 1_000_000_000;

/// Refuses a number outside its range; what is no number is in none.
///
/// # Errors
/// One line with the key, its value and the range.
pub fn within<T: PartialOrd + Display>(key: &str, value: T, range: RangeInclusive<T>) -> Result<(), String> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(format!("{key} is {value}: give {} to {}", range.start(), range.end()))
}

/// [`within`] for several keys of one kind, the first that is outside.
///
/// # Errors
/// As [`within`].
pub fn all_within<T: PartialOrd + Display + Copy>(
    numbers: &[(&str, T)],
    range: RangeInclusive<T>,
) -> Result<(), String> {
    numbers
        .iter()
        .try_for_each(|(key, value)| within(key, *value, range.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_inside_and_what_is_no_number_is_outside() {
        for value in [1.0, 2.5, 4.0] {
            assert_eq!(within("shift", value, 1.0..=4.0), Ok(()));
        }
        for value in [0.999, 4.001, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let message = within("shift", value, 1.0..=4.0).expect_err("outside");
            assert_eq!(message, format!("shift is {value}: give 1 to 4"));
        }
        let message = all_within(&[("a", 1), ("b", 0)], 1..=9).expect_err("outside");
        assert_eq!(message, "b is 0: give 1 to 9");
    }
}
