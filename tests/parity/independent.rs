//! The text encoder and the autoencoder against candle-transformers' own: an implementation by other people, on inputs that
//! no golden holds.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::stable_diffusion::vae::{AutoEncoderKL, AutoEncoderKLConfig};
use candle_transformers::models::t5;
use mdsd3_model::autoencoder::{KlAutoencoder, KlConfig};
use mdsd3_model::io::checkpoint::Weights;
use mdsd3_model::parity::tolerance;
use mdsd3_model::sampler::noise::gaussian;
use mdsd3_model::text::{T5Config, T5Encoder};

const CPU: Device = Device::Cpu;

struct Golden {
    config: String,
    weights: Weights,
    builder: VarBuilder<'static>,
}

fn golden(folder: &str) -> Golden {
    let folder: PathBuf = super::goldens().join(folder);
    let tensors = candle_core::safetensors::load(folder.join("weights.safetensors"), &CPU).unwrap();
    Golden {
        config: std::fs::read_to_string(folder.join("config.json")).unwrap(),
        weights: Weights::open(&folder.join("weights.safetensors")).unwrap(),
        builder: VarBuilder::from_tensors(tensors, DType::F32, &CPU),
    }
}

fn assert_close(ours: &Tensor, theirs: &Tensor) {
    assert_eq!(ours.dims(), theirs.dims());
    let error = (ours - theirs).unwrap().abs().unwrap().max_all().unwrap();
    let error = error.to_scalar::<f32>().unwrap();
    assert!(f64::from(error) <= tolerance(&Device::Cpu), "off by {error:e}");
}

#[test]
fn t5_agrees_on_a_prompt_of_another_length() {
    let golden = golden("t5_tiny");
    let config: T5Config = serde_json::from_str(&golden.config).unwrap();
    let ours = T5Encoder::open(&config, &golden.weights, &CPU).unwrap();
    let mut theirs: serde_json::Value = serde_json::from_str(&golden.config).unwrap();
    // Read by candle-transformers, but at transformers' defaults or of no concern to an encoder.
    for (key, value) in [("layer_norm_epsilon", 1e-6), ("initializer_factor", 1.0)] {
        theirs[key] = value.into();
    }
    for key in ["pad_token_id", "eos_token_id"] {
        theirs[key] = 0.into();
    }
    let theirs: t5::Config = serde_json::from_value(theirs).unwrap();
    let mut theirs = t5::T5EncoderModel::load(golden.builder, &theirs).unwrap();
    let ids = Tensor::new(&[[3u32, 17, 4, 29, 5, 11, 2, 8, 1]], &CPU).unwrap();
    assert_close(&ours.encode(&ids).unwrap(), &theirs.forward(&ids).unwrap());
}

#[test]
fn the_kl_autoencoder_agrees_on_a_tall_image() {
    let golden = golden("vae_tiny");
    let config = KlConfig::from_json(&serde_json::from_str(&golden.config).unwrap()).unwrap();
    let ours = KlAutoencoder::new(&config, &golden.weights.builder(DType::F32, &CPU)).unwrap();
    let theirs = AutoEncoderKLConfig {
        block_out_channels: config.block_out_channels.clone(),
        layers_per_block: config.layers_per_block,
        latent_channels: config.latent_channels,
        norm_num_groups: config.norm_num_groups,
        use_quant_conv: false,
        use_post_quant_conv: false,
    };
    let theirs = AutoEncoderKL::new(golden.builder, 3, 3, theirs).unwrap();
    let shape = (1, config.latent_channels, 12, 5);
    let raw = Tensor::from_vec(gaussian(7, 0, 0, 12 * 5 * config.latent_channels), shape, &CPU).unwrap();
    // Ours takes the transformer's latents, theirs the network's own.
    let scaled = ((&raw - config.shift_factor.unwrap_or_default()).unwrap() * config.scaling_factor).unwrap();
    assert_close(&ours.decode(&scaled).unwrap(), &theirs.decode(&raw).unwrap());
}
