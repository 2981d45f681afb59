//! Right operands to panels: 32 columns beside each other, word after word of the inner dimension.

use super::{COLS, words_into};
use crate::kernels::real::Real;

/// Panel of up to [`COLS`] columns that lie as rows, `stride` values apart, of which the panel's length tells how many words
/// are taken. Columns from `count` on are zeros.
///
/// # Shapes
/// `rows: [count, ..]`, `panel: [words, COLS]`.
pub fn pack_rows<T: Real>(rows: &[T], stride: usize, count: usize, panel: &mut [u32]) {
    let words = panel.len() / COLS;
    if count == 0 || words == 0 {
        return;
    }
    assert!(
        rows.len() >= (count - 1) * stride + words * T::PER_WORD,
        "rows reach past their data"
    );
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature is there, and the rows were just found to be long enough.
        #[allow(unsafe_code)]
        unsafe {
            wide::pack_rows(rows.as_ptr().cast(), (stride, T::PER_WORD), count, panel);
        }
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        let whole = words / medium::SIDE * medium::SIDE;
        // SAFETY: the feature is there, and the rows were just found to be long enough.
        #[allow(unsafe_code)]
        unsafe {
            medium::pack_rows(
                rows.as_ptr().cast(),
                (stride, T::PER_WORD),
                count,
                &mut panel[..whole * COLS],
            );
        }
        return plain_rows(rows, stride, count, whole, panel);
    }
    plain_rows(rows, stride, count, 0, panel);
}

/// Word by word, from word `from` on.
fn plain_rows<T: Real>(rows: &[T], stride: usize, count: usize, from: usize, panel: &mut [u32]) {
    let panel = &mut panel[from * COLS..];
    let words = panel.len() / COLS;
    if words == 0 {
        return;
    }
    panel.fill(0);
    let mut row = vec![0; words];
    for (c, values) in rows.chunks(stride).take(count).enumerate() {
        words_into(&values[from * T::PER_WORD..][..words * T::PER_WORD], &mut row);
        for (k, &word) in row.iter().enumerate() {
            panel[k * COLS + c] = word;
        }
    }
}

/// Panel of up to [`COLS`] columns of a matrix whose rows, `stride` values apart, are the inner dimension: `count` columns from
/// value `first` of each row on. What is missing of the columns and of the last word is zeros.
///
/// # Shapes
/// `matrix: [inner, ..]`, `panel: [inner in whole words, COLS]`.
pub fn pack_columns<T: Real>(
    matrix: &[T],
    stride: usize,
    (first, count): (usize, usize),
    inner: usize,
    panel: &mut [u32],
) {
    panel.fill(0);
    for (k, words) in panel.chunks_exact_mut(COLS).enumerate() {
        for part in 0..T::PER_WORD.min(inner - k * T::PER_WORD) {
            let row = &matrix[(k * T::PER_WORD + part) * stride + first..][..count];
            for (word, value) in words.iter_mut().zip(row) {
                // The upper half of an f32's bits is its bf16, which is what `wide` makes of one.
                *word |= if T::PER_WORD == 1 {
                    value.wide().to_bits()
                } else {
                    (value.wide().to_bits() >> 16) << (16 * part)
                };
            }
        }
    }
}

/// Transposed in registers, 16 by 16 words: measured at four times the speed of the plain loop.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::cast_ptr_alignment)] // loads and stores are the unaligned ones
mod wide {
    use std::arch::x86_64::{
        __m512i, __mmask16, _mm512_maskz_loadu_epi32, _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_storeu_si512,
        _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
    };

    use super::COLS;

    /// Side of a transposed square, in words.
    const SIDE: usize = 16;

