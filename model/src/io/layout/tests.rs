use std::path::Path;

use candle_core::{DType, Device};

use super::*;
use crate::io::damage::Damage;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/sd3_pipeline_tiny")
}

fn refusal(path: &Path) -> String {
    let error = Sd3Checkpoint::open(path, &ModelParts::default()).err().unwrap();
    assert!(error.is_bad_input(), "{error}");
    assert_eq!(error.to_string().lines().count(), 1);
    error.to_string()
}

/// Both hold the same tensors, name by name.
fn assert_same(ours: &Weights, expected: &Weights) {
    assert_eq!(ours.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for key in expected.keys() {
        let read = |w: &Weights| w.load(key, DType::F32, &Device::Cpu).unwrap();
        let (a, b) = (read(ours), read(expected));
        assert_eq!(a.dims(), b.dims(), "{key}");
        let values = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&a), values(&b), "{key}");
    }
}

#[test]
fn a_single_file_is_its_pipeline_folder() {
    let folder = Sd3Checkpoint::open(&golden().join("pipeline"), &ModelParts::default()).unwrap();
    let file = Sd3Checkpoint::open(&golden().join("single_file.safetensors"), &ModelParts::default()).unwrap();
    assert_eq!(
        (folder.layout, file.layout),
        (Layout::DiffusersFolder, Layout::SingleFile)
    );
    assert_eq!(folder.config, file.config);
    assert_same(&file.transformer, &folder.transformer);
    let vae = |c: &Sd3Checkpoint| c.autoencoder.clone().unwrap().part;
    assert_same(&vae(&file).weights, &vae(&folder).weights);
    assert!(folder.text.encoders.iter().all(Option::is_some) && folder.text.tokenizers.iter().all(Option::is_some));
    assert!(folder.unknown.is_empty() && file.unknown.is_empty());
}

#[test]
fn a_config_is_read_from_the_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alone.safetensors");
    std::fs::copy(golden().join("single_file.safetensors"), &file).unwrap();
    assert!(refusal(&file).contains("--heads"));
    let six = ModelParts {
        heads: Some(6),
        ..ModelParts::default()
    };
    let alone = Sd3Checkpoint::open(&file, &six).unwrap();
    let expected = Sd3Checkpoint::open(&golden().join("pipeline"), &ModelParts::default()).unwrap();
    // What the shapes can't tell: the size that generated positions are centred for, which are stored anyway.
    assert_eq!(
        MmditConfig {
            sample_size: 16,
            ..alone.config
        },
        expected.config
    );
    let inferred = alone.autoencoder.unwrap().part.config;
    let written = expected.autoencoder.unwrap().part.config;
    for field in [
        "block_out_channels",
        "layers_per_block",
        "latent_channels",
        "norm_num_groups",
        "scaling_factor",
        "shift_factor",
        "use_quant_conv",
    ] {
        assert_eq!(inferred[field], written[field], "{field}");
    }
    let five = ModelParts {
        heads: Some(5),
        ..ModelParts::default()
    };
    assert!(
        Sd3Checkpoint::open(&file, &five)
            .err()
            .unwrap()
            .to_string()
            .contains("5 heads")
    );
}

#[test]
fn parts_come_from_their_own_paths() {
    let pipeline = golden().join("pipeline");
    let parts = ModelParts {
        vae: Some(pipeline.join("vae")),
        text_encoder: vec![pipeline.clone()],
        ..ModelParts::default()
    };
    let file = Sd3Checkpoint::open(&golden().join("single_file.safetensors"), &parts).unwrap();
    assert!(file.text.encoders.iter().all(Option::is_some) && file.text.tokenizers.iter().all(Option::is_some));
    let transformer = Sd3Checkpoint::open(&pipeline.join("transformer"), &parts).unwrap();
    assert_eq!(transformer.layout, Layout::TransformerOnly);
    assert!(transformer.autoencoder.is_some());
    let one = ModelParts {
        text_encoder: vec![pipeline.join("text_encoder_3/model.safetensors")],
        ..ModelParts::default()
    };
    let file = Sd3Checkpoint::open(&golden().join("single_file.safetensors"), &one).unwrap();
    assert!(
        file.text.encoders[2]
            .as_ref()
            .is_some_and(|t5| t5.config["num_heads"] == 4)
    );
    let wrong = ModelParts {
        text_encoder: vec![pipeline.join("vae")],
        ..ModelParts::default()
    };
    assert!(Sd3Checkpoint::open(&pipeline, &wrong).err().unwrap().is_bad_input());
}

