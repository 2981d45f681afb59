use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;

/// A CLIP tokenizer folder of vocab.json and merges.txt: single letters, and `ab` at the end of a word.
fn clip_folder(padding: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut tokens: Vec<String> = ["!", "a", "b", "c", "'", "é", "1"]
        .iter()
        .map(|&t| t.to_owned())
        .collect();
    tokens.extend(["!</w>", "a</w>", "b</w>", "c</w>", "1</w>", "ab</w>"].map(str::to_owned));
    tokens.extend(["<|startoftext|>", "<|endoftext|>"].map(str::to_owned));
    let vocabulary: serde_json::Map<_, _> = tokens.into_iter().enumerate().map(|(i, t)| (t, json!(i))).collect();
    fs::write(folder.path().join("vocab.json"), json!(vocabulary).to_string()).unwrap();
    fs::write(folder.path().join("merges.txt"), "#version: 0.2\na b</w>\n").unwrap();
    fs::write(
        folder.path().join("tokenizer_config.json"),
        json!({ "pad_token": { "content": padding } }).to_string(),
    )
    .unwrap();
    folder
}

fn ids(folder: &TempDir, prompt: &str) -> Tokens {
    PromptTokenizer::clip(folder.path(), 8).unwrap().encode(prompt).unwrap()
}

