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
