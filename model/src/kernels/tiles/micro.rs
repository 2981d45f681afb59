//! One tile of results: up to 12 rows by 32 columns, in registers while the inner dimension goes by.

use super::{COLS, ROWS, STRIDE};
use crate::kernels::real::Real;
use crate::kernels::vector::widest;

/// What a tile starts from.
#[derive(Clone, Copy)]
pub enum Start<'a> {
    /// One value per column: [`COLS`] of them.
    From(&'a [f32]),
    /// What is there.
    Keep,
}

/// `sums = start + left panel` for one tile.
///
/// # Shapes
/// `left`: [`ROWS`] rows of `words` words, [`STRIDE`] apart; `panel: [words, COLS]`; `sums`: rows `stride` values apart, as
/// many as begin in it, at most [`ROWS`]. Columns from `used` on are left with values of no meaning.
pub fn tile<T: Real>(
    left: &[u32],
    words: usize,
    panel: &[u32],
    sums: &mut [f32],
    stride: usize,
    used: usize,
    start: Start,
) {
    let rows = sums.len().div_ceil(stride).min(ROWS);
    assert!(left.len() >= ROWS * STRIDE && words <= STRIDE && panel.len() >= words * COLS);
    assert!(
        rows > 0 && sums.len() >= (rows - 1) * stride + COLS,
        "the tile reaches past its sums"
    );
    if let Start::From(values) = start {
        assert!(values.len() >= COLS);
    }
    #[cfg(target_arch = "x86_64")]
    if wide::supports::<T>() {
        return wide::tile::<T>((left, words, panel), (sums, stride, rows), used <= COLS / 2, start);
    }
    let _ = used;
    widest(
        #[inline(always)]
        || plain::<T>((left, words, panel), (sums, stride, rows), start),
    );
}

/// Rows and columns that fit the registers of smaller processors.
const SMALL: (usize, usize) = (4, 16);

/// The same for every processor, for the compiler to vectorise.
#[inline(always)]
fn plain<T: Real>(
    (left, words, panel): (&[u32], usize, &[u32]),
    (sums, stride, rows): (&mut [f32], usize, usize),
    start: Start,
) {
    for top in (0..rows).step_by(SMALL.0) {
        for first in (0..COLS).step_by(SMALL.1) {
            let count = SMALL.0.min(rows - top);
            let mut acc = [[0f32; SMALL.1]; SMALL.0];
            for (r, acc) in acc.iter_mut().enumerate().take(count) {
                match start {
                    Start::From(values) => acc.copy_from_slice(&values[first..first + SMALL.1]),
                    Start::Keep => acc.copy_from_slice(&sums[(top + r) * stride + first..][..SMALL.1]),
                }
            }
            for (k, panel) in panel.chunks_exact(COLS).take(words).enumerate() {
                let panel = &panel[first..first + SMALL.1];
                for (r, acc) in acc.iter_mut().enumerate() {
                    let x = left[(top + r).min(ROWS - 1) * STRIDE + k];
                    multiply_add::<T>(acc, x, panel);
                }
            }
            for (r, acc) in acc.iter().enumerate().take(count) {
                sums[(top + r) * stride + first..][..SMALL.1].copy_from_slice(acc);
            }
        }
    }
}

#[inline(always)]
fn multiply_add<T: Real>(acc: &mut [f32; SMALL.1], x: u32, panel: &[u32]) {
    if T::PER_WORD == 1 {
        for (acc, &w) in acc.iter_mut().zip(panel) {
            *acc += f32::from_bits(x) * f32::from_bits(w);
        }
    } else {
        // Two bf16: the low half is the first.
        let halves = |w: u32| (f32::from_bits(w << 16), f32::from_bits(w & 0xffff_0000));
        let (x0, x1) = halves(x);
        for (acc, &w) in acc.iter_mut().zip(panel) {
            let (w0, w1) = halves(w);
            *acc += x0 * w0 + x1 * w1;
        }
    }
}

