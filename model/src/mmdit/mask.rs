//! Head-wise masking: which attention heads a degradation class owns, and how strongly they speak.

use std::ops::Range;

use candle_core::{Result, Tensor};
use mdsd3_words::Mix;

/// The heads that each class owns: classes in order, `heads / classes` each; left-over heads belong to nobody.
pub fn class_heads(classes: usize, heads: usize) -> Vec<Range<usize>> {
    let each = heads.checked_div(classes).unwrap_or(0);
    (0..classes).map(|c| c * each..(c + 1) * each).collect()
}

/// The mask of a mix: the class's ratio on its heads, 0 on heads that nobody owns. Real-valued: 0 off, 1 as trained.
///
/// # Shapes
/// Result: `heads` values.
pub fn head_mask(mix: &Mix, classes: &[String], heads: usize) -> Vec<f32> {
    let mut mask = vec![0.0; heads];
    for (class, range) in classes.iter().zip(class_heads(classes.len(), heads)) {
        mask[range].fill(mix.ratio(class));
    }
    mask
}

/// Spreads a head mask over the channels of its heads, ready to multiply context tokens.
///
/// # Shapes
/// `mask: [batch, heads]`, result `[batch, 1, heads * head_dim]`.
pub(super) fn per_channel(mask: &Tensor, head_dim: usize) -> Result<Tensor> {
    let (batch, heads) = mask.dims2()?;
    mask.unsqueeze(2)?
        .broadcast_as((batch, heads, head_dim))?
        .reshape((batch, 1, heads * head_dim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_that_do_not_divide_belong_to_nobody() {
        let classes = ["rain", "haze", "noise"].map(String::from);
        let mix: Mix = "rain=1,noise=0.5".parse().unwrap();
        assert_eq!(head_mask(&mix, &classes, 7), [1.0, 1.0, 0.0, 0.0, 0.5, 0.5, 0.0]);
    }
}
