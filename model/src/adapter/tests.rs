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

fn over(adapter: &Adapter, base: &Weights, config: &MmditConfig) -> Result<Applied, ModelError> {
    adapter.over(base, [None; 3], config, DType::F32, &Device::Cpu)
}

fn built(adapter: &Adapter, base: &Weights) -> (Mmdit, Strength) {
    built_as(adapter, base, &config())
}

fn built_as(adapter: &Adapter, base: &Weights, config: &MmditConfig) -> (Mmdit, Strength) {
    let applied = over(adapter, base, config).unwrap();
    let model = Mmdit::new(config, applied.transformer.builder(DType::F32, &Device::Cpu)).unwrap();
    applied.check_all_used().unwrap();
    (model, applied.strength())
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_clean_path_over_its_base_is_the_whole_checkpoint() {
    let (base, clean) = split();
    let adapter = written(&clean);
    assert_eq!(adapter.classes().unwrap(), ["fog", "dust"]);
    let (model, _) = built(&adapter, &base);
    let expected = Weights::open(&golden("mdsd3_tiny/case.safetensors"))
        .unwrap()
        .get("out_full")
        .unwrap();
    let expected = expected.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(worst(&output(&model, true), &expected) < 1e-4);
}

/// Adapters as trainers save them, against what PEFT computed or merged weights give (`make_adapter_goldens.py`).
#[test]
fn every_trainers_adapter_computes_what_its_trainer_means() {
    let case = Weights::open(&golden("adapters_tiny/computed.safetensors")).unwrap();
    let get = |name: &str| case.get(name).unwrap();
    let base = Weights::open(&golden(
        "sd3_pipeline_tiny/pipeline/transformer/diffusion_pytorch_model.safetensors",
    ))
    .unwrap();
    let config = std::fs::read_to_string(golden("sd3_pipeline_tiny/pipeline/transformer/config.json")).unwrap();
    let config: MmditConfig = serde_json::from_str(&config).unwrap();
    let computed = |model: &Mmdit| {
        let on = Conditioning {
            timestep: &get("timestep"),
            context: &get("encoder_hidden_states"),
            pooled: &get("pooled_projections"),
            mask: None,
            clean: None,
            origin: None,
        };
        let out = model.forward(&get("hidden_states"), &on).unwrap();
        out.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let expected = |name: &str| get(name).flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let names: Vec<&str> = case.keys().filter_map(|key| key.strip_prefix("out_")).collect();
    assert_eq!(names.len(), 15);
    for name in names.into_iter().filter(|name| *name != "base") {
        let file = match name {
            "peft_folder" => golden("adapters_tiny/peft_folder"),
            _ => golden(&format!("adapters_tiny/{name}.safetensors")),
        };
        let (model, strength) = built_as(&Adapter::open(&file).unwrap(), &base, &config);
        let wanted = expected(&format!("out_{name}"));
        let error = worst(&computed(&model), &wanted);
        assert!(error < 2e-5, "{name}: {error}");
        assert!(worst(&expected("out_base"), &wanted) > 5e-3, "{name} has an effect");
        strength.set(0.0).unwrap();
        assert!(
            worst(&computed(&model), &expected("out_base")) < 2e-5,
            "{name} at strength 0"
        );
    }
}

#[test]
fn the_strength_is_a_factor_on_the_update() {
    let (base, clean) = split();
    let mut tensors = clean.clone();
    tensors.extend(updates());
    let (model, strength) = built(&written(&tensors), &base);
    for (name, tensor) in &mut tensors {
        if name.ends_with("lora_B.weight") {
            *tensor = (&*tensor * 0.35).unwrap();
        }
    }
    let weaker = output(&built(&written(&tensors), &base).0, true);
    let full = output(&model, true);
    strength.set(0.35).unwrap();
    assert!(worst(&output(&model, true), &weaker) < 1e-4);
    assert!(worst(&full, &weaker) > 1e-3);
}

/// The refusal of a file with these tensors and metadata.
fn refusal(tensors: &[(&str, &[usize])], metadata: &[(&str, &str)]) -> String {
    let tensors: HashMap<_, _> = tensors
        .iter()
        .map(|(name, shape)| (*name, Tensor::ones(*shape, DType::F32, &Device::Cpu).unwrap()))
        .collect();
    let metadata = metadata
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let bytes = safetensors::serialize(&tensors, Some(metadata)).unwrap();
    let (base, _) = split();
    let opened = Adapter::parse(&bytes, "x").and_then(|adapter| over(&adapter, &base, &config()));
    let used = opened.and_then(|applied| {
        let built = Mmdit::new(&config(), applied.transformer.builder(DType::F32, &Device::Cpu));
        built.map_err(|e| ModelError::in_tensors("x", &e))?;
        applied.check_all_used()
    });
    let error = used.unwrap_err();
    assert!(
        error.is_bad_input() && error.to_string().lines().count() == 1,
        "{error}"
    );
    error.to_string()
}

#[test]
fn nothing_of_an_update_is_dropped_silently() {
    const Q: &str = "transformer_blocks.0.attn.to_q";
    let pair = |more: &str| -> Vec<(String, Vec<usize>)> {
        let mut tensors = vec![
            (format!("{Q}.lora_A.weight"), vec![2, 48]),
            (format!("{Q}.lora_B.weight"), vec![48, 2]),
        ];
        tensors.extend((!more.is_empty()).then(|| (more.to_owned(), vec![48, 2])));
        tensors
    };
    let with = |more: &str, metadata: &[(&str, &str)]| {
        let tensors = pair(more);
        let tensors: Vec<(&str, &[usize])> = tensors.iter().map(|(k, s)| (k.as_str(), s.as_slice())).collect();
        refusal(&tensors, metadata)
    };
    for stray in [
        "transformer_blocks.0.attn.to_q.lora_mid.weight",
        "transformer_blocks.0.attn.to_q.lora_A.bias",
        "transformer_blocks.0.attn.to_q.lokr_t2",
        "transformer_blocks.0.attn.to_q.hada_w1_a",
        "transformer_blocks.0.attn.to_k.oft_blocks",
        "transformer_blocks.0.attn.to_k.diff",
        "transformer_blocks.0.attn.to_k.alpha",
        "transformer_blocks.0.attn.to_k.dora_scale",
        "lora_unet_double_blocks_0_img_attn_qkv.alpha",
        "text_encoder.text_model.bias",
    ] {
        let module = stray.rsplit_once('.').unwrap().0;
        let message = with(stray, &[]);
        assert!(
            message.contains(module) || message.contains(stray),
            "{stray}: {message}"
        );
    }
    let home = "transformer_blocks.9.attn.to_q";
    let (down, up) = (format!("{home}.lora_A.weight"), format!("{home}.lora_B.weight"));
    assert!(refusal(&[(&down, &[2, 48]), (&up, &[48, 2])], &[]).contains(home));
    let norm = "transformer_blocks.0.attn.to_q";
    let (down, up) = (format!("{norm}.lora_A.weight"), format!("{norm}.lora_B.weight"));
    assert!(refusal(&[(&down, &[2, 40]), (&up, &[48, 2])], &[]).contains("shape"));
    assert!(refusal(&[(&down, &[0, 48]), (&up, &[48, 0])], &[]).contains("rank 0"));
    assert!(refusal(&[(&down, &[3, 48]), (&up, &[48, 2])], &[]).contains("rank 3 in lora_A and 2 in lora_B"));
}

#[test]
fn settings_that_change_what_is_computed_are_followed_or_refused() {
    const DOWN: &str = "transformer_blocks.0.attn.to_q.lora_A.weight";
    const UP: &str = "transformer_blocks.0.attn.to_q.lora_B.weight";
    let refused = |settings: &str| {
        refusal(
            &[(DOWN, &[2, 48]), (UP, &[48, 2])],
            &[("lora_adapter_metadata", settings)],
        )
    };
    for (settings, said) in [
        ("{", "JSON"),
        (r#"{"transformer.r":4}"#, "rank 4"),
        (r#"{"transformer.peft_type":"OFT"}"#, "OFT"),
        (r#"{"transformer.lora_alpha":"x"}"#, "lora_alpha"),
        (r#"{"transformer.fan_in_fan_out":true}"#, "fan_in_fan_out"),
        (r#"{"transformer.init_lora_weights":"pissa_niter_4"}"#, "pissa"),
        (r#"{"transformer.use_dora":true}"#, "lora_magnitude_vector"),
        (r#"{"transformer.alpha_pattern":{"to_q":1,".*to_q":2}}"#, "differ"),
        (r#"{"transformer.alpha_pattern":{"(":1}}"#, "alpha_pattern"),
    ] {
        assert!(refused(settings).contains(said), "{settings}: {}", refused(settings));
    }
    assert!(refusal(&[(DOWN, &[2, 48]), (UP, &[48, 2])], &[("lora_alpha", "four")]).contains("four"));
}

#[test]
fn what_is_left_out_of_the_clean_path_starts_as_the_image_stream() {
    let (base, clean) = split();
    let zeros = clean.into_iter().filter(|(k, _)| k.contains("zero_block")).collect();
    let (model, _) = built(&written(&zeros), &base);
    assert!(model.has_clean_path());
    assert!(output(&model, true).iter().all(|v| v.is_finite()));
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
    let applied = over(&written(&tensors), &base, &config()).unwrap();
    Mmdit::new(&config(), applied.transformer.builder(DType::F32, &Device::Cpu)).unwrap();
    assert!(applied.check_all_used().unwrap_err().to_string().contains("elsewhere"));
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
        let opened = Adapter::parse(&bytes, "x").and_then(|a| over(&a, &base, &config()));
        if let Err(error) = opened {
            assert!(error.is_bad_input(), "{error}");
        }
    }
}
