use candle_core::{Device, Shape};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;
use serde_json::json;

use super::*;
use crate::sampler::noise::gaussian;

/// The same random weights every time, of a size that keeps activations near 1.
struct RandomWeights;

fn noise(seed: u64, shape: &[usize]) -> Tensor {
    let values = gaussian(seed, 0, 0, shape.iter().product());
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

impl SimpleBackend for RandomWeights {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let inputs: usize = shape.dims()[1..].iter().product();
        let gain = name.contains("norm") && name.ends_with("weight");
        let (mean, deviation) = if gain {
            (1.0, 0.1)
        } else {
            (0.0, 0.7 / (inputs as f64).sqrt())
        };
        let seed = name
            .bytes()
            .fold(0, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte));
        ((noise(seed, shape.dims()) * deviation)? + mean)?
            .to_device(device)?
            .to_dtype(dtype)
    }

    fn get_unchecked(&self, _: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        Tensor::zeros((), dtype, device)
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// Six tiles of the images below.
const TILING: Tiling = Tiling { tile: 48, overlap: 24 };

fn config() -> serde_json::Value {
    json!({
        "block_out_channels": [8, 16, 16], "layers_per_block": 1, "latent_channels": 4, "norm_num_groups": 4,
        "scaling_factor": 1.5305, "shift_factor": 0.0609,
    })
}

fn model() -> KlAutoencoder {
    let vb = VarBuilder::from_backend(Box::new(RandomWeights), DType::F32, Device::Cpu);
    KlAutoencoder::new(&KlConfig::from_json(&config()).unwrap(), &vb).unwrap()
}

fn rms(x: &Tensor) -> f32 {
    x.sqr()
        .unwrap()
        .mean_all()
        .unwrap()
        .sqrt()
        .unwrap()
        .to_scalar()
        .unwrap()
}

/// Largest step from a pixel to the next along the width.
fn steepest(x: &Tensor) -> f32 {
    let width = x.dim(3).unwrap() - 1;
    let step = (x.narrow(3, 1, width).unwrap() - x.narrow(3, 0, width).unwrap()).unwrap();
    step.abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn tiles_show_no_seams() {
    let model = model();
    let latents = noise(1, &[1, 4, 56, 88]);
    let whole = model.decode_tiled(&latents, None).unwrap();
    let tiled = model.decode_tiled(&latents, Some(TILING)).unwrap();
    assert_eq!(tiled.dims(), [1, 3, 224, 352]);
    let error = (&tiled - &whole).unwrap();
    // What is left is that of the tiles' own statistics, which is larger for random weights than for trained ones; it has no
    // edges to speak of against the image's.
    assert!(rms(&error) < 0.08 * rms(&whole), "{} of {}", rms(&error), rms(&whole));
    assert!(
        steepest(&error) < 0.2 * steepest(&whole),
        "{} of {}",
        steepest(&error),
        steepest(&whole)
    );
}

#[test]
fn encoding_in_tiles_is_close_to_encoding_whole() {
    let model = model();
    let rgb = (noise(2, &[1, 3, 224, 352]) * 0.5).unwrap();
    let whole = model.encode_tiled(&rgb, None).unwrap();
    let tiled = model.encode_tiled(&rgb, Some(TILING)).unwrap();
    assert_eq!(tiled.dims(), [1, 4, 56, 88]);
    assert!(rms(&(&tiled - &whole).unwrap()) < 0.08 * rms(&whole));
}

#[test]
fn a_batch_decodes_as_its_images_do() {
    let model = model();
    let latents = noise(3, &[2, 4, 6, 10]);
    let both = model.decode(&latents).unwrap();
    let second = model.decode(&latents.narrow(0, 1, 1).unwrap()).unwrap();
    assert!(rms(&(both.narrow(0, 1, 1).unwrap() - second).unwrap()) < 1e-6);
}

#[test]
fn configs_that_are_not_sd3s_are_refused() {
    for (field, value) in [
        ("norm_num_groups", json!(5)),
        ("block_out_channels", json!([])),
        ("use_quant_conv", json!(true)),
        ("scaling_factor", json!(0.0)),
        ("latent_channels", json!("four")),
    ] {
        let mut config = config();
        config[field] = value;
        let error = KlConfig::from_json(&config).unwrap_err();
        assert!(
            error.is_bad_input() && error.to_string().lines().count() == 1,
            "{error}"
        );
    }
}