#[test]
fn the_inferred_t5_is_the_written_one() {
    let folder = Sd3Checkpoint::open(&golden().join("pipeline"), &ModelParts::default()).unwrap();
    let t5 = folder.text.encoders[2].clone().unwrap();
    let inferred = infer::t5(&t5.weights).unwrap();
    for field in [
        "d_model",
        "d_kv",
        "d_ff",
        "num_heads",
        "num_layers",
        "vocab_size",
        "relative_attention_num_buckets",
    ] {
        assert_eq!(inferred[field], t5.config[field], "{field}");
    }
    let clip = folder.text.encoders[1].clone().unwrap();
    let inferred = infer::clip(&clip.weights).unwrap();
    for field in [
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "projection_dim",
        "vocab_size",
        "eos_token_id",
    ] {
        assert_eq!(inferred[field], clip.config[field], "{field}");
    }
}

#[test]
fn what_is_no_sd3_is_named() {
    assert!(refusal(&golden().join("pipeline/vae")).contains("--vae"));
    assert!(refusal(&golden().join("pipeline/text_encoder/model.safetensors")).contains("--text-encoder"));
    assert!(refusal(&golden()).contains("transformer/"));
    assert!(refusal(&golden().join("nowhere")).contains("no such"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("model_index.json"),
        r#"{"_class_name":"StableDiffusionXLPipeline"}"#,
    )
    .unwrap();
    assert!(refusal(folder.path()).contains("Stable Diffusion XL"));
    std::fs::write(folder.path().join("model_index.json"), "{").unwrap();
    assert!(refusal(folder.path()).contains("JSON"));
    std::fs::write(
        folder.path().join("model_index.json"),
        "{\"_class_name\":\"StableDiffusion3Pipeline\"}",
    )
    .unwrap();
    std::fs::create_dir(folder.path().join("transformer")).unwrap();
    std::fs::write(folder.path().join("transformer/diffusion_pytorch_model.bin"), "PK").unwrap();
    assert!(refusal(folder.path()).contains("pickle"));
}

#[test]
fn no_damage_makes_a_loader_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let original = std::fs::read(golden().join("single_file.safetensors")).unwrap();
    let parts = ModelParts {
        heads: Some(6),
        ..ModelParts::default()
    };
    for (i, bytes) in Damage::new(11, &original).take(120).enumerate() {
        std::fs::write(&path, &bytes).unwrap();
        let target = if i % 2 == 0 {
            ModelParts {
                vae: Some(path.clone()),
                ..parts.clone()
            }
        } else {
            parts.clone()
        };
        if let Err(error) = Sd3Checkpoint::open(&path, &target) {
            assert!(error.is_bad_input(), "{error}");
        }
    }
}

/// The authors' decoder file has bare numbers for names, one more than diffusers' as it counts a clamp.
#[test]
fn taesd3s_own_decoder_file_serves_previews() {
    let tiny = golden().with_file_name("taesd3_tiny");
    let diffusers = Weights::open(&tiny.join("weights.safetensors")).unwrap();
    let renumbered = diffusers.renamed(|key| {
        let Some((index, rest)) = key.strip_prefix("decoder.layers.").and_then(|k| k.split_once('.')) else {
            return Vec::new();
        };
        vec![(format!("{}.{rest}", index.parse::<usize>().unwrap() + 1), Part::Whole)]
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("taesd3_decoder.safetensors");
    let tensors: std::collections::HashMap<_, _> = renumbered.tensors().unwrap().into_iter().collect();
    candle_core::safetensors::save(&tensors, &file).unwrap();

    let parts = ModelParts {
        preview_vae: Some(file),
        ..ModelParts::default()
    };
    let opened = Sd3Checkpoint::open(&golden().join("pipeline"), &parts)
        .unwrap()
        .preview
        .unwrap();
    assert_eq!(opened.kind, AutoencoderKind::Tiny);
    let decoder_alone = diffusers.renamed(|key| {
        let decoder = key.starts_with("decoder.").then(|| (key.to_owned(), Part::Whole));
        decoder.into_iter().collect()
    });
    assert_same(&opened.part.weights, &decoder_alone);
    let codec = crate::autoencoder::TinyAutoencoder::open(&opened.part.weights, DType::F32, &Device::Cpu).unwrap();
    let image = candle_core::Tensor::zeros((1, 3, 16, 16), DType::F32, &Device::Cpu).unwrap();
    assert!(codec.encode(&image).unwrap_err().to_string().contains("--preview-vae"));
}
