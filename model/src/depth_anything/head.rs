//! The head: DPT's (Ranftl et al. 2021), which fuses the encoder's taps from coarse to fine.

use candle_core::{Result, Tensor};

use super::config::DepthConfig;
use super::resample::bilinear;
use crate::autoencoder::layers::{Conv3, Pointwise};
use crate::io::builder::Builder;
use crate::kernels::linear;

pub(super) struct Head {
    taps: Vec<Tap>,
    /// Coarsest first.
    fusions: Vec<Fusion>,
    last: [Conv3; 2],
    out: Pointwise,
    patch_size: usize,
}

/// Brings the tokens of one tap to the resolution and the channels at which they are fused.
struct Tap {
    project: Pointwise,
    resize: Resize,
    conv: Conv3,
}

enum Resize {
    /// A transposed convolution whose stride is its size: each pixel becomes a square of so many pixels on a side. Weights
    /// `[side * side * outputs, inputs]`.
    Larger {
        side: usize,
        weight: Tensor,
        bias: Tensor,
    },
    Same,
    /// A 3x3 convolution with stride 2 and a zero around the image.
    Half(Conv3),
}

impl Resize {
    fn larger(side: usize, channels: usize, vb: &Builder) -> Result<Self> {
        let weight = vb.get((channels, channels, side, side), "weight")?;
        Ok(Self::Larger {
            side,
            weight: weight
                .permute((2, 3, 1, 0))?
                .reshape((side * side * channels, channels))?,
            bias: vb.get(channels, "bias")?.repeat(side * side)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Same => Ok(x.clone()),
            Self::Larger { side, weight, bias } => {
                let (_, height, width, channels) = x.dims4()?;
                linear(x, weight, Some(bias))?
                    .reshape((height, width, *side, *side, channels))?
                    .permute((0, 2, 1, 3, 4))?
                    .reshape((1, height * side, width * side, channels))
            }
            Self::Half(conv) => {
                // Halving takes even sides; a zero more at the end of an odd one is the zero around the image.
                let (_, height, width, _) = x.dims4()?;
                let even = x.pad_with_zeros(1, 0, height % 2)?.pad_with_zeros(2, 0, width % 2)?;
                conv.halve(&even.contiguous()?, 1)
            }
        }
    }
}

/// Two convolutions over a shortcut.
struct Residual([Conv3; 2]);

impl Residual {
    fn new(channels: usize, vb: &Builder) -> Result<Self> {
        let conv = |name: &str| Conv3::new(channels, channels, &vb.pp(name));
        Ok(Self([conv("convolution1")?, conv("convolution2")?]))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [first, second] = &self.0;
        x + second.forward(&first.forward(&x.relu()?)?.relu()?)?
    }
}

struct Fusion {
    /// Of the tap; nothing joins the coarsest one.
    tap: Option<Residual>,
    sum: Residual,
    project: Pointwise,
}

impl Fusion {
    fn new(is_coarsest: bool, channels: usize, vb: &Builder) -> Result<Self> {
        let residual = |name: &str| Residual::new(channels, &vb.pp(name));
        Ok(Self {
            tap: (!is_coarsest).then(|| residual("residual_layer1")).transpose()?,
            sum: residual("residual_layer2")?,
            project: Pointwise::conv(channels, channels, &vb.pp("projection"))?,
        })
    }

    /// What came so far with a tap of the same size, enlarged.
    ///
    /// # Shapes
    /// `fused`, `tap: [1, height, width, channels]`, result `[1, height_to, width_to, channels]`.
    fn forward(&self, fused: Option<&Tensor>, tap: &Tensor, (height, width): (usize, usize)) -> Result<Tensor> {
        let sum = match (&self.tap, fused) {
            (Some(residual), Some(fused)) => (fused + residual.forward(tap)?)?,
            _ => tap.clone(),
        };
        // A 1x1 convolution and a resampling whose weights add up to 1 can change places: this one has fewer pixels.
        bilinear(&self.project.forward(&self.sum.forward(&sum)?)?, height, width)
    }
}

impl Head {
    pub fn new(config: &DepthConfig, vb: &Builder) -> Result<Self> {
        let (width, fused) = (config.backbone_config.hidden_size, config.fusion_hidden_size);
        let neck = vb.pp("neck");
        let tap = |i: usize| {
            let channels = config.neck_hidden_sizes[i];
            let stage = neck.pp("reassemble_stage.layers").pp(i);
            let resize = stage.pp("resize");
            Ok(Tap {
                project: Pointwise::conv(width, channels, &stage.pp("projection"))?,
                resize: match i {
                    0 => Resize::larger(4, channels, &resize)?,
                    1 => Resize::larger(2, channels, &resize)?,
                    2 => Resize::Same,
                    _ => Resize::Half(Conv3::new(channels, channels, &resize)?),
                },
                conv: Conv3::without_bias(channels, fused, &neck.pp("convs").pp(i))?,
            })
        };
        let fusion = |i: usize| Fusion::new(i == 0, fused, &neck.pp("fusion_stage.layers").pp(i));
        let (head, last) = (vb.pp("head"), config.head_hidden_size);
        Ok(Self {
            taps: (0..4).map(tap).collect::<Result<_>>()?,
            fusions: (0..4).map(fusion).collect::<Result<_>>()?,
            last: [
                Conv3::new(fused, fused / 2, &head.pp("conv1"))?,
                Conv3::new(fused / 2, last, &head.pp("conv2"))?,
            ],
            out: Pointwise::conv(last, 1, &head.pp("conv3"))?,
            patch_size: config.backbone_config.patch_size,
        })
    }

    /// Disparity out of the encoder's taps: at least 0, larger is nearer.
    ///
    /// # Shapes
    /// `taps: [1, rows, cols, width]` each, finest first; result `[rows * patch, cols * patch]`.
    pub fn forward(&self, taps: &[Tensor]) -> Result<Tensor> {
        let (_, rows, cols, _) = taps[0].dims4()?;
        let tap = |(tap, tokens): (&Tap, &Tensor)| {
            let x = tap.resize.forward(&tap.project.forward(tokens)?)?;
            tap.conv.forward(&x)
        };
        let taps = self.taps.iter().zip(taps).map(tap).collect::<Result<Vec<_>>>()?;
        let mut fused = None;
        for (i, fusion) in self.fusions.iter().enumerate() {
            let tap = &taps[3 - i];
            // To the size of the next tap; from the finest on, twice as large.
            let size = if i < 3 {
                let (_, height, width, _) = taps[2 - i].dims4()?;
                (height, width)
            } else {
                (8 * rows, 8 * cols)
            };
            fused = Some(fusion.forward(fused.as_ref(), tap, size)?);
        }
        let fused = fused.expect("there are fusions");
        let [first, second] = &self.last;
        let (height, width) = (rows * self.patch_size, cols * self.patch_size);
        let x = bilinear(&first.forward(&fused)?, height, width)?;
        let x = self.out.forward(&second.forward(&x)?.relu()?)?;
        x.relu()?.reshape((height, width))
    }
}
