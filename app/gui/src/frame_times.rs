//! How long frames take, for measurements: with `MDSD3_FRAME_TIMES` set the studio says so when it closes.

use std::fmt;

/// The variable that asks for it.
const VARIABLE: &str = "MDSD3_FRAME_TIMES";

/// Seconds that the processor spent on each frame, apart for frames while a mix runs.
#[derive(Debug, Default)]
pub(crate) struct FrameTimes {
    mixing_secs: Vec<f32>,
    idle_secs: Vec<f32>,
}

impl FrameTimes {
    /// A record, if one is asked for.
    pub fn if_asked_for() -> Option<Self> {
        std::env::var_os(VARIABLE).map(|_| Self::default())
    }

    /// Takes in a frame.
    pub fn push(&mut self, secs: f32, is_mixing: bool) {
        if is_mixing {
            self.mixing_secs.push(secs);
        } else {
            self.idle_secs.push(secs);
        }
    }
}

impl fmt::Display for FrameTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, secs) in [("mixing", &self.mixing_secs), ("idle", &self.idle_secs)] {
            let ms = |share| 1e3 * quantile(secs, share);
            writeln!(
                f,
                "{name}: {} frames, {:.1} ms in the middle, 99 % within {:.1} ms, {:.1} ms at most",
                secs.len(),
                ms(0.5),
                ms(0.99),
                ms(1.0)
            )?;
        }
        Ok(())
    }
}

/// The value that `share` of all values do not exceed; 0 without any.
fn quantile(values: &[f32], share: f32) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let rank = (sorted.len() as f32 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<f32> = (1..=100_u8).rev().map(f32::from).collect();
        let found = [0.0, 0.5, 0.99, 1.0].map(|share| quantile(&values, share) as u32);
        assert_eq!(found, [1, 50, 99, 100]);
        assert_eq!(quantile(&[], 0.5).to_bits(), 0);
    }
}