/// AVX-512, measured at 1.5 to 2 times what the compiler makes of the plain form, and four times in bf16.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::cast_ptr_alignment)] // loads and stores are the unaligned ones
mod wide {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_castsi512_ps, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
        _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_storeu_ps,
    };

    use super::{COLS, ROWS, Real, STRIDE, Start};

    /// Columns of one register.
    const LANES: usize = 16;

    pub fn supports<T: Real>() -> bool {
        is_x86_feature_detected!("avx512f") && (T::PER_WORD == 1 || is_x86_feature_detected!("avx512bf16"))
    }

    macro_rules! micro {
        ($name:ident, $features:literal, $multiply_add:expr) => {
            /// # Safety
            /// The processor has the features; `left`, `panel` and `sums` reach as far as [`super::tile`] asserts for `R` rows,
            /// and `start`, when not null, to `W` registers.
            #[allow(unsafe_code)]
            #[target_feature(enable = $features)]
            unsafe fn $name<const R: usize, const W: usize>(
                (left, words, panel): (*const u32, usize, *const u32),
                (sums, stride): (*mut f32, usize),
                start: *const f32,
            ) {
                // SAFETY: offsets stay below (R - 1) * STRIDE + words, words * COLS and (R - 1) * stride + W * LANES.
                unsafe {
                    let mut acc = [[_mm512_setzero_ps(); W]; R];
                    for (r, acc) in acc.iter_mut().enumerate() {
                        for (w, acc) in acc.iter_mut().enumerate() {
                            let from = if start.is_null() {
                                sums.add(r * stride)
                            } else {
                                start
                            };
                            *acc = _mm512_loadu_ps(from.add(w * LANES));
                        }
                    }
                    let (mut left, mut panel) = (left, panel);
                    for _ in 0..words {
                        let mut columns = [_mm512_setzero_si512(); W];
                        for (w, columns) in columns.iter_mut().enumerate() {
                            *columns = _mm512_loadu_si512(panel.add(w * LANES).cast());
                        }
                        for (r, acc) in acc.iter_mut().enumerate() {
                            let x = _mm512_set1_epi32(left.add(r * STRIDE).read() as i32);
                            for (acc, &column) in acc.iter_mut().zip(&columns) {
                                *acc = $multiply_add(*acc, x, column);
                            }
                        }
                        left = left.add(1);
                        panel = panel.add(COLS);
                    }
                    for (r, acc) in acc.iter().enumerate() {
                        for (w, acc) in acc.iter().enumerate() {
                            _mm512_storeu_ps(sums.add(r * stride + w * LANES), *acc);
                        }
                    }
                }
            }
        };
    }

    micro!(micro_f32, "avx512f", |acc: __m512, x: __m512i, w: __m512i| {
        _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(w), acc)
    });
    micro!(
        micro_bf16,
        "avx512f,avx512bf16",
        |acc: __m512, x: __m512i, w: __m512i| _mm512_dpbf16_ps(
            acc,
            std::mem::transmute::<__m512i, __m512bh>(x),
            std::mem::transmute::<__m512i, __m512bh>(w)
        )
    );

    pub fn tile<T: Real>(
        (left, words, panel): (&[u32], usize, &[u32]),
        (sums, stride, rows): (&mut [f32], usize, usize),
        narrow: bool,
        start: Start,
    ) {
        let operands = (left.as_ptr(), words, panel.as_ptr());
        let sums = (sums.as_mut_ptr(), stride);
        let start = match start {
            Start::From(values) => values.as_ptr(),
            Start::Keep => std::ptr::null(),
        };
        macro_rules! by_rows {
            ($($rows:literal)*) => {
                match (rows, T::PER_WORD, narrow) {
                    $(
                        ($rows, 1, false) => micro_f32::<$rows, 2>(operands, sums, start),
                        ($rows, 1, true) => micro_f32::<$rows, 1>(operands, sums, start),
                        ($rows, _, false) => micro_bf16::<$rows, 2>(operands, sums, start),
                        ($rows, _, true) => micro_bf16::<$rows, 1>(operands, sums, start),
                    )*
                    _ => unreachable!("a tile has 1 to {ROWS} rows"),
                }
            };
        }
        // SAFETY: the caller has checked the features and the lengths.
        #[allow(unsafe_code)]
        unsafe {
            by_rows!(1 2 3 4 5 6 7 8 9 10 11 12);
        }
    }
}
