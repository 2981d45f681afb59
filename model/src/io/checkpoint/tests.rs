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
    assert!(message(&one(r#"{"dtype":"F8_E5M2","shape":[8],"data_offsets":[0,8]}"#)).contains("F8_E5M2"));
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
