//! Writes a Stable Diffusion 3 checkpoint of the real size with random weights, to measure loading and memory where the
//! real files can't be had: `cargo run --release -p mdsd3-model --example random_checkpoint -- FOLDER [BLOCKS] [CLIP-G LAYERS]`
//!
//! A diffusers folder in f16: the transformer of SD3-medium with a clean path and four classes, the KL autoencoder, both
//! CLIP encoders with small tokenizers, no T5. About 8 GB with the defaults, 24 blocks and 32 layers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use half::f16;
use mdsd3_model::autoencoder::{KlAutoencoder, KlConfig};
use mdsd3_model::config::MmditConfig;
use mdsd3_model::io::skeleton::Skeleton;
use mdsd3_model::mmdit::Mmdit;
use safetensors::{Dtype, View};
use serde_json::{Value, json};

/// Random numbers that all tensors are cut from.
const POOL: usize = 1 << 20;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = args
        .next()
        .ok_or("usage: random_checkpoint FOLDER [BLOCKS] [CLIP-G LAYERS]")?;
    let blocks = args.next().map_or(Ok(24), |n| n.parse())?;
    let layers = args.next().map_or(Ok(32), |n| n.parse())?;
    let folder = Path::new(&folder);
    let pool = noise_pool();
    write_transformer(folder, blocks, &pool)?;
    write_autoencoder(folder, &pool)?;
    write_clip(folder, 1, (768, 3072, 12, 768, "quick_gelu"), &pool)?;
    write_clip(folder, 2, (1280, 5120, layers, 1280, "gelu"), &pool)?;
    write_json(
        &folder.join("scheduler/scheduler_config.json"),
        &json!({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}),
    )?;
    write_json(
        &folder.join("model_index.json"),
        &json!({"_class_name": "StableDiffusion3Pipeline"}),
    )
}

/// Uniform numbers in -1..=1 from a fixed seed, by xorshift.
fn noise_pool() -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..POOL).map(|_| next()).collect()
}

/// A tensor whose values are made when they are written.
struct RandomTensor<'a> {
    shape: Vec<usize>,
    /// Norm gains are 1 and biases small; matrices keep the scale of what they multiply.
    mean: f32,
    spread: f32,
    offset: usize,
    pool: &'a [f32],
}

impl<'a> RandomTensor<'a> {
    fn new(name: &str, shape: Vec<usize>, pool: &'a [f32]) -> Self {
        let inputs: usize = shape.iter().skip(1).product();
        let gain = shape.len() == 1 && name.ends_with("weight");
        let spread = if shape.len() == 1 {
            0.01
        } else {
            0.7 / (inputs as f32).sqrt()
        };
        let offset = name
            .bytes()
            .fold(7_usize, |n, b| n.wrapping_mul(31).wrapping_add(b.into()))
            % POOL;
        Self {
            shape,
            mean: f32::from(u8::from(gain)),
            spread,
            offset,
            pool,
        }
    }
}

impl View for RandomTensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F16
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let period: Vec<u8> = self
            .pool
            .iter()
            .flat_map(|v| f16::from_f32(self.mean + self.spread * v).to_le_bytes())
            .collect();
        let mut bytes = Vec::with_capacity(self.data_len());
        let mut start = 2 * self.offset;
        while bytes.len() < self.data_len() {
            let end = period.len().min(start + self.data_len() - bytes.len());
            bytes.extend_from_slice(&period[start..end]);
            start = 0;
        }
        bytes.into()
    }

    fn data_len(&self) -> usize {
        2 * self.shape.iter().product::<usize>()
    }
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    fs::create_dir_all(path.parent().ok_or("a path without a folder")?)?;
    Ok(fs::write(path, serde_json::to_vec_pretty(value)?)?)
}

fn write_weights(path: &Path, shapes: BTreeMap<String, Vec<usize>>, pool: &[f32]) -> Result<()> {
    let values: usize = shapes.values().map(|shape| shape.iter().product::<usize>()).sum();
    println!("{}: {:.1} million values", path.display(), values as f64 / 1e6);
    let tensors = shapes.into_iter().map(|(name, shape)| {
        let tensor = RandomTensor::new(&name, shape, pool);
        (name, tensor)
    });
    Ok(safetensors::serialize_to_file(tensors, None, path)?)
}

