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
    {
        let (operands, sums) = ((left, words, panel), (&mut *sums, stride, rows));
        if wide::supports::<T>() {
            return wide::tile::<T>(operands, sums, used <= COLS / 2, start);
        }
        if medium::supports() {
            return medium::tile::<T>(operands, sums, used, start);
        }
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

/// AVX2 with fused multiply-add: 6 rows by 16 columns in 12 of the 16 registers.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::cast_ptr_alignment)] // loads and stores are the unaligned ones
mod medium {
    use std::arch::x86_64::{
        __m256, __m256i, _mm256_and_si256, _mm256_castsi256_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256,
        _mm256_set1_epi32, _mm256_setzero_ps, _mm256_slli_epi32, _mm256_storeu_ps,
    };

    use super::{COLS, Real, STRIDE, Start};

    /// Columns of one register.
    const LANES: usize = 8;
    /// Columns of a small tile.
    const SMALL_COLS: usize = 2 * LANES;
    /// Rows of a small tile at most.
    const SMALL_ROWS: usize = 6;

    pub fn supports() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    /// A word as f32: itself, or the lower or upper of two bf16, whose bits are the upper half of an f32's.
    #[target_feature(enable = "avx2")]
    fn part<const PART: u8>(word: __m256i) -> __m256 {
        _mm256_castsi256_ps(match PART {
            0 => word,
            1 => _mm256_slli_epi32::<16>(word),
            _ => _mm256_and_si256(word, _mm256_set1_epi32(0xffff_0000_u32 as i32)),
        })
    }

    /// Adds the products of one part of a word.
    ///
    /// # Safety
    /// The processor has the features, `left` holds `R` rows [`STRIDE`] apart, `panel` two registers.
    #[allow(unsafe_code)]
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add<const PART: u8, const R: usize>(acc: &mut [[__m256; 2]; R], left: *const u32, panel: *const u32) {
        // SAFETY: the caller vouches for both lengths.
        unsafe {
            let low = part::<PART>(_mm256_loadu_si256(panel.cast()));
            let high = part::<PART>(_mm256_loadu_si256(panel.add(LANES).cast()));
            for (r, acc) in acc.iter_mut().enumerate() {
                let x = part::<PART>(_mm256_set1_epi32(left.add(r * STRIDE).read() as i32));
                acc[0] = _mm256_fmadd_ps(x, low, acc[0]);
                acc[1] = _mm256_fmadd_ps(x, high, acc[1]);
            }
        }
    }

    /// # Safety
    /// The processor has the features; `left`, `panel` and `sums` reach as far as [`super::tile`] asserts for `R` rows, and
    /// `start`, when not null, to [`SMALL_COLS`] values.
    #[allow(unsafe_code)]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn micro<const HALVES: bool, const R: usize>(
        (left, words, panel): (*const u32, usize, *const u32),
        (sums, stride): (*mut f32, usize),
        start: *const f32,
    ) {
        // SAFETY: offsets stay below (R - 1) * STRIDE + words, words * COLS and (R - 1) * stride + SMALL_COLS.
        unsafe {
            let mut acc = [[_mm256_setzero_ps(); 2]; R];
            for (r, acc) in acc.iter_mut().enumerate() {
                let from = if start.is_null() { sums.add(r * stride) } else { start };
                *acc = [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(LANES))];
            }
            for k in 0..words {
                let (left, panel) = (left.add(k), panel.add(k * COLS));
                if HALVES {
                    add::<1, R>(&mut acc, left, panel);
                    add::<2, R>(&mut acc, left, panel);
                } else {
                    add::<0, R>(&mut acc, left, panel);
                }
            }
            for (r, acc) in acc.iter().enumerate() {
                _mm256_storeu_ps(sums.add(r * stride), acc[0]);
                _mm256_storeu_ps(sums.add(r * stride + LANES), acc[1]);
            }
        }
    }

    pub fn tile<T: Real>(
        (left, words, panel): (&[u32], usize, &[u32]),
        (sums, stride, rows): (&mut [f32], usize, usize),
        used: usize,
        start: Start,
    ) {
        // Half a panel stays in the first-level cache while both halves of the rows pass over it.
        for first in (0..COLS.min(used)).step_by(SMALL_COLS) {
            for top in (0..rows).step_by(SMALL_ROWS) {
                let operands = (left[top * STRIDE..].as_ptr(), words, panel.as_ptr().wrapping_add(first));
                let sums = (sums[top * stride + first..].as_mut_ptr(), stride);
                let start = match start {
                    Start::From(values) => values[first..].as_ptr(),
                    Start::Keep => std::ptr::null(),
                };
                macro_rules! by_rows {
                    ($($rows:literal)*) => {
                        match (SMALL_ROWS.min(rows - top), T::PER_WORD) {
                            $(
                                ($rows, 1) => micro::<false, $rows>(operands, sums, start),
                                ($rows, _) => micro::<true, $rows>(operands, sums, start),
                            )*
                            _ => unreachable!("a small tile has 1 to {SMALL_ROWS} rows"),
                        }
                    };
                }
                // SAFETY: the caller has checked the features and the lengths.
                #[allow(unsafe_code)]
                unsafe {
                    by_rows!(1 2 3 4 5 6);
                }
            }
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