#[test]
fn clip_frames_lowers_and_pads() {
    let folder = clip_folder("!");
    assert_eq!(ids(&folder, "  AB \n c ").ids, [13, 12, 10, 14, 0, 0, 0, 0]);
    assert_eq!(ids(&folder, "").ids, [13, 14, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        ids(&clip_folder("<|endoftext|>"), "ab1").ids,
        [13, 12, 11, 14, 14, 14, 14, 14]
    );
}

#[test]
fn tokens_written_in_a_prompt_are_themselves() {
    assert_eq!(
        ids(&clip_folder("!"), "c!<|endoftext|>").ids,
        [13, 10, 0, 14, 14, 0, 0, 0]
    );
    assert_eq!(
        ids(&clip_folder("<|endoftext|>"), "c!").ids,
        [13, 10, 7, 14, 14, 14, 14, 14],
        "no padding, so a word"
    );
}

#[test]
fn a_long_prompt_keeps_its_end_token() {
    let tokens = ids(&clip_folder("!"), "a b c a b c a b");
    assert_eq!(tokens.ids, [13, 8, 9, 10, 8, 9, 10, 14]);
    assert_eq!(tokens.dropped, 2);
}

#[test]
fn damaged_tokenizers_are_named_in_one_line() {
    let message = |folder: &TempDir| {
        let error = PromptTokenizer::clip(folder.path(), 8).unwrap_err();
        assert!(
            error.is_bad_input() && error.to_string().lines().count() == 1,
            "{error}"
        );
        error.to_string()
    };
    assert!(message(&tempfile::tempdir().unwrap()).contains("vocab.json and merges.txt"));
    for (file, text, expected) in [
        ("vocab.json", "{\"a\": 1", "vocab.json"),
        ("vocab.json", "{\"a\": 1}", "merges.txt"),
        ("merges.txt", "x y z\n", "merges.txt"),
        ("tokenizer.json", "{\n}", "tokenizer.json"),
        // The library panics on these.
        ("tokenizer.json", "{\"decoder\": {\"type\": }}", "tokenizer.json"),
        ("tokenizer.json", "{\"decoder\": {\"type\"", "tokenizer.json"),
        ("tokenizer_config.json", "[", "tokenizer_config.json"),
        ("tokenizer_config.json", "{\"pad_token\": \"?\"}", "token ?"),
    ] {
        let folder = clip_folder("!");
        fs::write(folder.path().join(file), text).unwrap();
        assert!(message(&folder).contains(expected), "{}", message(&folder));
    }
    let folder = clip_folder("!");
    fs::remove_file(folder.path().join("merges.txt")).unwrap();
    assert!(message(&folder).contains("merges.txt beside vocab.json"));
}

#[test]
fn a_larger_vocabulary_than_the_encoders_is_refused() {
    let tokenizer = PromptTokenizer::clip(clip_folder("!").path(), 8).unwrap();
    assert!(tokenizer.check_vocabulary(15).is_ok());
    assert!(
        tokenizer
            .check_vocabulary(14)
            .unwrap_err()
            .to_string()
            .contains("15 tokens")
    );
}

/// A CLIP of one layer with constant weights, as the header-only check and the cache see it.
fn clip_part(width: usize, without: &str) -> PartSource {
    let zeros = |shape: &[usize]| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
    let layer = "text_model.encoder.layers.0";
    let mut tensors = vec![
        (
            "text_model.embeddings.token_embedding.weight".to_owned(),
            zeros(&[15, width]),
        ),
        (
            "text_model.embeddings.position_embedding.weight".to_owned(),
            zeros(&[8, width]),
        ),
        ("text_model.final_layer_norm.weight".to_owned(), zeros(&[width])),
        ("text_model.final_layer_norm.bias".to_owned(), zeros(&[width])),
        ("text_projection.weight".to_owned(), zeros(&[3, width])),
    ];
    for name in [
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.out_proj",
        "mlp.fc1",
        "mlp.fc2",
    ] {
        tensors.push((format!("{layer}.{name}.weight"), zeros(&[width, width])));
        tensors.push((format!("{layer}.{name}.bias"), zeros(&[width])));
    }
    for name in ["layer_norm1", "layer_norm2"] {
        tensors.push((format!("{layer}.{name}.weight"), zeros(&[width])));
        tensors.push((format!("{layer}.{name}.bias"), zeros(&[width])));
    }
    tensors.retain(|(name, _)| without.is_empty() || !name.contains(without));
    let bytes = safetensors::serialize(tensors, None).unwrap();
    let config = json!({
        "hidden_size": width, "intermediate_size": width, "num_hidden_layers": 1, "num_attention_heads": 2,
        "projection_dim": 3, "vocab_size": 15, "max_position_embeddings": 8, "eos_token_id": 14,
    });
    PartSource {
        weights: crate::io::checkpoint::Weights::parse(&bytes, "clip.safetensors").unwrap(),
        config,
    }
}

fn sources(folder: &TempDir, without: &str) -> TextSources {
    let tokenizer = || Some(folder.path().to_owned());
    TextSources {
        encoders: [Some(clip_part(4, "")), Some(clip_part(6, without)), None],
        tokenizers: [tokenizer(), tokenizer(), None],
    }
}

fn open(sources: &TextSources, joint_width: usize) -> Result<TextEncoders, ModelError> {
    TextEncoders::open(sources, joint_width, DType::F32, &Device::Cpu)
}

#[test]
fn prompts_are_concatenated_widened_and_kept() {
    let folder = clip_folder("!");
    let encoders = open(&sources(&folder, ""), 16).unwrap();
    let encoded = encoders.encode("ab c").unwrap();
    assert_eq!(encoded.embeds.dims(), [1, 8 + T5_TOKENS, 16]);
    assert_eq!(encoded.pooled.dims(), [1, encoders.pooled_width()]);
    let widened = encoded
        .embeds
        .narrow(2, 10, 6)
        .unwrap()
        .abs()
        .unwrap()
        .sum_all()
        .unwrap();
    assert_eq!(
        widened.to_scalar::<f32>().unwrap().to_bits(),
        0,
        "no T5: zeros beside and after CLIP"
    );
    assert_eq!(
        encoders.encode("ab c").unwrap().embeds.id(),
        encoded.embeds.id(),
        "kept, not encoded again"
    );
    for i in 0..KEPT_PROMPTS {
        encoders.encode(&"a".repeat(i)).unwrap();
    }
    assert_ne!(
        encoders.encode("ab c").unwrap().embeds.id(),
        encoded.embeds.id(),
        "the oldest made room"
    );
}

#[test]
fn missing_parts_are_refused_when_opened() {
    let folder = clip_folder("!");
    let refused = |sources: &TextSources, width: usize| {
        let error = open(sources, width).err().unwrap();
        assert!(
            error.is_bad_input() && error.to_string().lines().count() == 1,
            "{error}"
        );
        error.to_string()
    };
    assert!(refused(&sources(&folder, "fc2.bias"), 16).contains("mlp.fc2.bias is missing"));
    assert!(refused(&sources(&folder, ""), 9).contains("10 wide"));
    let mut none = sources(&folder, "");
    none.encoders[1] = None;
    assert!(refused(&none, 16).contains("--text-encoder"));
    let mut none = sources(&folder, "");
    none.tokenizers[0] = None;
    assert!(refused(&none, 16).contains("--tokenizer"));
    let mut narrow = sources(&folder, "");
    narrow.encoders[0].as_mut().unwrap().config["hidden_size"] = json!(8);
    assert!(refused(&narrow, 16).contains("shape"));
}

/// Token ids by transformers (`make_tokenizer_goldens.py`), which for T5 are sentencepiece's too.
#[test]
fn the_tokenizers_in_the_program_give_transformers_ids() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/tokenizers/case.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
    assert!(cases.len() > 20);
    let clip_l = PromptTokenizer::bundled_clip(77, ClipPadding::EndToken).unwrap();
    let clip_g = PromptTokenizer::bundled_clip(77, ClipPadding::ExclamationMark).unwrap();
    let t5 = PromptTokenizer::bundled_t5(T5_TOKENS).unwrap();
    for case in cases {
        let prompt = case["prompt"].as_str().unwrap();
        for (tokenizer, name, length, padding) in [
            (&clip_l, "clip_l", 77, 49_407),
            (&clip_g, "clip_g", 77, 0),
            (&t5, "t5", T5_TOKENS, 0),
        ] {
            let mut expected: Vec<u32> = serde_json::from_value(case[name].clone()).unwrap();
            expected.resize(length, padding);
            assert_eq!(tokenizer.encode(prompt).unwrap().ids, expected, "{name} of {prompt:?}");
        }
    }
    clip_l.check_vocabulary(49_408).unwrap();
    t5.check_vocabulary(32_128).unwrap();
}