fn write_transformer(folder: &Path, blocks: usize, pool: &[f32]) -> Result<()> {
    let shape = MmditConfig {
        num_layers: blocks,
        classes: ["rain", "haze", "noise", "snow"].map(String::from).into(),
        ..MmditConfig::sd3_medium()
    };
    let mut config = serde_json::to_value(&shape)?;
    config["_class_name"] = json!("SD3Transformer2DModel");
    let skeleton = Skeleton::new(None);
    Mmdit::with_clean_path(&shape, skeleton.builder(), true)?;
    let folder = folder.join("transformer");
    write_json(&folder.join("config.json"), &config)?;
    write_weights(
        &folder.join("diffusion_pytorch_model.safetensors"),
        skeleton.shapes(),
        pool,
    )
}

fn write_autoencoder(folder: &Path, pool: &[f32]) -> Result<()> {
    let shape = KlConfig::sd3();
    let mut config = serde_json::to_value(&shape)?;
    config["_class_name"] = json!("AutoencoderKL");
    let skeleton = Skeleton::new(None);
    KlAutoencoder::new(&shape, &skeleton.builder())?;
    let folder = folder.join("vae");
    write_json(&folder.join("config.json"), &config)?;
    write_weights(
        &folder.join("diffusion_pytorch_model.safetensors"),
        skeleton.shapes(),
        pool,
    )
}

/// (width, inner width, layers, projection, activation)
type ClipShape = (usize, usize, usize, usize, &'static str);

fn write_clip(folder: &Path, number: usize, shape: ClipShape, pool: &[f32]) -> Result<()> {
    let (width, inner, layers, projection, activation) = shape;
    let suffix = if number == 1 {
        String::new()
    } else {
        format!("_{number}")
    };
    let vocabulary = write_clip_tokenizer(&folder.join(format!("tokenizer{suffix}")), number)?;
    let mut shapes = BTreeMap::from([
        (
            "text_model.embeddings.token_embedding.weight".to_owned(),
            vec![49_408, width],
        ),
        (
            "text_model.embeddings.position_embedding.weight".to_owned(),
            vec![77, width],
        ),
        ("text_projection.weight".to_owned(), vec![projection, width]),
    ]);
    let mut add = |name: String, outputs: usize, inputs: Option<usize>| {
        shapes.insert(
            format!("text_model.{name}.weight"),
            [Some(outputs), inputs].into_iter().flatten().collect(),
        );
        shapes.insert(format!("text_model.{name}.bias"), vec![outputs]);
    };
    add("final_layer_norm".to_owned(), width, None);
    for layer in (0..layers).map(|i| format!("encoder.layers.{i}")) {
        for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            add(format!("{layer}.self_attn.{name}"), width, Some(width));
        }
        add(format!("{layer}.mlp.fc1"), inner, Some(width));
        add(format!("{layer}.mlp.fc2"), width, Some(inner));
        add(format!("{layer}.layer_norm1"), width, None);
        add(format!("{layer}.layer_norm2"), width, None);
    }
    let config = json!({
        "architectures": ["CLIPTextModelWithProjection"], "vocab_size": 49_408, "hidden_size": width,
        "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": width / 64,
        "max_position_embeddings": 77, "projection_dim": projection, "hidden_act": activation,
        "layer_norm_eps": 1e-5, "bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1,
        "pad_token_id": if number == 1 { vocabulary - 1 } else { 0 },
    });
    let folder = folder.join(format!("text_encoder{suffix}"));
    write_json(&folder.join("config.json"), &config)?;
    write_weights(&folder.join("model.safetensors"), shapes, pool)
}

/// A tokenizer of single characters: printable ASCII, alone and at the end of a word. Returns the vocabulary's size.
fn write_clip_tokenizer(folder: &Path, number: usize) -> Result<usize> {
    let characters: Vec<String> = ('!'..='~').map(String::from).collect();
    let ends = characters.iter().map(|c| format!("{c}</w>"));
    let words = characters
        .iter()
        .cloned()
        .chain(ends)
        .chain(["<|startoftext|>".to_owned(), "<|endoftext|>".to_owned()]);
    let vocabulary: BTreeMap<String, usize> = words.enumerate().map(|(i, word)| (word, i)).collect();
    let pad = if number == 1 { "<|endoftext|>" } else { "!" };
    write_json(&folder.join("vocab.json"), &json!(vocabulary))?;
    fs::write(folder.join("merges.txt"), "#version: 0.2\n")?;
    let special = json!({
        "tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": pad,
    });
    write_json(&folder.join("tokenizer_config.json"), &special)?;
    Ok(vocabulary.len())
}
