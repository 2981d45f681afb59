use std::path::PathBuf;

use super::*;

#[test]
fn equal_adapters_are_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter.safetensors");
    let tensor = Tensor::from_slice(&[1.0_f32, 2.0, 3.0], 3, &Device::Cpu).unwrap();
    let names = ["b_clean.weight", "a_clean.weight", "c_clean.bias"];
    let write_again = || {
        let tensors = HashMap::from(names.map(|name| (name.to_owned(), tensor.clone())));
        write(&path, &tensors, &["rain".to_owned(), "haze".to_owned()], Some(4.0)).unwrap();
        std::fs::read(&path).unwrap()
    };
    let first = write_again();
    // A map of three keys has six orders, of which the library takes another each time.
    assert!((0..16).all(|_| write_again() == first));
    let weights = Weights::open(&path).unwrap();
    assert_eq!(weights.metadata()["classes"], r#"["rain","haze"]"#);
    let values = weights
        .get("transformer.a_clean.weight")
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    assert_eq!(values, [1.0, 2.0, 3.0]);
}
use crate::io::damage::Damage;
use crate::mmdit::Conditioning;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/goldens")
        .join(name)
}

fn config() -> MmditConfig {
    serde_json::from_str(&std::fs::read_to_string(golden("mdsd3_tiny/config.json")).unwrap()).unwrap()
}

/// The golden's tensors, the clean path apart from the rest.
fn split() -> (Weights, HashMap<String, Tensor>) {
    let all = Weights::open(&golden("mdsd3_tiny/weights.safetensors")).unwrap();
    let is_clean = |k: &str| k.contains("_clean") || k.contains("zero_block");
    let base = all.renamed(|k| {
        if is_clean(k) {
            Vec::new()
        } else {
            vec![(k.to_owned(), Part::Whole)]
        }
    });
    let clean = all
        .keys()
        .filter(|k| is_clean(k))
        .map(|k| (k.to_owned(), all.get(k).unwrap()))
        .collect();
    (base, clean)
}

/// Low-rank updates of two modules, not small.
fn updates() -> HashMap<String, Tensor> {
    let values = |rows: usize, cols: usize, seed: f32| {
        let numbers: Vec<f32> = (0..rows * cols)
            .map(|i| ((i as f32 + seed) * 1.7).sin() * 1.5)
            .collect();
        Tensor::from_vec(numbers, (rows, cols), &Device::Cpu).unwrap()
    };
    let mut tensors = HashMap::new();
    for (i, module) in [
        "transformer_blocks.0.attn.to_v_clean",
        "transformer_blocks.1.attn.add_v_proj",
    ]
    .iter()
    .enumerate()
    {
        tensors.insert(format!("{module}.lora_A.weight"), values(4, 48, i as f32));
        tensors.insert(format!("{module}.lora_B.weight"), values(48, 4, 9.0 + i as f32));
    }
    tensors
}

fn written(tensors: &HashMap<String, Tensor>) -> Adapter {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter.safetensors");
    write(&path, tensors, &["fog".to_owned(), "dust".to_owned()], Some(8.0)).unwrap();
    Adapter::open(&path).unwrap()
}

