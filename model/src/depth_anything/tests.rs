use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::io::photo::load_photo;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/depth_anything_tiny");

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(GOLDEN).join(name)
}

fn tiny() -> DepthConfig {
    serde_json::from_slice(&fs::read(golden("config.json")).unwrap()).unwrap()
}

/// A folder with a copy of golden weights under that name.
fn copied(from: &str, name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(golden(from), folder.path().join(name)).unwrap();
    folder
}

/// A file of zeros: the length of the header, the header, and a hole.
fn write_zeros(path: &Path, shapes: &std::collections::BTreeMap<String, Vec<usize>>) {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in shapes {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        header.insert(
            name.clone(),
            json!({"dtype": "F16", "shape": shape, "data_offsets": [start, end]}),
        );
    }
    let header = json!(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    fs::write(path, &bytes).unwrap();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len((bytes.len() + end) as u64).unwrap();
}

fn shapes(config: &DepthConfig) -> std::collections::BTreeMap<String, Vec<usize>> {
    let skeleton = Skeleton::new(None);
    Encoder::new(&config.backbone_config, &skeleton.builder().pp("backbone")).unwrap();
    Head::new(config, &skeleton.builder()).unwrap();
    skeleton.shapes()
}

fn refusal(path: &Path) -> String {
    let Err(error) = DepthNetwork::open(path, &Place::processor()) else {
        panic!("{} was opened", path.display());
    };
    let message = error.to_string();
    assert!(error.is_bad_input() && message.lines().count() == 1, "{message}");
    assert!(message.starts_with(&path.display().to_string()), "{message}");
    message
}

/// Parameter counts of the original repository's README, which rounds them.
#[test]
fn sizes_have_the_published_numbers_of_parameters() {
    let folder = tempfile::tempdir().unwrap();
    for (size, millions) in DepthSize::ALL.into_iter().zip([24.8, 97.5, 335.3]) {
        let path = folder.path().join("model.safetensors");
        let shapes = shapes(&DepthConfig::published(size));
        write_zeros(&path, &shapes);
        let weights = Weights::open(&path).unwrap();
        // Two convolutions at the coarsest level and the mask token are in the files and never run.
        let fused = DepthConfig::published(size).fusion_hidden_size;
        let unused = 2 * (9 * fused * fused + fused);
        let count = (weights.parameters() as usize + unused) as f64 / 1e6;
        assert!((count - millions).abs() < 0.06, "{size}: {count}");
        assert_eq!(size_of(&weights), Some(size));
    }
}

#[test]
fn a_file_in_a_published_size_is_opened_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    write_zeros(
        &folder.path().join("model.safetensors"),
        &shapes(&DepthConfig::published(DepthSize::Small)),
    );
    let network = DepthNetwork::open(folder.path(), &Place::processor()).unwrap();
    assert_eq!(network.size(), DepthSize::Small);
    assert!(network.size().licence_note().contains("Apache-2.0"));
    for size in [DepthSize::Base, DepthSize::Large] {
        assert!(
            size.licence_note().contains("non-commercial"),
            "{}",
            size.licence_note()
        );
    }
}

/// `Resize.get_size` of the original repository's `depth_anything_v2/util/transform.py` gave these.
#[test]
fn photos_are_brought_to_the_size_that_the_original_brings_them_to() {
    let encoder = DepthConfig::published(DepthSize::Small).backbone_config;
    for (photo, expected) in [
        ((1920, 1080), (924, 518)),
        ((640, 480), (686, 518)),
        ((3024, 4032), (518, 686)),
        ((300, 200), (784, 518)),
        ((777, 1400), (518, 938)),
        ((64, 160), (518, 1288)),
        ((1, 1), (518, 518)),
        ((2000, 500), (2072, 518)),
    ] {
        assert_eq!(input_size(photo, &encoder), expected, "{photo:?}");
    }
    // No more than memory holds, the aspect kept.
    assert_eq!(input_size((8000, 1000), &encoder), (2016, 252));
    assert_eq!(input_size((1, 1000), &encoder), (14, 14_000));
}

