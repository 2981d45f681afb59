//! Neighbour projections: what a token is told of the eight around it, before it attends to all.
//!
//! Attention can look anywhere, and a small network learns to look next door late or never: each of its tokens then draws
//! its own patch, and what is longer than a patch, such as a streak of rain, ends at the border. A convolution over the grid of
//! tokens hands it the neighbours at once: their patches in front of the first block, their state in front of each later one, and
//! part of the output layer's answer for theirs. All start at zero, as the clean path's zero projections do, so that a model trained
//! without them goes on from where it was. Convolutions in the embedding and between blocks are those of Xiao et al. 2021
//! (arXiv:2106.14881) and Wu et al. 2021 (arXiv:2103.15808); no published SD3 has them.

use candle_core::{Result, Tensor};

use crate::config::MmditConfig;
use crate::io::builder::Builder;
use crate::kernels::{Sampling, add, conv3x3};

/// The part of their tensors' names that tells them from the rest.
const NAME: &str = "neighbours";

/// Whether a tensor belongs to a neighbour projection.
pub fn is_neighbours(tensor: &str) -> bool {
    tensor.rsplit('.').nth(1) == Some(NAME)
}

/// A 3x3 convolution over the grid of tokens, zeros around it.
pub(super) struct Neighbours {
    weight: Tensor,
    bias: Tensor,
}

impl Neighbours {
    /// `None` for a model without them.
    pub(super) fn of(config: &MmditConfig, (inputs, outputs): (usize, usize), vb: &Builder) -> Result<Option<Self>> {
        if !config.neighbours {
            return Ok(None);
        }
        let vb = vb.pp(NAME);
        Ok(Some(Self {
            weight: vb.get_with_hints((outputs, 9 * inputs), "weight", candle_nn::init::ZERO)?,
            bias: vb.get_with_hints(outputs, "bias", candle_nn::init::ZERO)?,
        }))
    }

    /// What is added to `own`, each token's own projection.
    ///
    /// # Shapes
    /// `own: [batch, rows * cols, outputs]`, `tokens: [batch, rows * cols, inputs]`, `grid` is (rows, cols), result like `own`.
    pub(super) fn add_to(&self, own: &Tensor, tokens: &Tensor, grid: (usize, usize)) -> Result<Tensor> {
        let (batch, _, inputs) = tokens.dims3()?;
        let tokens = tokens.reshape((batch, grid.0, grid.1, inputs))?;
        let around = conv3x3(&tokens, &self.weight, &self.bias, Sampling::Same)?;
        add(own, &around.reshape(own.shape())?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::mmdit::{Conditioning, Mmdit};
    use crate::sampler::noise::gaussian;
    use crate::train::variables::Variables;

    fn config(neighbours: bool) -> MmditConfig {
        MmditConfig {
            sample_size: 16,
            in_channels: 4,
            out_channels: 4,
            num_layers: 3,
            num_attention_heads: 2,
            attention_head_dim: 8,
            joint_attention_dim: 8,
            caption_projection_dim: 16,
            pooled_projection_dim: 8,
            pos_embed_max_size: 16,
            neighbours,
            ..MmditConfig::sd3_medium()
        }
    }

    fn tensor(seed: u64, shape: &[usize]) -> Tensor {
        Tensor::from_vec(gaussian(seed, 0, 0, shape.iter().product()), shape, &Device::Cpu).unwrap()
    }

    fn difference(a: &Tensor, b: &Tensor) -> f32 {
        let all = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        all.max(0).unwrap().to_scalar().unwrap()
    }

    /// Latents of 6 x 4 tokens, their scene, and what they are conditioned on.
    struct Inputs {
        latents: Tensor,
        scene: Tensor,
        timestep: Tensor,
        context: Tensor,
        pooled: Tensor,
        mask: Tensor,
    }

    impl Inputs {
        fn new() -> Self {
            Self {
                latents: tensor(1, &[2, 4, 12, 8]),
                scene: tensor(2, &[2, 4, 12, 8]),
                timestep: Tensor::new(&[700f32, 90.0], &Device::Cpu).unwrap(),
                context: tensor(3, &[2, 3, 8]),
                pooled: tensor(4, &[2, 8]),
                mask: tensor(5, &[2, 2]),
            }
        }

        fn whole(&self, model: &Mmdit) -> Tensor {
            let clean = model.clean_cache(&self.scene, None).unwrap();
            let on = Conditioning {
                clean: Some(&clean),
                ..self.told()
            };
            model.forward(&self.latents, &on).unwrap()
        }

        fn in_pieces(&self, model: &Mmdit) -> Tensor {
            let told = self.told();
            let on = model.unchanging(&told, &self.latents).unwrap();
            let mut streams = model.embed(&self.latents, Some(&self.scene), &told).unwrap();
            for index in 0..model.config().num_layers {
                streams = model.segment(index, &streams, &on).unwrap();
            }
            model.output(&streams.image, &on).unwrap()
        }

        fn told(&self) -> Conditioning<'_> {
            Conditioning {
                timestep: &self.timestep,
                context: &self.context,
                pooled: &self.pooled,
                mask: Some(&self.mask),
                clean: None,
                origin: None,
            }
        }
    }

    #[test]
    fn at_zero_they_change_nothing_and_pieces_equal_the_whole_whatever_they_are() {
        let (variables, inputs) = (Variables::new(7), Inputs::new());
        let model = |neighbours| Mmdit::with_clean_path(&config(neighbours), variables.builder(), true).unwrap();
        let without = inputs.whole(&model(false));
        assert!(difference(&inputs.whole(&model(true)), &without) == 0.0);
        for (i, (name, var)) in variables.all().iter().enumerate() {
            if is_neighbours(name) {
                var.set(&(tensor(100 + i as u64, var.dims()) * 0.1).unwrap()).unwrap();
            }
        }
        let with = inputs.whole(&model(true));
        assert!(difference(&with, &without) > 0.01);
        assert!(difference(&inputs.in_pieces(&model(true)), &with) < 1e-5);
    }

    #[test]
    fn a_token_is_told_of_the_eight_around_it_and_no_others() {
        let variables = Variables::new(7);
        let neighbours = Neighbours::of(&config(true), (3, 5), &variables.builder())
            .unwrap()
            .unwrap();
        let weight = &variables.all()["neighbours.weight"];
        weight.set(&tensor(1, weight.dims())).unwrap();
        let (own, mut tokens) = (tensor(2, &[1, 30, 5]), tensor(3, &[30, 3]).to_vec2::<f32>().unwrap());
        let told = |tokens: &Vec<Vec<f32>>| {
            let tokens = Tensor::new(tokens.clone(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            let told = neighbours.add_to(&own, &tokens, (6, 5)).unwrap();
            told.squeeze(0).unwrap().to_vec2::<f32>().unwrap()
        };
        let before = told(&tokens);
        // Row 2, column 4: at the right border, whose neighbours are not the next row's first.
        tokens[2 * 5 + 4] = vec![9.0; 3];
        let after = told(&tokens);
        let changed: Vec<(usize, usize)> = (0..30)
            .filter(|&i| before[i] != after[i])
            .map(|i| (i / 5, i % 5))
            .collect();
        assert_eq!(changed, [(1, 3), (1, 4), (2, 3), (2, 4), (3, 3), (3, 4)]);
    }
}
