//! Gradients of attention: in f32 on the CPU, through the plain form elsewhere.

use candle_core::{Result, Tensor, Var};
use rayon::prelude::*;

use super::{Sizes, plain_attention};
use crate::kernels::gemm::{View, matmul_into};
use crate::kernels::vector::{exp, max, sum_by, widest};

/// Query rows per tile: the tile of scores stays in the second-level cache at 4,000 keys.
const TILE: usize = 64;

/// Gradients of queries, keys and values, from those of the result.
pub fn gradients(sizes: Sizes, q: &[f32], k: &[f32], v: &[f32], grad: &[f32]) -> [Vec<f32>; 3] {
    let per_head: Vec<HeadGrads> = (0..sizes.batch * sizes.heads)
        .into_par_iter()
        .map(|i| head_backward(sizes, (i / sizes.heads, i % sizes.heads), q, k, v, grad))
        .collect();
    let gather = |tokens: usize, pick: fn(&HeadGrads) -> &[f32]| {
        let mut out = vec![0f32; sizes.batch * tokens * sizes.width];
        out.par_chunks_mut(tokens * sizes.width)
            .enumerate()
            .for_each(|(b, out)| {
                for h in 0..sizes.heads {
                    let part = pick(&per_head[b * sizes.heads + h]);
                    for (row, values) in out.chunks_exact_mut(sizes.width).zip(part.chunks_exact(sizes.head)) {
                        row[h * sizes.head..(h + 1) * sizes.head].copy_from_slice(values);
                    }
                }
            });
        out
    };
    [
        gather(sizes.queries, |g| &g.q),
        gather(sizes.keys, |g| &g.k),
        gather(sizes.keys, |g| &g.v),
    ]
}

/// The same through the plain form, on the tensors' own device; its scores are in memory meanwhile.
///
/// # Shapes
/// `operands`: `q: [batch, queries, heads * d]`, `k`, `v: [batch, keys, heads * d]`; `grad` like `q`, results like `operands`.
pub fn plain_gradients(heads: usize, operands: [&Tensor; 3], grad: &Tensor) -> Result<[Tensor; 3]> {
    let [q, k, v] = operands.map(|operand| Var::from_tensor(&operand.detach()));
    let (q, k, v) = (q?, k?, v?);
    let out = plain_attention(&q, &k, &v, heads)?;
    let gradients = (out * grad)?.sum_all()?.backward()?;
    let of = |var: &Var| {
        gradients
            .get(var)
            .map_or_else(|| var.zeros_like(), |found| Ok(found.clone()))
    };
    Ok([of(&q)?, of(&k)?, of(&v)?])
}

/// Attention weights of `rows` queries of one head, into `p` (`rows x keys`).
fn weights_into(p: &mut [f32], sizes: Sizes, q: View, k: View) {
    matmul_into(p, sizes.keys, 0.0, sizes.scale(), q, k.t());
    widest(
        #[inline(always)]
        || {
            for row in p.chunks_exact_mut(sizes.keys) {
                let top = max(row);
                for value in row.iter_mut() {
                    *value = exp(*value - top);
                }
                let inverse = 1.0 / sum_by(row.len(), |i| row[i]);
                for value in row.iter_mut() {
                    *value *= inverse;
                }
            }
        },
    );
}

/// Gradients of one head of one sample, `tokens x head` each.
struct HeadGrads {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

/// Recomputes the weights tile by tile, as memory is dearer than a product (Dao et al. 2022, algorithm 4).
fn head_backward(sizes: Sizes, (b, h): (usize, usize), q: &[f32], k: &[f32], v: &[f32], grad: &[f32]) -> HeadGrads {
    let Sizes {
        queries,
        keys,
        width,
        head,
        ..
    } = sizes;
    let at = h * head;
    let (k, v) = (&k[b * keys * width + at..], &v[b * keys * width + at..]);
    let (k, v) = (View::new(k, keys, head, width), View::new(v, keys, head, width));
    let mut out = HeadGrads {
        q: vec![0.0; queries * head],
        k: vec![0.0; keys * head],
        v: vec![0.0; keys * head],
    };
    let rows_max = TILE.min(queries);
    let (mut p, mut ds) = (vec![0f32; rows_max * keys], vec![0f32; rows_max * keys]);
    for start in (0..queries).step_by(TILE) {
        let rows = TILE.min(queries - start);
        let from = (b * queries + start) * width + at;
        let (q, g) = (
            View::new(&q[from..], rows, head, width),
            View::new(&grad[from..], rows, head, width),
        );
        let (p, ds) = (&mut p[..rows * keys], &mut ds[..rows * keys]);
        weights_into(p, sizes, q, k);
        matmul_into(&mut out.v, head, 1.0, 1.0, View::new(p, rows, keys, keys).t(), g);
        matmul_into(ds, keys, 0.0, 1.0, g, v.t());
        softmax_backward(p, ds, keys, sizes.scale());
        let ds = View::new(ds, rows, keys, keys);
        matmul_into(&mut out.q[start * head..], head, 0.0, 1.0, ds, k);
        matmul_into(&mut out.k, head, 1.0, 1.0, ds.t(), q);
    }
    out
}

/// Turns the gradient of the weights in `ds` into that of the unscaled scores.
fn softmax_backward(p: &[f32], ds: &mut [f32], keys: usize, scale: f32) {
    widest(
        #[inline(always)]
        || {
            for (p, ds) in p.chunks_exact(keys).zip(ds.chunks_exact_mut(keys)) {
                let dot = sum_by(keys, |i| p[i] * ds[i]);
                for (d, &p) in ds.iter_mut().zip(p) {
                    *d = scale * p * (*d - dot);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::kernels::real::host;
    use crate::sampler::noise::gaussian;

    #[test]
    fn both_kinds_of_gradients_agree() {
        let (batch, queries, keys, heads, head) = (2, 5, 7, 3, 4);
        let width = heads * head;
        let random = |seed, tokens: usize| {
            let values = gaussian(seed, 0, 0, batch * tokens * width);
            Tensor::from_vec(values, (batch, tokens, width), &Device::Cpu).unwrap()
        };
        let [q, k, v, grad] = [random(1, queries), random(2, keys), random(3, keys), random(4, queries)];
        let sizes = Sizes {
            batch,
            queries,
            keys,
            heads,
            width,
            head,
        };
        let values = |x| host(x).unwrap();
        let fused = gradients(sizes, &values(&q), &values(&k), &values(&v), &values(&grad));
        let plain = plain_gradients(heads, [&q, &k, &v], &grad).unwrap();
        for (fused, plain) in fused.iter().zip(&plain) {
            let off = fused
                .iter()
                .zip(values(plain))
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(off < 1e-5, "gradients differ by {off}");
        }
    }
}