/// What transformers' `DPTImageProcessor` made of the golden's picture. It rounds to 256 levels after each direction, which
/// makes differences up to 1.7 levels at sharp edges; without averaging where pixels are dropped they would be up to 9.
#[test]
fn the_network_sees_what_the_reference_shows_it() {
    let config = tiny();
    let network = Layers::open(
        &config,
        &Weights::open(&golden("weights.safetensors")).unwrap(),
        &Device::Cpu,
    )
    .unwrap();
    let picture = load_photo(&golden("image.png")).unwrap().rgb;
    let ours = network.pixels(&picture).unwrap();
    let case = Weights::open(&golden("case.safetensors")).unwrap();
    let expected = case.load("pixels", DType::F32, &Device::Cpu).unwrap();
    let worst = (ours.permute((2, 0, 1)).unwrap() - expected)
        .unwrap()
        .abs()
        .unwrap()
        .max_all()
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    assert!(worst < 2.0 / 255.0 / 0.224, "{worst}");
    let map = network.disparity(&picture).unwrap();
    assert_eq!((map.width, map.height, map.values.len()), (56, 42, 56 * 42));
}

#[test]
fn variants_that_look_the_same_are_told_by_name_or_config() {
    let original = copied(
        "original.safetensors",
        "depth_anything_v2_metric_vkitti_vits.safetensors",
    );
    let message = refusal(&original.path().join("depth_anything_v2_metric_vkitti_vits.safetensors"));
    assert!(message.contains("variant for metres"), "{message}");
    let first = copied("original.safetensors", "depth_anything_vits14.safetensors");
    let message = refusal(&first.path().join("depth_anything_vits14.safetensors"));
    assert!(message.contains("Depth Anything V1"), "{message}");

    let release = copied("weights.safetensors", "model.safetensors");
    let with_config = |change: fn(&mut Value)| {
        let mut config: Value = serde_json::from_slice(&fs::read(golden("config.json")).unwrap()).unwrap();
        config["backbone_config"]["out_indices"] = json!([3, 6, 9, 12]);
        change(&mut config);
        fs::write(release.path().join("config.json"), config.to_string()).unwrap();
        refusal(&release.path().join("model.safetensors"))
    };
    let message = with_config(|config| config["depth_estimation_type"] = json!("metric"));
    assert!(message.contains("variant for metres"), "{message}");
    let message = with_config(|config| config["backbone_config"]["out_indices"] = json!([9, 10, 11, 12]));
    assert!(message.contains("Depth Anything V1"), "{message}");
    let message = with_config(|_| ());
    assert!(message.contains("no published size"), "{message}");
}

#[test]
fn other_networks_and_damaged_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("depth.safetensors");
    for (key, expected) in [
        ("dpt.embeddings.cls_token", "DPT (MiDaS)"),
        ("pretrained.model.blocks.0.norm1.weight", "DPT (MiDaS)"),
        (
            "depth_pro.encoder.patch_encoder.model.embeddings.cls_token",
            "Depth Pro",
        ),
        ("metric_head.seed_projector.conv1.weight", "ZoeDepth"),
        ("pretrained.blocks.0.mlp.w12.weight", "giant"),
        ("joint_blocks.0.x_block.attn.qkv.weight", "Stable Diffusion 3"),
        ("embeddings.cls_token", "without the head"),
        ("layers.3.weight", "no depth network that is known"),
    ] {
        write_zeros(&path, &[(key.to_owned(), vec![2, 2])].into());
        let message = refusal(&path);
        assert!(
            message.contains(expected) && message.contains("give Depth Anything V2"),
            "{message}"
        );
    }
    let bytes = fs::read(golden("original.safetensors")).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    assert!(refusal(&path).contains("cut off"), "{}", refusal(&path));

    let mut small = shapes(&DepthConfig::published(DepthSize::Small));
    small.insert("head.conv4.weight".into(), vec![1]);
    write_zeros(&path, &small);
    assert!(refusal(&path).contains("holds head.conv4.weight"), "{}", refusal(&path));
    small.remove("head.conv4.weight");
    small.remove("head.conv1.bias");
    write_zeros(&path, &small);
    assert!(
        refusal(&path).contains("lacks tensor head.conv1.bias"),
        "{}",
        refusal(&path)
    );
}
