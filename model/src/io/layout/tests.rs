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

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}

/// A transformer alone in ComfyUI's `checkpoints`, a T5 under a name of its own and an autoencoder in the folders next to it.
#[test]
fn parts_are_found_in_comfyuis_folders() {
    let models = tempfile::tempdir().unwrap();
    let file = models.path().join("checkpoints/model.safetensors");
    copied(
        &golden().join("pipeline/transformer/diffusion_pytorch_model.safetensors"),
        &file,
    );
    let six = ModelParts {
        heads: Some(6),
        ..ModelParts::default()
    };
    let open = || Sd3Checkpoint::open(&file, &six).unwrap();
    assert!(open().text.encoders.iter().all(Option::is_none) && open().autoencoder.is_none());
    let t5 = models.path().join("text_encoders/google_encoder.safetensors");
    copied(&golden().join("pipeline/text_encoder_3/model.safetensors"), &t5);
    std::fs::write(
        models.path().join("text_encoders/other.safetensors"),
        "no checkpoint at all",
    )
    .unwrap();
    let vae = golden().join("pipeline/vae/diffusion_pytorch_model.safetensors");
    copied(&vae, &models.path().join("vae/flux_ae.safetensors"));
    assert!(open().autoencoder.is_none(), "Flux's looks the same");
    copied(&vae, &models.path().join("vae/sd3_vae.safetensors"));
    let opened = open();
    assert!(opened.text.encoders[2].is_some() && opened.autoencoder.is_some());
    assert!(
        opened.found[0].contains("google_encoder") && opened.found[1].contains("sd3_vae"),
        "{:?}",
        opened.found
    );
}

#[test]
fn encoders_under_a_checkpoints_name_are_its_own_and_other_checkpoints_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    copied(
        &golden().join("pipeline/transformer/diffusion_pytorch_model.safetensors"),
        &file,
    );
    let t5 = golden().join("pipeline/text_encoder_3/model.safetensors");
    let six = ModelParts {
        heads: Some(6),
        ..ModelParts::default()
    };
    copied(&t5, &folder.path().join("model_with_t5xxl.safetensors"));
    assert!(Sd3Checkpoint::open(&file, &six).unwrap().text.encoders[2].is_none());
    copied(&t5, &folder.path().join("model_t5xxl.safetensors"));
    assert!(Sd3Checkpoint::open(&file, &six).unwrap().text.encoders[2].is_some());
    let peft = golden().with_file_name("adapters_tiny").join("peft_folder");
    assert!(refusal(&peft).contains("--adapter"));
}

#[test]
fn a_given_encoder_takes_the_place_of_one_alone() {
    let pipeline = golden().join("pipeline");
    let t5 = pipeline.join("text_encoder_3/model.safetensors");
    let given = |paths: Vec<PathBuf>| {
        let parts = ModelParts {
            text_encoder: paths,
            ..ModelParts::default()
        };
        Sd3Checkpoint::open(&pipeline, &parts)
    };
    let opened = given(vec![t5.clone()]).unwrap();
    let names = opened.text.weights().map(|weights| weights.unwrap().name().to_owned());
    assert!(names[0].contains("text_encoder") && names[1].contains("text_encoder_2"));
    assert_eq!(names[2], t5.display().to_string());
    assert!(
        given(vec![t5.clone(), t5])
            .err()
            .unwrap()
            .to_string()
            .contains("second encoder")
    );
}

#[test]
fn a_shard_is_never_taken_for_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let tensor = |name: &str| {
        let tensor = candle_core::Tensor::ones(2, DType::F32, &Device::Cpu).unwrap();
        safetensors::serialize([(name, tensor)], None).unwrap()
    };
    let shards = [
        "model.fp16-00001-of-00002.safetensors",
        "model.fp16-00002-of-00002.safetensors",
    ];
    for (shard, name) in shards.iter().zip(["a", "b"]) {
        std::fs::write(folder.path().join(shard), tensor(name)).unwrap();
    }
    let first = folder.path().join(shards[0]);
    let alone = Weights::open(&first).err().unwrap().to_string();
    assert!(alone.contains("one file of a set"), "{alone}");
    assert!(weights_path(folder.path()).unwrap_err().to_string().contains("index"));
    let index = serde_json::json!({"weight_map": {"a": shards[0], "b": shards[1]}});
    // transformers' spelling of a variant's index.
    let path = folder.path().join("model.safetensors.index.fp16.json");
    std::fs::write(&path, index.to_string()).unwrap();
    assert_eq!(weights_path(folder.path()).unwrap(), path);
    assert_eq!(Weights::open(&first).unwrap().keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_cache_folder_stands_for_its_snapshot_and_the_name_of_a_repository_is_explained() {
    let cache = tempfile::tempdir().unwrap();
    let snapshot = |name: &str| cache.path().join("snapshots").join(name);
    for name in ["aa", "bb"] {
        std::fs::create_dir_all(snapshot(name)).unwrap();
    }
    assert!(refusal(cache.path()).contains("2 snapshots"));
    std::fs::create_dir(cache.path().join("refs")).unwrap();
    std::fs::write(cache.path().join("refs/main"), "bb\n").unwrap();
    assert_eq!(resolved(cache.path()).unwrap(), snapshot("bb"));
    let missing = |path: &str| resolved(Path::new(path)).unwrap_err().to_string();
    assert!(missing("stabilityai/stable-diffusion-3-medium-diffusers").contains("hf download stabilityai/"));
    assert!(!missing("models/model.safetensors").contains("hf download"));
    assert!(!missing("a/b/c").contains("hf download"));
}

#[test]
fn a_schedule_that_is_not_computed_is_refused() {
    let pipeline = tempfile::tempdir().unwrap();
    let folder = pipeline.path().join("scheduler");
    std::fs::create_dir(&folder).unwrap();
    let with = |config: &str| {
        std::fs::write(folder.join("scheduler_config.json"), config).unwrap();
        shift_of(pipeline.path())
    };
    assert!((with(r#"{"shift": 2.5, "use_dynamic_shifting": false}"#).unwrap() - 2.5).abs() < 1e-12);
    let refused = with(r#"{"shift": 3.0, "use_dynamic_shifting": true}"#).unwrap_err();
    assert!(refused.is_bad_input() && refused.to_string().contains("use_dynamic_shifting"));
}
