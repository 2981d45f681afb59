//! Colour tables for spectra. All are perceptually uniform: equal steps in log power look like equal steps in colour.

use std::sync::OnceLock;

use colorgrad::Gradient;
use egui::Color32;
use serde::{Deserialize, Serialize};

/// Entries of a table; the shader interpolates between them.
pub const TABLE_LEN: usize = 256;

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum ColorMap {
    /// Black over red to yellow.
    #[default]
    Inferno,
    /// Violet over green to yellow.
    Viridis,
    /// Blue to yellow, made for colour-blind readers.
    Cividis,
}

impl ColorMap {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Inferno, Self::Viridis, Self::Cividis];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inferno => "Inferno",
            Self::Viridis => "Viridis",
            Self::Cividis => "Cividis",
        }
    }

    /// Its colours from the lowest to the highest value.
    pub fn table(self) -> &'static [Color32; TABLE_LEN] {
        static TABLES: OnceLock<[[Color32; TABLE_LEN]; 3]> = OnceLock::new();
        let tables = TABLES.get_or_init(|| {
            [
                sample(&colorgrad::preset::inferno()),
                sample(&colorgrad::preset::viridis()),
                sample(&colorgrad::preset::cividis()),
            ]
        });
        &tables[self as usize]
    }

    /// The colour of `share`, 0 (lowest) to 1 (highest); what lies outside takes the nearest end.
    pub fn color(self, share: f32) -> Color32 {
        let index = (share.clamp(0.0, 1.0) * (TABLE_LEN - 1) as f32).round() as usize;
        self.table()[index]
    }
}

/// Colours of signed values: blue at the lowest, dark grey at zero, orange at the highest. Both ends are equally bright, and
/// blue and orange stay distinct under the common forms of colour blindness.
pub fn difference_table() -> &'static [Color32; TABLE_LEN] {
    static TABLE: OnceLock<[Color32; TABLE_LEN]> = OnceLock::new();
    TABLE.get_or_init(|| {
        let zero = [44.0, 44.0, 44.0];
        let (negative, positive) = ([92.0, 190.0, 255.0], [255.0, 168.0, 66.0]);
        std::array::from_fn(|index| {
            let signed = index as f32 / (TABLE_LEN - 1) as f32 * 2.0 - 1.0;
            let end: [f32; 3] = if signed < 0.0 { negative } else { positive };
            let [r, g, b] = std::array::from_fn(|channel| egui::lerp(zero[channel]..=end[channel], signed.abs()) as u8);
            Color32::from_rgb(r, g, b)
        })
    })
}

/// The colour of a signed value between -`range` and `range`; what lies outside takes the nearest end.
pub fn difference_color(value: f32, range: f32) -> Color32 {
    let share = 0.5 + 0.5 * value / range.max(f32::MIN_POSITIVE);
    difference_table()[(share.clamp(0.0, 1.0) * (TABLE_LEN - 1) as f32).round() as usize]
}

fn sample(gradient: &impl Gradient) -> [Color32; TABLE_LEN] {
    std::array::from_fn(|index| {
        let [r, g, b, _] = gradient.at(index as f32 / (TABLE_LEN - 1) as f32).to_rgba8();
        Color32::from_rgb(r, g, b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_grows_brighter_throughout() {
        let luma = |color: Color32| {
            0.2126 * f32::from(color.r()) + 0.7152 * f32::from(color.g()) + 0.0722 * f32::from(color.b())
        };
        for map in ColorMap::ALL {
            let table = map.table();
            assert!(
                table.windows(2).all(|pair| luma(pair[1]) >= luma(pair[0]) - 1.0),
                "{}",
                map.name()
            );
            assert!(luma(table[TABLE_LEN - 1]) - luma(table[0]) > 150.0);
        }
    }

    #[test]
    fn differences_are_dark_at_zero_and_as_bright_at_both_ends() {
        let luma = |color: Color32| u32::from(color.r()) * 3 + u32::from(color.g()) * 6 + u32::from(color.b());
        let [low, zero, high] = [-9.0, 0.0, 9.0].map(|value| luma(difference_color(value, 9.0)));
        assert!(low > 3 * zero && high > 3 * zero && low.abs_diff(high) * 6 < low);
        assert_eq!(difference_color(99.0, 9.0), difference_color(9.0, 9.0));
    }

    #[test]
    fn values_outside_take_the_ends() {
        assert_eq!(ColorMap::Viridis.color(-3.0), ColorMap::Viridis.table()[0]);
        assert_eq!(ColorMap::Viridis.color(7.0), ColorMap::Viridis.table()[TABLE_LEN - 1]);
    }
}
