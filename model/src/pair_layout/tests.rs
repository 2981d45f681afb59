use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;
use mdsd3_words::Mix;

/// One scene, haze alone, which every layout has a place for.
fn dataset(layout: LayoutKind) -> (Dataset, Job) {
    let dataset = Dataset {
        labels: vec!["pier".to_owned()],
        parts: vec![String::new()],
        part_of: vec![0],
        mixes: vec![vec!["haze".to_owned()]],
        pairs_per_mix: 2,
        classes: vec!["haze".to_owned()],
        lq_extension: if layout.prefers_jpeg() { "jpg" } else { "png" },
        shard_pairs: 10,
        ..Dataset::default()
    };
    let mut mix = Mix::new();
    mix.set("haze", 0.5).unwrap();
    let job = Job {
        index: 1,
        scene: 0,
        mix_index: 0,
        variant: 1,
        mix,
        alpha: 1.0,
        beta: 0.0,
        seed: 7,
        key: "k".to_owned(),
    };
    (dataset, job)
}

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_a_layout_writes_is_known_as_its_own_and_found_again() {
    for layout in LayoutKind::ALL {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let (dataset, job) = dataset(layout);
        layout.check(&dataset).unwrap();
        let place = layout.place(&dataset, &job);
        for path in [&place.gt, &place.lq] {
            put(root, path, b"image");
        }
        put(
            root,
            &layout.info(&dataset, &job),
            br#"{"request": {"mix": {"haze": 0.5}}}"#,
        );
        let done = [Done {
            job,
            width: 4,
            height: 3,
        }];
        for list in layout.lists(&dataset, &done).unwrap() {
            put(root, &list.path, &list.bytes);
        }
        for pack in layout.packs(&dataset, &done) {
            let mut tar = tar::Builder::new(fs::File::create(root.join(pack.path)).unwrap());
            for path in [&place.gt, &place.lq] {
                let name = Path::new(path).file_name().unwrap();
                tar.append_path_with_name(root.join(path), name).unwrap();
            }
            tar.finish().unwrap();
        }
        let folders = [root.to_owned(), root.join("train")];
        let known: BTreeSet<&str> = folders
            .iter()
            .flat_map(|folder| LayoutKind::ALL.into_iter().filter(|kind| kind.is_in(folder)))
            .map(|kind| kind.name())
            .collect();
        assert_eq!(known, BTreeSet::from([layout.name()]));
        let classes = ["haze".to_owned()];
        let mut reading = Reading::new(root, &classes);
        let found = folders
            .iter()
            .flat_map(|folder| layout.read(folder, &mut reading).unwrap());
        assert_eq!((found.count(), &reading.unpaired[..]), (1, &[][..]), "{layout:?}");
    }
}

#[test]
fn names_are_those_of_plans() {
    for layout in LayoutKind::ALL {
        let json = serde_json::to_string(&layout).unwrap();
        assert_eq!(json, format!("{:?}", layout.name()));
        assert_eq!(serde_json::from_str::<LayoutKind>(&json).unwrap(), layout);
    }
    let error = serde_json::from_str::<LayoutKind>("\"lmdb\"").unwrap_err().to_string();
    assert!(
        error.contains("\"lmdb\"") && error.contains("basicsr, restormer"),
        "{error}"
    );
}

/// Written by Python's tarfile with `format=PAX_FORMAT` and `GNU_FORMAT`: keys that ustar has no letters or no room for.
#[test]
fn no_pair_of_a_tar_is_lost_for_its_name() {
    let long = |last: &str| format!("{}{last}", "long-".repeat(40));
    let keys = ["北京の雨".to_owned(), "Ünïcödé".to_owned(), long("0"), long("1")];
    for tar in [
        &include_bytes!("fixtures/pax.tar")[..],
        &include_bytes!("fixtures/gnu.tar")[..],
    ] {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "train-000000.tar", tar);
        let mut reading = Reading::new(folder.path(), &[]);
        let layout = LayoutKind::of_folder(folder.path()).unwrap();
        let items = layout.read(folder.path(), &mut reading).unwrap();
        assert_eq!((items.len(), reading.unpaired.len()), (4, 0));
        for item in items {
            let name = item.clean.name();
            let key = keys
                .iter()
                .find(|key| name.ends_with(&format!("{key}.gt.png")))
                .expect("a key");
            let text = format!("gt.png of {key}");
            assert_eq!(item.clean.read().unwrap(), text.as_bytes()[..text.len().min(40)]);
        }
    }
}

#[test]
fn a_tar_that_was_cut_off_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    for name in ["a.gt.png", "a.lq.png", "b.gt.png", "b.lq.png"] {
        let mut header = tar::Header::new_ustar();
        header.set_size(600);
        tar.append_data(&mut header, name, &[1; 600][..]).unwrap();
    }
    let bytes = tar.into_inner().unwrap();
    // The last member begins at 3 * 1536 + 512.
    put(folder.path(), "train-000000.tar", &bytes[..3 * 1536 + 512 + 300]);
    let mut reading = Reading::new(folder.path(), &[]);
    let layout = LayoutKind::of_folder(folder.path()).unwrap();
    assert_eq!(layout.read(folder.path(), &mut reading).unwrap().len(), 1);
    let reasons: Vec<&str> = reading.unpaired.iter().map(|one| one.reason.as_str()).collect();
    assert!(
        reasons.len() == 2 && reasons[0].contains("b.lq.png: the tar ends"),
        "{reasons:?}"
    );
    assert!(reasons[1].contains("b: lacks"), "{reasons:?}");
}
