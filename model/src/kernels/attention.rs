//! Attention over heads on token-major tensors, tile by tile.

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::gemm::{View, matmul_into};
use super::vector::{exp, max, sum_by, widest};
use super::{contiguous_f32, fused, host, timed};

/// Query rows per tile: the tile of scores stays in the second-level cache at 4,000 keys.
const TILE: usize = 64;

/// Softmax attention per head: `softmax(q kᵀ / sqrt(d)) v` (Vaswani et al. 2017, equation 1).
///
/// # Shapes
/// `q: [batch, queries, heads * d]`, `k`, `v: [batch, keys, heads * d]`, result like `q`. Heads are slices of the
/// last dimension, so nothing is transposed on the way in or out.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    let flop = || 4 * q.elem_count() * k.dims().get(1).copied().unwrap_or(0);
    timed("attention", q.device(), flop, || {
        if fused(q) {
            q.contiguous()?
                .apply_op3(&k.contiguous()?, &v.contiguous()?, Attention { heads })
        } else {
            plain_attention(q, k, v, heads)
        }
    })
}

/// The same out of candle's differentiable operations; materialises the scores.
pub(super) fn plain_attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    let (batch, queries, width) = q.dims3()?;
    let split = |x: &Tensor| {
        x.reshape((batch, x.dim(1)?, heads, width / heads))?
            .transpose(1, 2)?
            .contiguous()
    };
    let (q, k, v) = (split(q)?, split(k)?, split(v)?);
    let scores = (q.matmul(&k.t()?)? / ((width / heads) as f64).sqrt())?;
    let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
    weights.matmul(&v)?.transpose(1, 2)?.reshape((batch, queries, width))
}

struct Attention {
    heads: usize,
}

/// The sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    queries: usize,
    keys: usize,
    width: usize,
    head: usize,
}

impl Sizes {
    fn scale(self) -> f32 {
        1.0 / (self.head as f32).sqrt()
    }
}

impl Attention {
    fn sizes(&self, q: &Shape, k: &Shape) -> Result<Sizes> {
        let (batch, queries, width) = q.dims3()?;
        Ok(Sizes {
            batch,
            queries,
            keys: k.dims3()?.1,
            width,
            head: width / self.heads,
        })
    }
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

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = self.sizes(l1.shape(), l2.shape())?;
        let (q, k, v) = (
            contiguous_f32(s1, l1)?,
            contiguous_f32(s2, l2)?,
            contiguous_f32(s3, l3)?,
        );
        let Sizes {
            queries,
            keys,
            width,
            head,
            ..
        } = sizes;
        let mut out = vec![0f32; q.len()];
        out.par_chunks_mut(queries * width).enumerate().for_each(|(b, out)| {
            let (k, v) = (&k[b * keys * width..], &v[b * keys * width..]);
            out.par_chunks_mut(TILE * width).enumerate().for_each_init(
                || vec![0f32; TILE * keys],
                |p, (tile, out)| {
                    let rows = out.len() / width;
                    let q = &q[(b * queries + tile * TILE) * width..];
                    for h in 0..self.heads {
                        let at = h * head;
                        let p = &mut p[..rows * keys];
                        weights_into(
                            p,
                            sizes,
                            View::new(&q[at..], rows, head, width),
                            View::new(&k[at..], keys, head, width),
                        );
                        let p = View::new(p, rows, keys, keys);
                        matmul_into(
                            &mut out[at..],
                            width,
                            0.0,
                            1.0,
                            p,
                            View::new(&v[at..], keys, head, width),
                        );
                    }
                },
            );
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = self.sizes(q.shape(), k.shape())?;
        let (qs, ks, vs, gs) = (host(q)?, host(k)?, host(v)?, host(grad)?);
        let per_head: Vec<HeadGrads> = (0..sizes.batch * self.heads)
            .into_par_iter()
            .map(|i| head_backward(sizes, (i / self.heads, i % self.heads), &qs, &ks, &vs, &gs))
            .collect();
        let gather = |like: &Tensor, tokens: usize, pick: fn(&HeadGrads) -> &[f32]| {
            let mut out = vec![0f32; sizes.batch * tokens * sizes.width];
            out.par_chunks_mut(tokens * sizes.width)
                .enumerate()
                .for_each(|(b, out)| {
                    for h in 0..self.heads {
                        let part = pick(&per_head[b * self.heads + h]);
                        for (row, values) in out.chunks_exact_mut(sizes.width).zip(part.chunks_exact(sizes.head)) {
                            row[h * sizes.head..(h + 1) * sizes.head].copy_from_slice(values);
                        }
                    }
                });
            Tensor::from_vec(out, like.shape(), like.device())
        };
        Ok((
            Some(gather(q, sizes.queries, |g| &g.q)?),
            Some(gather(k, sizes.keys, |g| &g.k)?),
            Some(gather(v, sizes.keys, |g| &g.v)?),
        ))
    }
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
