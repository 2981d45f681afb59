//! Matrix products whose operands are gathered while they are packed: convolutions without their columns in memory,
//! attention without repacking, bf16 without a copy in f32.
//!
//! The scheme is Goto and van de Geijn's (2008, "Anatomy of high-performance matrix multiplication"): a block of the right
//! operand stays in the second-level cache, a few rows of the left one in the first, and a tile of results in registers.
//! Operands are packed as 32-bit words along the inner dimension: one f32, or two neighbouring bf16, which AVX-512's bf16
//! dot product takes as one.
//!
//! | file | what |
//! |---|---|
//! | this one | sizes, and the product over blocks |
//! | `micro` | one tile of results in registers |
//! | `pack` | right operands to panels |

mod micro;
mod pack;

use std::cell::RefCell;

use rayon::prelude::*;

use super::real::Real;
pub use micro::{Start, tile};
pub use pack::{pack_columns, pack_rows};

/// Rows of a register tile.
pub const ROWS: usize = 12;
/// Columns of a register tile and of a panel: two AVX-512 registers.
pub const COLS: usize = 32;
/// Words of the inner dimension that are multiplied at a time, so that the left rows stay in the first-level cache.
pub const BLOCK: usize = 384;
/// Words between left rows. Not a power of two apart, which would put all of them into the same cache sets.
pub const STRIDE: usize = BLOCK + 16;
/// Columns of a block of the right operand: with [`BLOCK`] words each they take 0.4 MB of the second-level cache.
const WIDE: usize = 256;
/// Rows that are taken at a time, so that their sums stay in the cache: 3 MB.
const GROUP: usize = 256 * ROWS;
/// Row tiles per task at least.
const TASK: usize = 4;

/// The left operand: rows that are copied piece by piece, from wherever their values are.
pub trait Rows<T>: Sync {
    /// Copies the words of a row from word `from` on; missing ones are zeros.
    fn copy(&self, row: usize, from: usize, into: &mut [u32]);
}

/// Rows of a matrix, `stride` values apart.
pub struct Matrix<'a, T> {
    pub data: &'a [T],
    pub stride: usize,
}

impl<T: Real> Rows<T> for Matrix<'_, T> {
    fn copy(&self, row: usize, from: usize, into: &mut [u32]) {
        let start = row * self.stride + from * T::PER_WORD;
        words_into(&self.data[start..start + into.len() * T::PER_WORD], into);
    }
}

/// Copies values as words.
#[inline]
pub fn words_into<T: Real>(values: &[T], into: &mut [u32]) {
    assert_eq!(values.len(), into.len() * T::PER_WORD, "whole words");
    // SAFETY: both formats are plain numbers without padding, and the lengths in bytes were just found equal. Value by value
    // the compiler does not see that this is a copy of memory.
    #[allow(unsafe_code)]
    unsafe {
        std::ptr::copy_nonoverlapping(
            values.as_ptr().cast::<u8>(),
            into.as_mut_ptr().cast::<u8>(),
            size_of_val(into),
        );
    }
}

/// Values of f32 as the words that they are.
pub fn words(values: &[f32]) -> &[u32] {
    // SAFETY: f32 and u32 have the same size and alignment, and every pattern of bits is a value of both.
    #[allow(unsafe_code)]
    unsafe {
        std::slice::from_raw_parts(values.as_ptr().cast(), values.len())
    }
}

