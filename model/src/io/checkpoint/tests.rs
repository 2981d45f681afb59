use super::*;
use crate::io::damage::{Damage, sample_file};

fn message(bytes: &[u8]) -> String {
    let error = Weights::parse(bytes, "x").and_then(|w| w.tensors()).err().unwrap();
    assert!(error.is_bad_input(), "{error}");
    assert_eq!(error.to_string().lines().count(), 1);
    error.to_string()
}

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn pickles_and_pointers_are_refused_with_the_reason() {
    assert!(message(b"PK\x03\x04rest").contains("pickle"));
    assert!(message(b"\x80\x02}q\x00.").contains("pickle"));
    assert!(message(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n").contains("git lfs pull"));
}

#[test]
fn a_header_of_640_bytes_is_no_pickle() {
    let header = format!("{:<640}", r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#);
    let bytes = file(&header, &1f32.to_le_bytes());
    assert_eq!(bytes[..2], [0x80, 2]);
    assert_eq!(Weights::parse(&bytes, "x").unwrap().tensors().unwrap().len(), 1);
}

#[test]
fn damaged_headers_are_told_apart() {
    assert!(message(b"").contains("too short"));
    assert!(message(b"\xff\xff\xff\xff\xff\xff\xff\x7f").contains("would be 9223372036854775807 bytes"));
    assert!(message(&file("{\"a\":1}", b"")).contains("header can't be read"));
    let one = |body: &str| file(&format!(r#"{{"a":{body}}}"#), &[0; 8]);
    assert!(message(&one(r#"{"dtype":"F32","shape":[4],"data_offsets":[0,16]}"#)).contains("bytes 0 to 16 of 8"));
    assert!(message(&one(r#"{"dtype":"F32","shape":[3],"data_offsets":[0,8]}"#)).contains("[3]"));
    assert!(
        message(&one(
            r#"{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,8]}"#
        ))
        .contains("doesn't fit")
    );
    assert!(message(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#)).contains("4 bytes before tensor a"));
    assert!(message(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#)).contains("4 bytes at the end"));
    assert!(message(&one(r#"{"dtype":"Q4","shape":[8],"data_offsets":[0,8]}"#)).contains("Q4"));
    assert!(message(&one(r#"{"dtype":"BOOL","shape":[8],"data_offsets":[0,8]}"#)).contains("BOOL"));
}

#[test]
fn overlaps_and_duplicates_name_their_tensors() {
    let entry = r#"{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    let shifted = r#"{"dtype":"F32","shape":[2],"data_offsets":[4,12]}"#;
    let overlap = message(&file(&format!(r#"{{"a":{entry},"b":{shifted}}}"#), &[0; 12]));
    assert!(overlap.contains("tensors a and b overlap"), "{overlap}");
    let twice = message(&file(&format!(r#"{{"a":{entry},"a":{entry}}}"#), &[0; 8]));
    assert!(twice.contains("names a twice"), "{twice}");
}

#[test]
fn nan_weights_are_named_when_they_are_asked_for() {
    let tensor = Tensor::new(&[1f32, f32::NAN], &Device::Cpu).unwrap();
    let bytes = safetensors::serialize([("blocks.3.weight", tensor)], None).unwrap();
    Weights::parse(&bytes, "x").unwrap();
    assert!(message(&bytes).contains("blocks.3.weight"));
}

#[test]
fn integers_are_no_weights() {
    let tensor = Tensor::new(&[1i64, 2], &Device::Cpu).unwrap();
    let bytes = safetensors::serialize([("ids", tensor)], None).unwrap();
    let weights = Weights::parse(&bytes, "x").unwrap();
    assert_eq!(weights.get("ids").unwrap().to_vec1::<i64>().unwrap(), [1, 2]);
    assert!(
        weights
            .load("ids", DType::F32, &Device::Cpu)
            .unwrap_err()
            .to_string()
            .contains("dtype I64")
    );
}

#[test]
fn parts_are_cut_out_of_stored_tensors() {
    let qkv = Tensor::arange(0f32, 12.0, &Device::Cpu)
        .unwrap()
        .reshape((6, 2))
        .unwrap();
    let bytes = safetensors::serialize([("qkv", qkv)], None).unwrap();
    let weights = Weights::parse(&bytes, "x").unwrap().renamed(|_| {
        vec![
            ("k".to_owned(), Part::Rows { index: 1, of: 3 }),
            ("swapped".to_owned(), Part::HalvesSwapped),
        ]
    });
    let values = |name: &str| {
        weights
            .get(name)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()
    };
    assert_eq!(values("k"), [4.0, 5.0, 6.0, 7.0]);
    assert_eq!(
        values("swapped"),
        [6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    );
}

#[test]
fn shards_are_one_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, key: &str| {
        let bytes = safetensors::serialize([(key, Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap())], None).unwrap();
        std::fs::write(folder.path().join(name), bytes).unwrap();
    };
    write("one.safetensors", "a");
    write("two.safetensors", "b");
    let index = folder.path().join("model.safetensors.index.json");
    let open = |map: &str| {
        std::fs::write(&index, format!(r#"{{"metadata":{{}},"weight_map":{map}}}"#)).unwrap();
        Weights::open(&index)
    };
    let weights = open(r#"{"a":"one.safetensors","b":"two.safetensors"}"#).unwrap();
    assert_eq!(weights.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(weights.get("b").unwrap().to_vec1::<f32>().unwrap(), [1.0, 2.0]);
    for map in [
        r#"{"c":"one.safetensors"}"#,
        r#"{"a":"../one.safetensors"}"#,
        r#"{"a":"/one.safetensors"}"#,
        "{}",
        r#"{"a":"three.safetensors"}"#,
    ] {
        let error = open(map).err().unwrap();
        assert!(
            error.is_bad_input() && error.to_string().lines().count() == 1,
            "{error}"
        );
    }
}

#[test]
fn a_file_cut_off_after_opening_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    std::fs::write(&path, sample_file()).unwrap();
    let weights = Weights::open(&path).unwrap();
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(100)
        .unwrap();
    assert!(weights.tensors().unwrap_err().to_string().contains("has changed"));
}

#[test]
fn no_damage_makes_the_reader_panic() {
    let original = sample_file();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let mut refused = 0;
    for bytes in Damage::new(7, &original).take(3000) {
        let read = Weights::parse(&bytes, "x").and_then(|w| w.tensors());
        if let Err(error) = &read {
            assert!(error.is_bad_input(), "{error}");
            refused += 1;
        }
        std::fs::write(&path, &bytes).unwrap();
        let mapped = Weights::open(&path).and_then(|w| w.tensors());
        assert_eq!(read.is_ok(), mapped.is_ok());
    }
    assert!(refused > 1500, "only {refused} of 3000 damaged files were noticed");
}

/// A file of tensors in bytes of their own.
fn raw(tensors: &[(&str, &str, &[usize], &[u8])]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(
            (*name).to_owned(),
            serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}),
        );
        data.extend_from_slice(bytes);
    }
    file(&serde_json::Value::Object(header).to_string(), &data)
}

#[test]
fn eight_bit_weights_are_widened_and_scaled_while_they_are_read() {
    let (half, two) = (0.5f32.to_le_bytes(), 2f32.to_le_bytes());
    let quant = br#"{"format": "float8_e4m3fn", "full_precision_matrix_mult": true}"#;
    // 0x38 is 1 and 0xc0 is -2 in E4M3; 0x3c is 1 and 0xc4 is -4 in E5M2.
    let bytes = raw(&[
        ("a.weight", "F8_E4M3", &[2, 1], &[0x38, 0xc0]),
        ("a.scale_weight", "F32", &[], &half),
        ("a.scale_input", "F32", &[], &two),
        ("b.weight", "F8_E5M2", &[2], &[0x3c, 0xc4]),
        ("b.weight_scale", "F32", &[1], &two),
        ("b.comfy_quant", "U8", &[quant.len()], quant),
        ("c.weight", "F8_E4M3", &[2], &[0x38, 0xc0]),
        ("d.weight", "F32", &[1], &two),
        ("d.scale_weight", "F32", &[], &half),
        ("scaled_fp8", "F8_E4M3", &[0], &[]),
        ("text.scaled_fp8", "F8_E4M3", &[2], &[0, 0]),
    ]);
    let weights = Weights::parse(&bytes, "x").unwrap();
    assert_eq!(
        weights.keys().collect::<Vec<_>>(),
        ["a.weight", "b.weight", "c.weight", "d.weight"]
    );
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let read = |name: &str| -> Vec<f32> {
            let tensor = weights
                .load(name, dtype, &Device::Cpu)
                .unwrap()
                .to_dtype(DType::F32)
                .unwrap();
            tensor.flatten_all().unwrap().to_vec1().unwrap()
        };
        assert_eq!(
            (read("a.weight"), read("b.weight")),
            (vec![0.5, -1.0], vec![2.0, -8.0]),
            "{dtype:?}"
        );
        assert_eq!(
            (read("c.weight"), read("d.weight")),
            (vec![1.0, -2.0], vec![1.0]),
            "{dtype:?}"
        );
    }
    assert_eq!(weights.get("c.weight").unwrap().dtype(), DType::F32);
}

#[test]
fn scales_that_cannot_be_applied_are_refused() {
    let one = 1f32.to_le_bytes();
    let refused = |tensors: &[(&str, &str, &[usize], &[u8])]| {
        let error = Weights::parse(&raw(tensors), "x").err().unwrap();
        assert!(
            error.is_bad_input() && error.to_string().lines().count() == 1,
            "{error}"
        );
        error.to_string()
    };
    assert!(refused(&[("a.scale_weight", "F32", &[], &one)]).contains("a.scale_weight"));
    let weight: (&str, &str, &[usize], &[u8]) = ("a.weight", "F8_E4M3", &[2], &[0x38, 0x38]);
    let two = [one, one].concat();
    assert!(refused(&[weight, ("a.weight_scale", "F32", &[2], &two)]).contains("several"));
    let quant = br#"{"format": "nvfp4"}"#;
    assert!(refused(&[weight, ("a.comfy_quant", "U8", &[quant.len()], quant)]).contains("nvfp4"));
    let bad = raw(&[("a.weight", "F8_E4M3", &[1], &[0x7f])]);
    assert!(message(&bad).contains("a.weight"));
    let infinite = raw(&[weight, ("a.scale_weight", "F32", &[], &f32::INFINITY.to_le_bytes())]);
    assert!(Weights::parse(&infinite, "x").and_then(|w| w.tensors()).is_err());
}

fn gguf_golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/goldens/gguf_tiny")
        .join(name)
}

/// Values by gguf-py (`make_gguf_golden.py`).
#[test]
fn every_type_of_gguf_is_read_as_gguf_py_reads_it() {
    let bytes = std::fs::read(gguf_golden("blocks.gguf")).unwrap();
    let expected = Weights::open(&gguf_golden("expected.safetensors")).unwrap();
    for ours in [
        Weights::open(&gguf_golden("blocks.gguf")).unwrap(),
        Weights::parse(&bytes, "x").unwrap(),
    ] {
        assert_eq!(ours.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        assert_eq!(ours.metadata()["general.architecture"], "sd3");
        for key in expected.keys() {
            let read = |weights: &Weights| {
                let tensor = weights.load(key, DType::F32, &Device::Cpu).unwrap();
                (
                    tensor.dims().to_vec(),
                    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
                )
            };
            let ((dims, values), (wanted_dims, wanted)) = (read(&ours), read(&expected));
            assert_eq!(dims, wanted_dims, "{key}");
            let close = values.iter().zip(&wanted).all(|(a, b)| (a - b).abs() <= b.abs() * 1e-6);
            assert!(close, "{key}: {:?} and {:?}", &values[..4], &wanted[..4]);
        }
        let cut = ours.renamed(|key| vec![(format!("{key}.second"), Part::Rows { index: 1, of: 3 })]);
        let whole = ours.load("Q8_0.weight", DType::F32, &Device::Cpu).unwrap();
        let second = cut.load("Q8_0.weight.second", DType::F32, &Device::Cpu).unwrap();
        let rows = |t: &Tensor| t.to_vec2::<f32>().unwrap();
        assert_eq!(rows(&second), rows(&whole)[2..4]);
    }
}

#[test]
fn what_is_wrong_with_a_gguf_file_is_said() {
    let bytes = std::fs::read(gguf_golden("blocks.gguf")).unwrap();
    let with = |from: &[u8], to: &[u8]| {
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    };
    // After a tensor's name: two dimensions, their sides, the type.
    let tensor = |kind: u8| {
        let dims = [2u32.to_le_bytes().as_slice(), &64u64.to_le_bytes(), &6u64.to_le_bytes()].concat();
        [b"Q8_0.weight".as_slice(), &dims, &[kind]].concat()
    };
    assert!(message(&with(&tensor(8), &tensor(21))).contains("IQ3_S"));
    assert!(message(&with(&tensor(8), &tensor(77))).contains("number 77"));
    assert!(message(&bytes[..bytes.len() - 40]).contains("cut off"));
    assert!(message(&bytes[..60]).contains("GGUF"));
    let refused = message(b"GGUF\x03\0\0\0");
    assert!(
        refused.contains("GGUF") && !refused.contains("safetensors"),
        "{refused}"
    );
}

#[test]
fn no_damage_makes_the_gguf_reader_panic() {
    let original = std::fs::read(gguf_golden("blocks.gguf")).unwrap();
    let mut refused = 0;
    for bytes in Damage::new(17, &original).take(1500) {
        if let Err(error) = Weights::parse(&bytes, "x").and_then(|w| w.tensors()) {
            assert!(error.is_bad_input(), "{error}");
            refused += 1;
        }
    }
    assert!(refused > 300, "only {refused} of 1500 damaged files were noticed");
}
