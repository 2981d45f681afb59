//! Where the grid of tokens lies.
//!
//! A token answers for its own patch, and where two of them disagree their border shows. Sampling adds such answers up, and if the
//! grid always lies at the same place, so do its borders. A model of this program may therefore have its grid moved by half a
//! token every second step: what was a border is then the middle of a token, which sees both sides of it. Averaging over
//! placements of a transform's blocks is cycle spinning (Coifman and Donoho 1995, "Translation-invariant de-noising"); windows
//! that move between layers are those of Swin (Liu et al. 2021, arXiv:2103.14030). It costs no evaluation, but one token more per
//! row and column and a second pass of the clean path.

use candle_core::{Device, Result, Tensor};

use crate::config::MmditConfig;

/// Margins, in latent pixels, of the grids that steps take in turn. The moved one comes first: of four photos' snow its order left
/// the faintest borders.
pub(super) fn alternating_margins(config: &MmditConfig) -> [usize; 2] {
    [config.patch_size / 2, 0]
}

/// Latents with a margin on all sides, mirrored about the outermost pixel, so that no token holds a value twice.
///
/// # Shapes
/// `latents: [batch, channels, height, width]`, result `[batch, channels, height + 2 * margin, width + 2 * margin]`.
pub(super) fn with_margin(latents: &Tensor, margin: usize) -> Result<Tensor> {
    if margin == 0 {
        return Ok(latents.clone());
    }
    let (_, _, height, width) = latents.dims4()?;
    latents
        .index_select(&mirrored(height, margin, latents.device())?, 2)?
        .index_select(&mirrored(width, margin, latents.device())?, 3)
}

/// The inverse of [`with_margin`].
pub(super) fn without_margin(latents: &Tensor, margin: usize) -> Result<Tensor> {
    if margin == 0 {
        return Ok(latents.clone());
    }
    let (_, _, height, width) = latents.dims4()?;
    latents
        .narrow(2, margin, height - 2 * margin)?
        .narrow(3, margin, width - 2 * margin)?
        .contiguous()
}

fn mirrored(length: usize, margin: usize, device: &Device) -> Result<Tensor> {
    if length <= margin {
        candle_core::bail!("{length} latent pixels cannot be mirrored over a margin of {margin}");
    }
    let before = (1..=margin).rev();
    let after = (length - 1 - margin..length - 1).rev();
    let indices: Vec<u32> = before.chain(0..length).chain(after).map(|i| i as u32).collect();
    Tensor::new(indices, device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmdit::{CleanCache, Conditioning, Mmdit};
    use crate::sampler::noise::gaussian;
    use crate::train::variables::Variables;

    /// Tokens along a side of the positional table.
    const TABLE: usize = 8;

    fn model() -> Mmdit {
        let config = MmditConfig {
            sample_size: 2 * TABLE,
            in_channels: 4,
            out_channels: 4,
            num_layers: 2,
            num_attention_heads: 2,
            attention_head_dim: 8,
            joint_attention_dim: 8,
            caption_projection_dim: 16,
            pooled_projection_dim: 8,
            pos_embed_max_size: TABLE,
            neighbours: true,
            ..MmditConfig::sd3_medium()
        };
        let variables = Variables::new(7);
        let model = Mmdit::with_clean_path(&config, variables.builder(), true).unwrap();
        for (i, (_, var)) in variables.all().iter().enumerate() {
            var.set(&(tensor(100 + i as u64, var.dims()) * 0.2).unwrap()).unwrap();
        }
        model
    }

    fn tensor(seed: u64, shape: &[usize]) -> Tensor {
        Tensor::from_vec(gaussian(seed, 0, 0, shape.iter().product()), shape, &Device::Cpu).unwrap()
    }

    fn answer(model: &Mmdit, latents: &Tensor, clean: &CleanCache, origin: Option<(usize, usize)>) -> Tensor {
        let on = Conditioning {
            timestep: &Tensor::new(&[700f32], &Device::Cpu).unwrap(),
            context: &tensor(3, &[latents.dim(0).unwrap(), 3, 8]),
            pooled: &tensor(4, &[1, 8]),
            mask: None,
            clean: Some(clean),
            origin,
        };
        model.forward(latents, &on).unwrap()
    }

    fn values(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_margin_mirrors_what_lies_behind_the_outermost_pixels() {
        let row = Tensor::new(&[[[[1f32, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]]], &Device::Cpu).unwrap();
        let wide = with_margin(&row, 1).unwrap();
        let middle = [[2.0, 1.0, 2.0, 3.0, 4.0, 3.0], [6.0, 5.0, 6.0, 7.0, 8.0, 7.0]];
        let expected = [middle[1], middle[0], middle[1], middle[0]].concat();
        assert_eq!(values(&wide), expected);
        assert_eq!(values(&without_margin(&wide, 1).unwrap()), values(&row));
        assert!(with_margin(&row, 2).is_err(), "two rows have no third to mirror");
    }

    #[test]
    fn a_moved_grid_answers_as_the_plain_one_does_on_wider_latents() {
        let (model, origin) = (model(), Some((1, 2)));
        let (latents, scene) = (tensor(1, &[2, 4, 12, 8]), tensor(2, &[2, 4, 12, 8]));
        let caches = model.clean_caches(&scene, origin, true).unwrap();
        let wide = |t: &Tensor| with_margin(t, 1).unwrap();
        let plain = model.clean_cache(&wide(&scene), origin).unwrap();
        let expected = without_margin(&answer(&model, &wide(&latents), &plain, origin), 1).unwrap();
        let [moved, unmoved] = caches.as_slice() else {
            panic!("two grids take turns")
        };
        let moved = answer(&model, &latents, moved, origin);
        assert_eq!(values(&moved), values(&expected));
        let unmoved = answer(&model, &latents, unmoved, origin);
        let plain = model.clean_cache(&scene, origin).unwrap();
        assert_eq!(values(&unmoved), values(&answer(&model, &latents, &plain, origin)));
        assert!(values(&moved) != values(&unmoved));
        assert_eq!(model.clean_caches(&scene, origin, false).unwrap().len(), 1);
    }

    #[test]
    fn an_image_as_large_as_the_table_has_room_for_the_moved_grid() {
        let model = model();
        let side = |tokens: usize| [1, 4, 2 * tokens, 2 * tokens];
        let whole = tensor(1, &side(TABLE));
        for origin in [None, Some((0, 0))] {
            for cache in model.clean_caches(&whole, origin, true).unwrap() {
                assert_eq!(answer(&model, &whole, &cache, origin).dims(), side(TABLE));
            }
        }
        let beyond = model.clean_cache(&tensor(1, &side(1)), Some((TABLE, 0)));
        assert!(beyond.is_err(), "no image begins behind the table");
        let larger = model.clean_caches(&tensor(1, &side(TABLE + 1)), None, true);
        let error = larger.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("do not fit the positional table"), "{error}");
    }
}
