//! One joint block of the image and context streams.

use candle_core::{Result, Tensor};

use super::Linear;
use super::neighbours::Neighbours;
use super::segments::Unchanging;
use crate::config::MmditConfig;
use crate::io::builder::Builder;
use crate::kernels::{add, attention, gated_residual, gelu_tanh, layer_norm, modulated_layer_norm, rms_norm};

/// Two layers with a tanh-GELU between, four times as wide inside.
pub(super) struct FeedForward {
    up: Linear,
    down: Linear,
}

impl FeedForward {
    pub(super) fn new(width: usize, vb: Builder) -> Result<Self> {
        Ok(Self {
            up: Linear::new(width, 4 * width, vb.pp("net").pp(0).pp("proj"))?,
            down: Linear::new(4 * width, width, vb.pp("net").pp(2))?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.down.forward(&gelu_tanh(&self.up.forward(x)?)?)
    }
}

/// Query, key and value of one stream, with the optional QK norm.
struct Projections {
    q: Linear,
    k: Linear,
    v: Linear,
    norm: Option<[Tensor; 2]>,
    head_dim: usize,
}

impl Projections {
    fn new(config: &MmditConfig, vb: &Builder, names: [&str; 3], norms: [&str; 2]) -> Result<Self> {
        let (width, head_dim) = (config.width(), config.attention_head_dim);
        let linear = |name: &str| Linear::new(width, width, vb.pp(name));
        let gain = |name: &str| vb.pp(name).get_with_hints(head_dim, "weight", candle_nn::init::ONE);
        let norm = config
            .qk_norm
            .map(|_| Ok::<_, candle_core::Error>([gain(norms[0])?, gain(norms[1])?]))
            .transpose()?;
        Ok(Self {
            q: linear(names[0])?,
            k: linear(names[1])?,
            v: linear(names[2])?,
            norm,
            head_dim,
        })
    }

    fn image(config: &MmditConfig, vb: &Builder) -> Result<Self> {
        Self::new(config, vb, ["to_q", "to_k", "to_v"], ["norm_q", "norm_k"])
    }

    fn context(config: &MmditConfig, vb: &Builder) -> Result<Self> {
        Self::new(
            config,
            vb,
            ["add_q_proj", "add_k_proj", "add_v_proj"],
            ["norm_added_q", "norm_added_k"],
        )
    }

    /// q, k, v of `x`, the clean path's added before the norm: `[batch, tokens, width]` each.
    fn forward(&self, x: &Tensor, clean: Option<&[Tensor; 3]>) -> Result<[Tensor; 3]> {
        let mut qkv = [self.q.forward(x)?, self.k.forward(x)?, self.v.forward(x)?];
        if let Some(clean) = clean {
            for (own, clean) in qkv.iter_mut().zip(clean) {
                *own = add(own, clean)?;
            }
        }
        if let Some(gains) = &self.norm {
            for (x, gain) in qkv.iter_mut().zip(gains) {
                let (batch, tokens, width) = x.dims3()?;
                let heads = x.reshape((batch, tokens, width / self.head_dim, self.head_dim))?;
                *x = rms_norm(&heads, gain)?.reshape((batch, tokens, width))?;
            }
        }
        Ok(qkv)
    }
}

/// What the context stream needs after attention; absent in the last block.
struct ContextRest {
    to_out: Linear,
    ff: FeedForward,
}

/// The second, image-only attention of SD3.5-medium's first blocks.
struct DualAttention {
    qkv: Projections,
    to_out: Linear,
}

pub(super) struct JointBlock {
    neighbours: Option<Neighbours>,
    modulation: Linear,
    context_modulation: Linear,
    image: Projections,
    context: Projections,
    to_out: Linear,
    ff: FeedForward,
    context_rest: Option<ContextRest>,
    dual: Option<DualAttention>,
    heads: usize,
}

impl JointBlock {
    pub(super) fn new(config: &MmditConfig, index: usize, vb: Builder) -> Result<Self> {
        let width = config.width();
        let last = index + 1 == config.num_layers;
        let dual = config.dual_attention_layers.contains(&index);
        let attn = vb.pp("attn");
        let modulation = |name: &str, vectors: usize| Linear::small(width, vectors * width, vb.pp(name).pp("linear"));
        let context_rest = || -> Result<ContextRest> {
            Ok(ContextRest {
                to_out: Linear::new(width, width, attn.pp("to_add_out"))?,
                ff: FeedForward::new(width, vb.pp("ff_context"))?,
            })
        };
        let dual_attention = || -> Result<DualAttention> {
            let attn2 = vb.pp("attn2");
            Ok(DualAttention {
                qkv: Projections::image(config, &attn2)?,
                to_out: Linear::new(width, width, attn2.pp("to_out").pp(0))?,
            })
        };
        Ok(Self {
            // What the first block reads has its neighbours from the patch embedding.
            neighbours: (index > 0)
                .then(|| Neighbours::of(config, (width, width), &vb))
                .transpose()?
                .flatten(),
            modulation: modulation("norm1", if dual { 9 } else { 6 })?,
            context_modulation: modulation("norm1_context", if last { 2 } else { 6 })?,
            image: Projections::image(config, &attn)?,
            context: Projections::context(config, &attn)?,
            to_out: Linear::new(width, width, attn.pp("to_out").pp(0))?,
            ff: FeedForward::new(width, vb.pp("ff"))?,
            context_rest: (!last).then(context_rest).transpose()?,
            dual: dual.then(dual_attention).transpose()?,
            heads: config.num_attention_heads,
        })
    }

    /// # Shapes
    /// `x: [batch, tokens, width]`, `context: [batch, context tokens, width]`; returns both streams, the context one `None` after
    /// the last block.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        context: &Tensor,
        on: &Unchanging,
        clean: Option<&[Tensor; 3]>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let x = &match &self.neighbours {
            Some(neighbours) => neighbours.add_to(x, &layer_norm(x)?, on.grid)?,
            None => x.clone(),
        };
        let m = self
            .modulation
            .forward(&on.time)?
            .chunk(if self.dual.is_some() { 9 } else { 6 }, 1)?;
        let c = self
            .context_modulation
            .forward(&on.time)?
            .chunk(if self.context_rest.is_some() { 6 } else { 2 }, 1)?;
        // diffusers stores (scale, shift) in the last block's continuous norm, (shift, scale, ..) in the others.
        let (c_scale, c_shift) = if self.context_rest.is_some() {
            (&c[1], &c[0])
        } else {
            (&c[0], &c[1])
        };
        let image_qkv = self.image.forward(&modulated_layer_norm(x, &m[1], &m[0])?, clean)?;
        let context_qkv = self
            .context
            .forward(&modulated_layer_norm(context, c_scale, c_shift)?, None)?;
        let (image_out, context_out) = self.joint_attention(&image_qkv, &context_qkv, on.mask.as_ref())?;

        let mut out = gated_residual(x, &m[2], &self.to_out.forward(&image_out)?)?;
        if let Some(dual) = &self.dual {
            let [q, k, v] = dual.qkv.forward(&modulated_layer_norm(x, &m[7], &m[6])?, None)?;
            out = gated_residual(&out, &m[8], &dual.to_out.forward(&attention(&q, &k, &v, self.heads)?)?)?;
        }
        let hidden = modulated_layer_norm(&out, &m[4], &m[3])?;
        out = gated_residual(&out, &m[5], &self.ff.forward(&hidden)?)?;

        let Some(rest) = &self.context_rest else {
            return Ok((out, None));
        };
        let context = gated_residual(context, &c[2], &rest.to_out.forward(&context_out)?)?;
        let hidden = modulated_layer_norm(&context, &c[4], &c[3])?;
        Ok((out, Some(gated_residual(&context, &c[5], &rest.ff.forward(&hidden)?)?)))
    }

    /// Attention over image and context tokens together, the mask multiplying the context's q, k and v.
    fn joint_attention(
        &self,
        image: &[Tensor; 3],
        context: &[Tensor; 3],
        mask: Option<&Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let join = |i: usize| -> Result<Tensor> {
            let masked = match mask {
                Some(mask) => context[i].broadcast_mul(mask)?,
                None => context[i].clone(),
            };
            Tensor::cat(&[&image[i], &masked], 1)
        };
        let joined = attention(&join(0)?, &join(1)?, &join(2)?, self.heads)?;
        let (image_tokens, context_tokens) = (image[0].dim(1)?, context[0].dim(1)?);
        Ok((
            joined.narrow(1, 0, image_tokens)?,
            joined.narrow(1, image_tokens, context_tokens)?,
        ))
    }
}
