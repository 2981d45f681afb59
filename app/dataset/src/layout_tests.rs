//! Each layout is read by the rules of its trainer, written down here as the trainer has them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use image::RgbImage;

use crate::open::physical;
use crate::options::RunOptions;
use crate::plan::Plan;
use crate::run;
use crate::{Shard, verify};

/// A finished physical dataset of two scenes.
struct Dataset {
    folder: tempfile::TempDir,
}

impl Dataset {
    fn new(plan: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, level) in [("Great Wall.v2.png", 90), ("pier_3.png", 160)] {
            let image = RgbImage::from_fn(40, 36, |x, y| image::Rgb([level, (x * 6) as u8, (y * 7) as u8]));
            image.save(folder.path().join(name)).expect("saved");
        }
        let text = format!("engine = \"physical\"\nscenes = [\"*.png\"]\nsize = 32\n{plan}");
        let plan = Plan::parse(&text, "plan.toml", folder.path().to_owned()).expect("a valid plan");
        let sweep = physical(plan).expect("a valid sweep");
        let data = Self { folder };
        let options = RunOptions {
            shard: Shard::ALL,
            resume: false,
            force: false,
        };
        let outcome = run::run(&sweep, None, &data.root(), &options, &()).expect("a finished sweep");
        assert!(outcome.is_finished && outcome.made == sweep.len(), "{outcome:?}");
        let report = verify::verify(&data.root(), |_, _| ()).expect("checked");
        assert!(report.is_good() && report.unknown.is_empty(), "{report:?}");
        data
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn names(&self, below: &str) -> Vec<String> {
        let folder = self.root().join(below);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).expect("a text file")
    }

    /// Both images can be read and are aligned.
    fn check_pair(&self, gt: &str, lq: &str) {
        let open = |path: &str| image::open(self.root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (gt, lq) = (open(gt).to_rgb8(), open(lq).to_rgb8());
        assert_eq!(gt.dimensions(), lq.dimensions());
        assert_ne!(gt, lq);
    }
}

fn refusal(plan: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("a.png"), "").expect("written");
    let text = format!("engine = \"physical\"\nscenes = [\"*.png\"]\n{plan}");
    let plan = Plan::parse(&text, "plan.toml", folder.path().to_owned()).expect("a valid plan");
    physical(plan).expect_err("the layout has no place for it").to_string()
}

/// No spaces, no dots but the extension's.
fn check_names(names: &[String]) {
    for name in names {
        let is_plain = name.matches('.').count() == 1 && !name.contains(' ');
        assert!(is_plain, "{name}");
    }
}

#[test]
fn basicsr_pairs_by_meta_info_and_by_folder() {
    let data = Dataset::new("layout = \"basicsr\"\nmixes = [{ rain = 1 }, { haze = 0.5 }]");
    let (gt, lq) = (data.names("gt"), data.names("lq"));
    // paired_paths_from_folder: as many files, and for every gt an lq of the same name.
    assert_eq!(gt, lq);
    check_names(&gt);
    // paired_paths_from_meta_info_file: the name is what stands before the first space.
    let meta = data.read("meta_info.txt");
    assert_eq!(meta.lines().count(), 4);
    for line in meta.lines() {
        let name = line.split(' ').next().expect("a name");
        assert_eq!(line, format!("{name} (32,32,3)"));
        data.check_pair(&format!("gt/{name}"), &format!("lq/{name}"));
    }
}

#[test]
fn restormer_finds_every_target_in_input() {
    let data = Dataset::new("layout = \"restormer\"\nmixes = [{ rain = [0.5, 1] }, { haze = 0.5, rain = 1 }]");
    assert_eq!(data.names("train"), ["HazeRain", "Rain"]);
    for (task, pairs) in [("Rain", 4), ("HazeRain", 2)] {
        let (input, target) = (
            data.names(&format!("train/{task}/input")),
            data.names(&format!("train/{task}/target")),
        );
        assert_eq!((&input, input.len()), (&target, pairs));
        check_names(&input);
        for name in input {
            data.check_pair(
                &format!("train/{task}/target/{name}"),
                &format!("train/{task}/input/{name}"),
            );
        }
    }
}

#[test]
fn cdd11_has_the_same_names_in_every_folder() {
    let mixes =
        "mixes = [{ rain = 1 }, { haze = 0.5 }, { rain = 0.7, haze = 0.6, snow = 0.5 }, { snow = 1, haze = 1 }]";
    let data = Dataset::new(&format!("layout = \"cdd11\"\n{mixes}\nseeds = [0, 1]"));
    let clear = data.names("clear");
    check_names(&clear);
    assert_eq!(clear.len(), 4, "two scenes, two seeds");
    for folder in ["rain", "haze", "haze_rain_snow", "haze_snow"] {
        assert_eq!(data.names(folder), clear, "{folder}");
        for name in &clear {
            data.check_pair(&format!("clear/{name}"), &format!("{folder}/{name}"));
        }
    }
    let message = refusal("layout = \"cdd11\"\nmixes = [{ rain = [0.5, 1] }, { haze = 0.5 }]");
    assert!(message.contains("haze has 1 and rain has 2"), "{message}");
    assert!(refusal("layout = \"cdd11\"\nmixes = [{ rain = 0 }]").contains("clear"));
}

