//! The forms against each other.

use half::bf16;

use super::*;
use crate::sampler::noise::gaussian;

/// Values between the rows of sums, more than a tile takes.
const APART: usize = COLS + 5;
/// Relative to the largest sum: the forms add up in different orders.
const TOLERANCE: f32 = 1e-5;

type Operands<'a> = (&'a [u32], usize, &'a [u32]);
type Sums<'a> = (&'a mut [f32], usize, usize);

/// Compares a form with the plain one for every number of rows, from a start and onto what is there.
fn agrees<T: Real>(form: impl Fn(Operands, Sums, usize, Start)) {
    let words = 37;
    let values = gaussian(5, 0, 0, (ROWS * STRIDE + words * COLS) * T::PER_WORD);
    let values: Vec<T> = values.into_iter().map(T::narrow).collect();
    let mut packed = vec![0; values.len() / T::PER_WORD];
    super::super::words_into(&values, &mut packed);
    let (left, panel) = packed.split_at(ROWS * STRIDE);
    let begin = gaussian(6, 0, 0, ROWS * APART);
    for rows in 1..=ROWS {
        for used in [1, 16, 17, COLS] {
            for start in [Start::From(&begin[..COLS]), Start::Keep] {
                let before = &begin[..(rows - 1) * APART + COLS];
                let (mut expected, mut sums) = (before.to_vec(), before.to_vec());
                plain::<T>((left, words, panel), (&mut expected, APART, rows), start);
                form((left, words, panel), (&mut sums, APART, rows), used, start);
                let scale = expected.iter().fold(0f32, |m, x| m.max(x.abs()));
                for (i, (a, b)) in sums.iter().zip(&expected).enumerate() {
                    let (row, column) = (i / APART, i % APART);
                    let exact = column >= COLS;
                    assert!(
                        (used..COLS).contains(&column) || (a - b).abs() <= if exact { 0.0 } else { TOLERANCE * scale },
                        "row {row} of {rows}, column {column} of {used}: {a}, {b}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_form_that_this_processor_has_equals_the_plain_one() {
    if medium::supports() {
        agrees::<f32>(medium::tile::<f32>);
        agrees::<bf16>(medium::tile::<bf16>);
    }
    if wide::supports::<f32>() {
        agrees::<f32>(|operands, sums, used, start| {
            wide::tile::<f32>(operands, sums, used <= COLS / 2, start);
        });
    }
    if wide::supports::<bf16>() {
        agrees::<bf16>(|operands, sums, used, start| {
            wide::tile::<bf16>(operands, sums, used <= COLS / 2, start);
        });
    }
}