    /// # Safety
    /// The processor has AVX-512, and `count` rows, `stride` values of `per_word` to a word apart, have as many words as the
    /// panel.
    #[allow(unsafe_code)]
    #[target_feature(enable = "avx512f")]
    pub unsafe fn pack_rows(rows: *const u8, (stride, per_word): (usize, usize), count: usize, panel: &mut [u32]) {
        let words = panel.len() / COLS;
        let row_bytes = stride * (4 / per_word);
        for from in (0..words).step_by(SIDE) {
            let len = SIDE.min(words - from);
            let mask = ((1u32 << len) - 1) as __mmask16;
            for first in (0..COLS).step_by(SIDE) {
                let mut square = [_mm512_setzero_si512(); SIDE];
                for (i, row) in square.iter_mut().enumerate().take(count.saturating_sub(first)) {
                    // SAFETY: the row is one of `count`, and the mask keeps to its `words` words.
                    *row =
                        unsafe { _mm512_maskz_loadu_epi32(mask, rows.add((first + i) * row_bytes + 4 * from).cast()) };
                }
                transpose(&mut square);
                for (j, row) in square.iter().enumerate().take(len) {
                    let into = &mut panel[(from + j) * COLS + first..][..SIDE];
                    // SAFETY: the slice is as long as the register.
                    unsafe { _mm512_storeu_si512(into.as_mut_ptr().cast(), *row) };
                }
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    fn transpose(r: &mut [__m512i; SIDE]) {
        let mut t = [_mm512_setzero_si512(); SIDE];
        for i in 0..8 {
            t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
        }
        for i in 0..4 {
            r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
            r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
            r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
            r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
        }
        // What is left is to transpose 4 by 4 quarters of registers, in two rounds: even ones, then odd ones.
        for i in 0..4 {
            t[i] = _mm512_shuffle_i32x4::<0x88>(r[i], r[4 + i]);
            t[4 + i] = _mm512_shuffle_i32x4::<0xdd>(r[i], r[4 + i]);
            t[8 + i] = _mm512_shuffle_i32x4::<0x88>(r[8 + i], r[12 + i]);
            t[12 + i] = _mm512_shuffle_i32x4::<0xdd>(r[8 + i], r[12 + i]);
        }
        for i in 0..4 {
            r[i] = _mm512_shuffle_i32x4::<0x88>(t[i], t[8 + i]);
            r[8 + i] = _mm512_shuffle_i32x4::<0xdd>(t[i], t[8 + i]);
            r[4 + i] = _mm512_shuffle_i32x4::<0x88>(t[4 + i], t[12 + i]);
            r[12 + i] = _mm512_shuffle_i32x4::<0xdd>(t[4 + i], t[12 + i]);
        }
    }
}

/// The same for AVX2, 8 by 8 words.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::cast_ptr_alignment)] // loads and stores are the unaligned ones
mod medium {
    use std::arch::x86_64::{
        __m256i, _mm256_loadu_si256, _mm256_permute2x128_si256, _mm256_setzero_si256, _mm256_storeu_si256,
        _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    };

    use super::COLS;

    /// Side of a transposed square, in words.
    pub const SIDE: usize = 8;

    /// # Safety
    /// The processor has AVX2, and `count` rows, `stride` values of `per_word` to a word apart, have as many words as the panel,
    /// a multiple of [`SIDE`].
    #[allow(unsafe_code)]
    #[target_feature(enable = "avx2")]
    pub unsafe fn pack_rows(rows: *const u8, (stride, per_word): (usize, usize), count: usize, panel: &mut [u32]) {
        let row_bytes = stride * (4 / per_word);
        for (square_index, panel) in panel.chunks_exact_mut(SIDE * COLS).enumerate() {
            for first in (0..COLS).step_by(SIDE) {
                let mut square = [_mm256_setzero_si256(); SIDE];
                for (i, row) in square.iter_mut().enumerate().take(count.saturating_sub(first)) {
                    let at = (first + i) * row_bytes + 4 * SIDE * square_index;
                    // SAFETY: the row is one of `count`, and the panel has no more words than it.
                    *row = unsafe { _mm256_loadu_si256(rows.add(at).cast()) };
                }
                for (j, row) in transpose(square).into_iter().enumerate() {
                    let into = &mut panel[j * COLS + first..][..SIDE];
                    // SAFETY: the slice is as long as the register.
                    unsafe { _mm256_storeu_si256(into.as_mut_ptr().cast(), row) };
                }
            }
        }
    }

    /// Words within halves of registers first, then the halves.
    #[target_feature(enable = "avx2")]
    fn transpose(r: [__m256i; SIDE]) -> [__m256i; SIDE] {
        let mut t = r;
        for i in 0..4 {
            t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
        }
        let mut u = t;
        for i in 0..2 {
            u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
            u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
            u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
            u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
        }
        let mut out = u;
        for i in 0..4 {
            out[i] = _mm256_permute2x128_si256::<0x20>(u[i], u[4 + i]);
            out[4 + i] = _mm256_permute2x128_si256::<0x31>(u[i], u[4 + i]);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    #[test]
    fn panels_hold_columns_beside_each_other() {
        // 19 columns of 37 words: neither fills a square.
        let (count, words) = (19, 37);
        let values: Vec<f32> = (0..count * words).map(|i| i as f32).collect();
        let (mut wide, mut plain) = (vec![1; words * COLS], vec![2; words * COLS]);
        pack_rows(&values, words, count, &mut wide);
        plain_rows(&values, words, count, 0, &mut plain);
        assert_eq!(wide, plain);
        assert_eq!(wide[5 * COLS + 7], values[7 * words + 5].to_bits());
        assert_eq!(wide[5 * COLS + 19], 0);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn avx2_transposes_as_the_plain_loop() {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        let (count, words) = (19, 40);
        let values: Vec<f32> = (0..count * words).map(|i| i as f32).collect();
        let halves: Vec<bf16> = (0..2 * count * words).map(|i| bf16::from_f32(i as f32)).collect();
        let (mut found, mut plain) = (vec![1; words * COLS], vec![2; words * COLS]);
        for (rows, per_word) in [(values.as_ptr().cast(), 1), (halves.as_ptr().cast(), 2)] {
            // SAFETY: the feature is there, and both hold `count` rows of `words` words.
            #[allow(unsafe_code)]
            unsafe {
                medium::pack_rows(rows, (words * per_word, per_word), count, &mut found);
            }
            if per_word == 1 {
                plain_rows(&values, words, count, 0, &mut plain);
            } else {
                plain_rows(&halves, 2 * words, count, 0, &mut plain);
            }
            assert_eq!(found, plain);
        }
    }

    #[test]
    fn both_layouts_of_bf16_agree_also_for_an_odd_number() {
        let (inner, count) = (7, 3);
        let value = |k: usize, c: usize| bf16::from_f32((10 * k + c) as f32);
        let matrix: Vec<bf16> = (0..inner).flat_map(|k| (0..count).map(move |c| value(k, c))).collect();
        let mut rows = vec![bf16::ZERO; 8 * count];
        for (c, row) in rows.chunks_exact_mut(8).enumerate() {
            (0..inner).for_each(|k| row[k] = value(k, c));
        }
        let (mut from_rows, mut from_columns) = (vec![1; 4 * COLS], vec![2; 4 * COLS]);
        pack_rows(&rows, 8, count, &mut from_rows);
        pack_columns(&matrix, count, (0, count), inner, &mut from_columns);
        assert_eq!(from_rows, from_columns);
    }
}
