//! The sRGB transfer function, both ways (IEC 61966-2-1), the same bits on every platform.

use std::sync::LazyLock;

use mdsd3_words::weather::Space;

/// Intervals of a table; between its points values are interpolated linearly, within 2e-5.
const INTERVALS: usize = 4096;

static LINEAR: LazyLock<Box<Table>> = LazyLock::new(|| table(exactly_linear));
static ENCODED: LazyLock<Box<Table>> = LazyLock::new(|| table(exactly_encoded));

/// Linear light of an encoded value. Values above 1 continue the curve, values below 0 are mirrored at 0.
#[inline]
pub fn linear_from_encoded(value: f32) -> f32 {
    through(&LINEAR, value, exactly_linear)
}

/// Encoded value of linear light; the inverse of [`linear_from_encoded`].
#[inline]
pub fn encoded_from_linear(value: f32) -> f32 {
    through(&ENCODED, value, exactly_encoded)
}

/// Takes many values from the other space to `to`.
pub(crate) fn convert(values: &mut [f32], to: Space) {
    let (table, exactly): (&Table, fn(f32) -> f32) = match to {
        Space::Linear => (&LINEAR, exactly_linear),
        Space::Srgb => (&ENCODED, exactly_encoded),
    };
    for value in values {
        *value = through(table, *value, exactly);
    }
}

fn exactly_linear(value: f32) -> f32 {
    if value <= 0.040_45 {
        value / 12.92
    } else {
        libm::powf((value + 0.055) / 1.055, 2.4)
    }
}

fn exactly_encoded(value: f32) -> f32 {
    if value <= 0.003_130_8 {
        12.92 * value
    } else {
        1.055 * libm::powf(value, 1.0 / 2.4) - 0.055
    }
}

/// Values at the ends of all intervals, and one more.
type Table = [f32; INTERVALS + 2];

fn table(function: fn(f32) -> f32) -> Box<Table> {
    Box::new(std::array::from_fn(|i| function(i as f32 / INTERVALS as f32)))
}

#[inline]
fn through(table: &Table, value: f32, exactly: fn(f32) -> f32) -> f32 {
    if (0.0..=1.0).contains(&value) {
        let at = value * INTERVALS as f32;
        let index = (at as usize).min(INTERVALS);
        let (below, above) = (table[index], table[index + 1]);
        return below + (above - below) * (at - index as f32);
    }
    beyond(table, value, exactly)
}

#[cold]
fn beyond(table: &Table, value: f32, exactly: fn(f32) -> f32) -> f32 {
    if value < 0.0 {
        -through(table, -value, exactly)
    } else {
        exactly(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the `colour` package: `colour.models.eotf_sRGB([0.02, 0.2, 0.5, 0.73536, 0.9])`.
    #[test]
    fn the_curve_is_that_of_the_standard() {
        let expected = [0.001_547_99, 0.033_104_77, 0.214_041_14, 0.500_0, 0.787_412_3];
        for (encoded, linear) in [0.02, 0.2, 0.5, 0.735_357, 0.9].into_iter().zip(expected) {
            assert!((linear_from_encoded(encoded) - linear).abs() < 2e-5, "{encoded}");
            assert!((encoded_from_linear(linear) - encoded).abs() < 4e-5, "{linear}");
        }
    }

    #[test]
    fn there_and_back_is_the_same_value_beyond_white_too() {
        for step in -200..=800 {
            let value = step as f32 / 400.0;
            let back = encoded_from_linear(linear_from_encoded(value));
            assert!((back - value).abs() < 1e-4, "{value} became {back}");
        }
    }
}