#[test]
fn promptir_derives_clean_names_from_degraded_ones() {
    let data = Dataset::new("layout = \"promptir\"\nmixes = [{ rain = 1 }, { haze = [0.5, 1] }]");
    let hazy = data.read("data_dir/hazy/hazy_outside.txt");
    assert_eq!(hazy.lines().count(), 4);
    for line in hazy.lines() {
        // _get_nonhazy_name: the folder before "synthetic", what stands before the first "_", the last extension.
        let lq = format!("Dehaze/{line}");
        let folder = lq.split("synthetic").next().expect("a folder");
        let file = lq.rsplit('/').next().expect("a name");
        let (name, suffix) = (
            file.split('_').next().expect("a stem"),
            file.rsplit('.').next().expect("an extension"),
        );
        data.check_pair(&format!("{folder}original/{name}.{suffix}"), &lq);
    }
    let rainy = data.read("data_dir/rainy/rainTrain.txt");
    assert_eq!(rainy.lines().count(), 2);
    for line in rainy.lines() {
        // _get_gt_name: the folder before "rainy", "gt/norain-" and what follows the last "rain-".
        let lq = format!("Derain/{line}");
        let folder = lq.split("rainy").next().expect("a folder");
        let number = lq.rsplit("rain-").next().expect("a number");
        data.check_pair(&format!("{folder}gt/norain-{number}"), &lq);
    }
    assert_eq!(data.names("Dehaze/original").len(), 2);
    assert!(refusal("layout = \"promptir\"\nmixes = [{ rain = 1, haze = 1 }]").contains("haze+rain"));
}

#[test]
fn reside_readers_find_the_clear_image_before_the_first_underscore() {
    let data = Dataset::new("layout = \"reside\"\nmixes = [{ haze = { grid = [0.25, 0.8] } }]\nseeds = [0, 1]");
    let hazy = data.names("hazy");
    assert_eq!((hazy.len(), data.names("clear").len()), (8, 2));
    for name in &hazy {
        let parts: Vec<&str> = name.trim_end_matches(".jpg").split('_').collect();
        let [id, ratio, number] = parts[..] else {
            panic!("{name}: three parts");
        };
        assert!(ratio.parse::<f32>().is_ok() && number.parse::<f32>().is_ok(), "{name}");
        data.check_pair(&format!("clear/{id}.png"), &format!("hazy/{name}"));
    }
    assert!(refusal("layout = \"reside\"\nmixes = [{ rain = 1 }]").contains("rain"));
}

#[test]
fn imagefolder_rows_name_files_beside_them_and_have_equal_columns() {
    let plan =
        "layout = \"imagefolder\"\nmixes = [{ rain = 0.8 }, { haze = 0.5 }]\nsplit = { train = 0.5, test = 0.5 }";
    let data = Dataset::new(plan);
    let mut columns = BTreeSet::new();
    for part in ["train", "test"] {
        let rows = data.read(&format!("{part}/metadata.jsonl"));
        assert_eq!(rows.lines().count(), 2);
        for line in rows.lines() {
            let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).expect("a row");
            let file = |column: &str| format!("{part}/{}", row[column].as_str().expect("a path"));
            data.check_pair(&file("gt_file_name"), &file("file_name"));
            columns.insert(row.keys().cloned().collect::<Vec<_>>());
            assert!(line.contains("\"rain\":0.8") || line.contains("\"haze\":0.5"), "{line}");
        }
    }
    assert_eq!(columns.len(), 1);
}

#[test]
fn webdataset_groups_neighbours_by_the_part_before_the_first_dot() {
    let data = Dataset::new("layout = \"webdataset\"\nmixes = [{ rain = 1 }, { haze = 0.5 }]\nshard_pairs = 3");
    assert_eq!(
        data.names(""),
        [".mdsd3", "README.md", "train-000000.tar", "train-000001.tar"]
    );
    let mut keys = Vec::new();
    for name in ["train-000000.tar", "train-000001.tar"] {
        let mut archive = tar::Archive::new(fs::File::open(data.root().join(name)).expect("a tar"));
        for entry in archive.entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a name").to_string_lossy().into_owned();
            let (key, field) = path.split_once('.').expect("a key and a field");
            if keys.last() != Some(&key.to_owned()) {
                assert!(
                    !keys.contains(&key.to_owned()),
                    "{key}: files of a sample are neighbours"
                );
                keys.push(key.to_owned());
            }
            assert!(["gt.png", "lq.png", "json"].contains(&field), "{field}");
            if field == "json" {
                let mut text = String::new();
                entry.read_to_string(&mut text).expect("text");
                let info: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!(info["gt"], format!("{key}.gt.png"), "its name in the tar");
                assert_eq!(
                    info["physical"]["seed"].as_str().map(str::len),
                    Some(16),
                    "above 2^63 for some"
                );
            }
            assert_eq!(entry.header().mtime().expect("a time"), 0);
        }
    }
    assert_eq!(keys.len(), 4);
}

#[cfg(unix)]
#[test]
fn copies_of_a_clean_image_are_stored_as_asked() {
    use std::os::unix::fs::MetadataExt;
    for (pairs, is_link, names) in [("duplicate", false, 1), ("hardlink", false, 3), ("symlink", true, 1)] {
        let plan = format!("mixes = [{{ rain = 1 }}]\nseeds = [0, 1, 2]\nnames = \"number\"\npairs = \"{pairs}\"");
        let data = Dataset::new(&plan);
        assert_eq!(data.names("gt").len(), 6);
        let copy = data.root().join("gt/0002_1.png");
        let facts = fs::symlink_metadata(&copy).expect("there");
        assert_eq!(facts.is_symlink(), is_link, "{pairs}");
        assert!(is_link || facts.nlink() == names, "{pairs}");
        assert!(!is_link || fs::read_link(&copy).expect("a link") == Path::new("0002_0.png"));
        data.check_pair("gt/0002_1.png", "lq/0002_1.png");
    }
}
