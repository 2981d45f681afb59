//! Attention forward: keys and values of every head packed once, then a few queries at a time against all of them, so that
//! scores live in the second-level cache and never in memory.

use std::cell::RefCell;

use rayon::prelude::*;

use super::Sizes;
use crate::kernels::real::Real;
use crate::kernels::tiles::{self, BLOCK, COLS, ROWS, STRIDE, Start, pack_columns, pack_rows, words_into};
use crate::kernels::vector::{LANES, exp2_falling, fuses, max, widest};

/// Queries per task, whose heads take turns: what is packed of a head is read from memory once per task.
const TASK: usize = 4 * ROWS;

/// No sum yet.
const ZEROS: [f32; COLS] = [0.0; COLS];

/// Where things are among the packed words of one head.
#[derive(Clone, Copy)]
struct Plan {
    sizes: Sizes,
    /// Words of a query or key.
    head_words: usize,
    /// Words of all keys' weights for one query.
    key_words: usize,
    key_panels: usize,
    value_panels: usize,
}

impl Plan {
    fn new<T: Real>(sizes: Sizes) -> Self {
        Self {
            sizes,
            head_words: sizes.head / T::PER_WORD,
            key_words: sizes.keys.div_ceil(T::PER_WORD),
            key_panels: sizes.keys.div_ceil(COLS),
            value_panels: sizes.head.div_ceil(COLS),
        }
    }

    fn packed_keys(self) -> usize {
        self.key_panels * COLS * self.head_words
    }

    fn packed_values(self) -> usize {
        self.value_panels * COLS * self.key_words
    }
}

/// Pieces of at most [`BLOCK`] of `words` words: start and length.
fn blocks(words: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    (0..words)
        .step_by(BLOCK)
        .map(move |from| (from, BLOCK.min(words - from)))
}

/// A panel in a packed operand: blocks behind each other, panels behind each other in a block.
fn panel(packed: &[u32], panels: usize, (from, len): (usize, usize), index: usize) -> &[u32] {
    &packed[(from * panels + index * len) * COLS..][..len * COLS]
}

