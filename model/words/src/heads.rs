//! Single heads: a ratio of its own for one head, in place of its class's.
//!
//! A class owns several heads, and nothing says that they all do the same. Setting one of them alone shows what it
//! contributes; setting all but one shows what is missed without it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::WordsError;
use crate::mix::MAX_RATIO;

/// A ratio for one attention head, in every block and at every noise level. Written `3=0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeadRatio {
    head: usize,
    ratio: f32,
}

impl HeadRatio {
    /// `ratio` for the head of index `head`.
    ///
    /// # Errors
    /// Bad input for a ratio outside `0..=MAX_RATIO`.
    pub fn new(head: usize, ratio: f32) -> Result<Self, WordsError> {
        if (0.0..=MAX_RATIO).contains(&ratio) {
            // -0 would be printed with its sign.
            return Ok(Self {
                head,
                ratio: ratio.abs(),
            });
        }
        Err(WordsError::BadInput(format!(
            "ratio of head {head} is {ratio}: give 0 (off) to {MAX_RATIO}"
        )))
    }

    /// Index of the head, from 0.
    pub fn head(self) -> usize {
        self.head
    }

    /// Its ratio.
    pub fn ratio(self) -> f32 {
        self.ratio
    }
}

/// Puts single heads' ratios into a head mask.
///
/// # Shapes
/// `mask`: one value per head; heads beyond it are ignored, since [`check_head_ratios`] refuses them.
pub fn set_heads(mask: &mut [f32], single: &[HeadRatio]) {
    for one in single {
        if let Some(value) = mask.get_mut(one.head) {
            *value = one.ratio;
        }
    }
}

/// Refuses heads that a model does not have and heads that are given twice.
pub fn check_head_ratios(single: &[HeadRatio], heads: usize) -> Result<(), WordsError> {
    for (index, one) in single.iter().enumerate() {
        if one.head >= heads {
            return Err(WordsError::BadInput(format!(
                "head {} does not exist: this model has heads 0 to {}",
                one.head,
                heads.saturating_sub(1)
            )));
        }
        if single[..index].iter().any(|earlier| earlier.head == one.head) {
            return Err(WordsError::BadInput(format!(
                "head {} is given twice: keep one of them",
                one.head
            )));
        }
    }
    Ok(())
}

impl fmt::Display for HeadRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.head, self.ratio)
    }
}

impl FromStr for HeadRatio {
    type Err = WordsError;

    fn from_str(text: &str) -> Result<Self, WordsError> {
        let bad = || WordsError::BadInput(format!("head {text:?} is not head=ratio, such as 3=0.5"));
        let (head, ratio) = text.split_once('=').ok_or_else(bad)?;
        let head = head.trim().parse().map_err(|_| bad())?;
        Self::new(head, ratio.trim().parse().map_err(|_| bad())?)
    }
}

impl TryFrom<String> for HeadRatio {
    type Error = WordsError;

    fn try_from(text: String) -> Result<Self, WordsError> {
        text.parse()
    }
}

impl From<HeadRatio> for String {
    fn from(one: HeadRatio) -> Self {
        one.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_heads_override_their_class() {
        let single = ["1=0", "3=1.5"].map(|text| text.parse::<HeadRatio>().unwrap());
        let mut mask = [0.7, 0.7, 0.2, 0.2];
        set_heads(&mut mask, &single);
        assert_eq!(mask.map(|value| value.to_string()), ["0.7", "0", "0.2", "1.5"]);
        assert_eq!(single[1].to_string(), "3=1.5");
    }

    #[test]
    fn heads_that_make_no_sense_are_refused_in_one_line() {
        for text in ["", "3", "x=1", "-1=1", "3=2", "3=nan", "3=-0.1"] {
            let error = text.parse::<HeadRatio>().expect_err(text);
            assert!(
                error.is_bad_input() && error.to_string().lines().count() == 1,
                "{error}"
            );
        }
        let of = |text: &str| text.parse::<HeadRatio>().unwrap();
        assert!(check_head_ratios(&[of("0=1"), of("7=0")], 8).is_ok());
        assert!(check_head_ratios(&[of("8=1")], 8).is_err());
        assert!(check_head_ratios(&[of("2=1"), of("2=0")], 8).is_err());
    }
}