thread_local! {
    /// Left rows of the tile a thread works on.
    static LEFT: RefCell<Vec<u32>> = RefCell::new(vec![0; ROWS * STRIDE]);
    /// Panels of the product that was started on a thread.
    static RIGHT: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    /// Results in f32 of a product that is stored in another format.
    static SUMS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with a buffer of a thread, grown to `len` values; a nested use gets a new one.
fn with_buffer<V: Clone + Default, R>(
    buffer: &'static std::thread::LocalKey<RefCell<Vec<V>>>,
    len: usize,
    f: impl FnOnce(&mut [V]) -> R,
) -> R {
    let mut taken = buffer.take();
    if taken.len() < len {
        taken.resize(len, V::default());
    }
    let result = f(&mut taken[..len]);
    buffer.replace(taken);
    result
}

/// `out = bias + left rightᵀ`, threaded.
///
/// # Shapes
/// `left`: `rows` rows of `inner` values, `right: [columns, inner]`, `bias: [columns]`, `out: [rows, columns]`; `inner` is a
/// whole number of words.
pub fn product<T: Real>(left: &impl Rows<T>, right: &[T], inner: usize, bias: Option<&[T]>, out: &mut [T]) {
    assert_eq!(inner % T::PER_WORD, 0, "the inner dimension is a whole number of words");
    let (columns, words) = (right.len() / inner.max(1), inner / T::PER_WORD);
    let mut start = vec![0f32; columns.next_multiple_of(COLS)];
    if let Some(bias) = bias {
        start.iter_mut().zip(bias).for_each(|(s, b)| *s = b.wide());
    }
    with_buffer(&RIGHT, WIDE * BLOCK.min(words), |panels| {
        for (group, out) in out.chunks_mut(GROUP * columns).enumerate() {
            for first in (0..columns).step_by(WIDE) {
                let block = Block {
                    row: group * GROUP,
                    first,
                    width: WIDE.min(columns - first),
                    columns,
                    words,
                    start: &start,
                };
                block.product(left, right, panels, out);
            }
        }
    });
}

/// Some rows and columns of a product.
struct Block<'a> {
    /// First row.
    row: usize,
    /// First column.
    first: usize,
    width: usize,
    /// Columns of the whole product.
    columns: usize,
    /// Words of the inner dimension.
    words: usize,
    /// The whole product's bias, padded to whole panels.
    start: &'a [f32],
}

impl Block<'_> {
    fn product<T: Real>(&self, left: &impl Rows<T>, right: &[T], panels: &mut [u32], out: &mut [T]) {
        let rows = out.len() / self.columns;
        let stride = self.width.next_multiple_of(COLS);
        with_buffer(&SUMS, rows * stride, |sums| {
            for from in (0..self.words).step_by(BLOCK) {
                let words = BLOCK.min(self.words - from);
                let panels = &mut panels[..self.width.div_ceil(COLS) * words * COLS];
                panels.par_chunks_mut(words * COLS).enumerate().for_each(|(p, panel)| {
                    let column = self.first + p * COLS;
                    let count = COLS.min(self.columns - column);
                    let inner = self.words * T::PER_WORD;
                    pack_rows(&right[column * inner + from * T::PER_WORD..], inner, count, panel);
                });
                let last = from + words == self.words;
                sums.par_chunks_mut(ROWS * stride)
                    .zip(out.par_chunks_mut(ROWS * self.columns))
                    .enumerate()
                    .with_min_len(TASK)
                    .for_each(|(t, (sums, out))| {
                        with_buffer(&LEFT, ROWS * STRIDE, |rows| {
                            let count = sums.len() / stride;
                            for (r, row) in rows.chunks_exact_mut(STRIDE).take(count).enumerate() {
                                left.copy(self.row + t * ROWS + r, from, &mut row[..words]);
                            }
                            self.row_tile::<T>(rows, (from == 0, words), panels, sums);
                        });
                        if last {
                            for (out, sums) in out.chunks_exact_mut(self.columns).zip(sums.chunks_exact(stride)) {
                                let out = &mut out[self.first..self.first + self.width];
                                out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = T::narrow(sum));
                            }
                        }
                    });
            }
        });
    }

    /// Adds one block of the inner dimension to the sums of up to [`ROWS`] rows.
    fn row_tile<T: Real>(&self, left: &[u32], (first, words): (bool, usize), panels: &[u32], sums: &mut [f32]) {
        let stride = self.width.next_multiple_of(COLS);
        for (p, panel) in panels.chunks_exact(words * COLS).enumerate() {
            let start = if first {
                Start::From(&self.start[self.first + p * COLS..][..COLS])
            } else {
                Start::Keep
            };
            let used = COLS.min(self.width - p * COLS);
            tile::<T>(left, words, panel, &mut sums[p * COLS..], stride, used, start);
        }
    }
}