thread_local! {
    static PACKED: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

/// `softmax(scale q kᵀ) v` of every head.
///
/// # Shapes
/// `q: [batch, queries, width]`, `k`, `v: [batch, keys, width]`, result like `q`.
pub fn attend<T: Real>(sizes: Sizes, q: &[T], k: &[T], v: &[T]) -> Vec<T> {
    let plan = Plan::new::<T>(sizes);
    let Sizes {
        queries, keys, width, ..
    } = sizes;
    let mut out = vec![T::zero(); q.len()];
    let mut packed = PACKED.take();
    let per_head = plan.packed_keys() + plan.packed_values();
    packed.resize(packed.len().max(sizes.heads * per_head), 0);
    for (b, out) in out.chunks_mut((queries * width).max(1)).enumerate() {
        let (k, v) = (
            &k[b * keys * width..][..keys * width],
            &v[b * keys * width..][..keys * width],
        );
        let packed = &mut packed[..sizes.heads * per_head];
        packed.par_chunks_mut(per_head).enumerate().for_each(|(h, packed)| {
            let (packed_keys, packed_values) = packed.split_at_mut(plan.packed_keys());
            plan.pack_keys(&k[h * sizes.head..], packed_keys);
            plan.pack_values(v, h, packed_values);
        });
        let q = &q[b * queries * width..][..queries * width];
        out.par_chunks_mut(TASK * width)
            .zip(q.par_chunks(TASK * width))
            .for_each(|(out, q)| {
                let mut scratch = SCRATCH.take();
                scratch.fit(plan);
                for (h, packed) in packed.chunks_exact(per_head).enumerate() {
                    for (out, q) in out.chunks_mut(ROWS * width).zip(q.chunks(ROWS * width)) {
                        scratch.attend(plan, h, packed, q, out);
                    }
                }
                SCRATCH.replace(scratch);
            });
    }
    PACKED.replace(packed);
    out
}

impl Plan {
    fn pack_keys<T: Real>(self, keys: &[T], packed: &mut [u32]) {
        let width = self.sizes.width;
        for (from, len) in blocks(self.head_words) {
            let block = &mut packed[from * self.key_panels * COLS..][..self.key_panels * len * COLS];
            for (p, panel) in block.chunks_exact_mut(len * COLS).enumerate() {
                let count = COLS.min(self.sizes.keys - p * COLS);
                pack_rows(&keys[p * COLS * width + from * T::PER_WORD..], width, count, panel);
            }
        }
    }

    fn pack_values<T: Real>(self, values: &[T], head: usize, packed: &mut [u32]) {
        let Sizes {
            width,
            head: size,
            keys,
            ..
        } = self.sizes;
        for (from, len) in blocks(self.key_words) {
            let block = &mut packed[from * self.value_panels * COLS..][..self.value_panels * len * COLS];
            for (p, panel) in block.chunks_exact_mut(len * COLS).enumerate() {
                let columns = (head * size + p * COLS, COLS.min(size - p * COLS));
                let first = from * T::PER_WORD;
                pack_columns(&values[first * width..], width, columns, keys - first, panel);
            }
        }
    }
}

/// Buffers of a thread, for one tile of queries.
#[derive(Default)]
struct Scratch {
    /// Queries: a block of [`ROWS`] rows after the other.
    queries: Vec<u32>,
    /// Scores, then weights: blocks of [`BLOCK`] keys.
    scores: Vec<f32>,
    /// Weights in half precision: blocks of [`BLOCK`] words.
    halves: Vec<u32>,
    sums: Vec<f32>,
}

impl Scratch {
    const fn new() -> Self {
        Self {
            queries: Vec::new(),
            scores: Vec::new(),
            halves: Vec::new(),
            sums: Vec::new(),
        }
    }

    fn fit(&mut self, plan: Plan) {
        let tiles = |words: usize| words.div_ceil(BLOCK) * ROWS * STRIDE;
        let grow = |len: usize, to: usize| len.max(to);
        self.queries.resize(grow(self.queries.len(), tiles(plan.head_words)), 0);
        self.scores.resize(grow(self.scores.len(), tiles(plan.sizes.keys)), 0.0);
        self.halves.resize(grow(self.halves.len(), tiles(plan.key_words)), 0);
        self.sums
            .resize(grow(self.sums.len(), ROWS * plan.value_panels * COLS), 0.0);
    }

    /// Up to [`ROWS`] queries of one head.
    fn attend<T: Real>(&mut self, plan: Plan, head: usize, packed: &[u32], q: &[T], out: &mut [T]) {
        let Sizes { width, head: size, .. } = plan.sizes;
        let (keys, values) = packed.split_at(plan.packed_keys());
        let rows = q.len() / width;
        for (row, q) in q.chunks_exact(width).enumerate() {
            let q = &q[head * size..][..size];
            for (b, (from, len)) in blocks(plan.head_words).enumerate() {
                let into = &mut self.queries[(b * ROWS + row) * STRIDE..][..len];
                words_into(&q[from * T::PER_WORD..][..len * T::PER_WORD], into);
            }
        }
        self.score::<T>(plan, keys, rows);
        let inverse = self.soften::<T>(plan, rows);
        self.gather::<T>(plan, values, rows);
        let stride = plan.value_panels * COLS;
        for ((out, sums), inverse) in out
            .chunks_exact_mut(width)
            .zip(self.sums.chunks_exact(stride))
            .zip(inverse)
        {
            let out = &mut out[head * size..][..size];
            out.iter_mut()
                .zip(sums)
                .for_each(|(out, &sum)| *out = T::narrow(sum * inverse));
        }
    }

    /// Products of the queries with all keys.
    fn score<T: Real>(&mut self, plan: Plan, keys: &[u32], rows: usize) {
        for p in 0..plan.key_panels {
            let (block, column) = (p * COLS / BLOCK, p * COLS % BLOCK);
            let scores = &mut self.scores[block * ROWS * STRIDE + column..][..(rows - 1) * STRIDE + COLS];
            for (b, piece) in blocks(plan.head_words).enumerate() {
                let queries = &self.queries[b * ROWS * STRIDE..];
                let start = if b == 0 { Start::From(&ZEROS) } else { Start::Keep };
                let used = plan.sizes.keys - p * COLS;
                tiles::tile::<T>(
                    queries,
                    piece.1,
                    panel(keys, plan.key_panels, piece, p),
                    scores,
                    STRIDE,
                    used,
                    start,
                );
            }
        }
    }

    /// Scores to weights that still miss the factor that is returned per row.
    fn soften<T: Real>(&mut self, plan: Plan, rows: usize) -> [f32; ROWS] {
        if fuses() {
            self.soften_rows::<T, true>(plan, rows)
        } else {
            self.soften_rows::<T, false>(plan, rows)
        }
    }

    fn soften_rows<T: Real, const FUSED: bool>(&mut self, plan: Plan, rows: usize) -> [f32; ROWS] {
        let keys = plan.sizes.keys;
        // Powers of two, as they are cheaper.
        let scale = plan.sizes.scale() * std::f32::consts::LOG2_E;
        let mut inverse = [1.0; ROWS];
        for (row, inverse) in inverse.iter_mut().enumerate().take(rows) {
            let at = |block: usize| (block * ROWS + row) * STRIDE;
            let (scores, halves) = (&mut self.scores, &mut self.halves);
            widest(
                #[inline(always)]
                || {
                    let top = blocks(keys)
                        .enumerate()
                        .map(|(b, (_, len))| max(&scores[at(b)..at(b) + len]))
                        .fold(f32::NEG_INFINITY, f32::max);
                    let mut total = 0.0;
                    for (b, (_, len)) in blocks(keys).enumerate() {
                        total += weigh::<FUSED>(&mut scores[at(b)..at(b) + len], top, scale);
                    }
                    *inverse = 1.0 / total;
                    if T::PER_WORD == 2 {
                        for (b, (from, len)) in blocks(keys).enumerate() {
                            let piece = &scores[at(b)..at(b) + len];
                            let into = &mut halves[at(from / 2 / BLOCK) + from / 2 % BLOCK..][..len.div_ceil(2)];
                            pairs::<T>(piece, into);
                        }
                    }
                },
            );
        }
        inverse
    }

    /// Weighted sums of the values.
    fn gather<T: Real>(&mut self, plan: Plan, values: &[u32], rows: usize) {
        let stride = plan.value_panels * COLS;
        let weights = if T::PER_WORD == 1 {
            tiles::words(&self.scores)
        } else {
            &self.halves
        };
        for p in 0..plan.value_panels {
            let sums = &mut self.sums[p * COLS..][..(rows - 1) * stride + COLS];
            for (b, piece) in blocks(plan.key_words).enumerate() {
                let start = if b == 0 { Start::From(&ZEROS) } else { Start::Keep };
                let used = plan.sizes.head - p * COLS;
                let weights = &weights[b * ROWS * STRIDE..];
                tiles::tile::<T>(
                    weights,
                    piece.1,
                    panel(values, plan.value_panels, piece, p),
                    sums,
                    stride,
                    used,
                    start,
                );
            }
        }
    }
}

/// Scores to `2^((score - top) scale)` in one pass; returns their sum.
#[inline(always)]
fn weigh<const FUSED: bool>(scores: &mut [f32], top: f32, scale: f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (whole, rest) = scores.as_chunks_mut::<LANES>();
    for chunk in whole {
        for (value, lane) in chunk.iter_mut().zip(&mut lanes) {
            *value = exp2_falling::<FUSED>((*value - top) * scale);
            *lane += *value;
        }
    }
    for (value, lane) in rest.iter_mut().zip(&mut lanes) {
        *value = exp2_falling::<FUSED>((*value - top) * scale);
        *lane += *value;
    }
    lanes.iter().sum()
}

/// Two values to a word, the first in the low half; an odd last one beside a zero.
#[inline(always)]
fn pairs<T: Real>(values: &[f32], into: &mut [u32]) {
    let half = |x: f32| T::narrow(x).wide().to_bits() >> 16;
    let whole = values.len() / 2;
    for (word, pair) in into.iter_mut().zip(values.chunks_exact(2)) {
        *word = half(pair[0]) | half(pair[1]) << 16;
    }
    if let (Some(word), [last]) = (into.get_mut(whole), &values[2 * whole..]) {
        *word = half(*last);
    }
}