fn output(model: &Mmdit, with_clean: bool) -> Vec<f32> {
    let case = Weights::open(&golden("mdsd3_tiny/case.safetensors")).unwrap();
    let get = |name: &str| case.get(name).unwrap();
    let clean = with_clean.then(|| model.clean_cache(&get("clean_hidden_states"), None).unwrap());
    let on = Conditioning {
        timestep: &get("timestep"),
        context: &get("encoder_hidden_states"),
        pooled: &get("pooled_projections"),
        mask: Some(&get("mask")),
        clean: clean.as_ref(),
        origin: None,
    };
    model
        .forward(&get("hidden_states"), &on)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn built(adapter: &Adapter, base: &Weights, mode: LoraMode) -> (Mmdit, Strength) {
    let adapted = adapter.over(base, &config(), mode, DType::F32, &Device::Cpu).unwrap();
    let model = Mmdit::new(&config(), adapted.builder(DType::F32, &Device::Cpu)).unwrap();
    adapted.check_all_used().unwrap();
    (model, adapted.strength())
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_clean_path_over_its_base_is_the_whole_checkpoint() {
    let (base, clean) = split();
    let adapter = written(&clean);
    assert_eq!(adapter.classes().unwrap(), ["fog", "dust"]);
    let (model, _) = built(&adapter, &base, LoraMode::Separate);
    let expected = Weights::open(&golden("mdsd3_tiny/case.safetensors"))
        .unwrap()
        .get("out_full")
        .unwrap();
    let expected = expected.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(worst(&output(&model, true), &expected) < 1e-4);
}

#[test]
fn updates_merged_or_not_give_the_same_numbers() {
    let (base, clean) = split();
    let mut tensors = clean.clone();
    tensors.extend(updates());
    let (adapter, plain) = (written(&tensors), written(&clean));
    let (separate, strength) = built(&adapter, &base, LoraMode::Separate);
    let plain = output(&built(&plain, &base, LoraMode::Separate).0, true);
    for factor in [1.0, 0.35, 0.0] {
        strength.set(factor).unwrap();
        let beside = output(&separate, true);
        let merged = output(&built(&adapter, &base, LoraMode::Merged(factor)).0, true);
        assert!(
            worst(&beside, &merged) < 1e-4,
            "strength {factor}: {}",
            worst(&beside, &merged)
        );
        let moved = worst(&beside, &plain);
        assert!(
            if factor == 0.0 { moved < 1e-6 } else { moved > 1e-3 },
            "strength {factor} moved the output by {moved}"
        );
    }
}

#[test]
fn what_is_left_out_of_the_clean_path_starts_as_the_image_stream() {
    let (base, clean) = split();
    let zeros = clean.into_iter().filter(|(k, _)| k.contains("zero_block")).collect();
    let (model, _) = built(&written(&zeros), &base, LoraMode::Separate);
    assert!(model.has_clean_path());
    assert!(output(&model, true).iter().all(|v| v.is_finite()));
}

#[test]
fn names_of_every_trainer_are_understood() {
    let own = "transformer_blocks.0.attn.to_q.lora_A.weight";
    for name in [
        "transformer.transformer_blocks.0.attn.to_q.lora_A.weight",
        "base_model.model.transformer_blocks.0.attn.to_q.lora_A.default.weight",
        "transformer_blocks.0.attn.to_q.lora.down.weight",
        own,
    ] {
        assert_eq!(plain_name(name), own);
    }
}

#[test]
fn updates_without_a_place_are_refused() {
    let (base, clean) = split();
    let mut tensors = clean;
    let pair = updates();
    tensors.insert(
        "elsewhere.lora_A.weight".into(),
        pair["transformer_blocks.0.attn.to_v_clean.lora_A.weight"].clone(),
    );
    tensors.insert(
        "elsewhere.lora_B.weight".into(),
        pair["transformer_blocks.0.attn.to_v_clean.lora_B.weight"].clone(),
    );
    let adapted = written(&tensors)
        .over(&base, &config(), LoraMode::Separate, DType::F32, &Device::Cpu)
        .unwrap();
    Mmdit::new(&config(), adapted.builder(DType::F32, &Device::Cpu)).unwrap();
    assert!(adapted.check_all_used().unwrap_err().to_string().contains("elsewhere"));
    let half = HashMap::from([(
        "a.lora_A.weight".to_owned(),
        Tensor::ones((4, 48), DType::F32, &Device::Cpu).unwrap(),
    )]);
    let bytes = safetensors::serialize(&half, None).unwrap();
    assert!(
        Adapter::parse(&bytes, "x")
            .err()
            .unwrap()
            .to_string()
            .contains("lora_B")
    );
}

#[test]
fn no_damage_makes_the_loader_panic() {
    let (base, _) = split();
    let bytes = safetensors::serialize(&updates(), None).unwrap();
    for bytes in Damage::new(3, &bytes).take(500) {
        let opened = Adapter::parse(&bytes, "x")
            .and_then(|a| a.over(&base, &config(), LoraMode::Separate, DType::F32, &Device::Cpu));
        if let Err(error) = opened {
            assert!(error.is_bad_input(), "{error}");
        }
    }
}
