//! `mdsd3 sweep`: plans become datasets, whatever happens on the way.

mod bad_plans;
#[cfg(unix)]
mod hostile;
mod kills;
mod repair;
pub mod support;
mod weather;

use std::fs;
use std::path::Path;

use mdsd3_render::metadata;
use serde_json::Value;

use crate::program::{files_in, mdsd3, repository};
use support::{Project, tree};

#[test]
fn a_dry_run_counts_estimates_and_shows_the_first_jobs() {
    let project =
        Project::new("mixes = [{ rain = [0.5, 1.0] }, { haze = { uniform = [0.2, 1.0] } }]\nseeds = [0, 1, 2]");
    let said = project.sweep(&["--dry-run"]).succeeded();
    assert!(
        said.contains("27 pairs: 3 scenes x 3 mixes x 1 alpha and beta x 3 seeds"),
        "{said}"
    );
    assert!(
        said.contains(" s of computing and ") && said.contains(" MB on this machine"),
        "{said}"
    );
    assert_eq!(
        said.lines().filter(|line| line.contains("  seed ")).count(),
        10,
        "{said}"
    );
    assert_eq!(files_in(&project.root()), ["a.png", "b.png", "c.png", "plan.toml"]);
}

#[test]
fn a_finished_dataset_verifies_until_a_file_changes() {
    let project = Project::new("mixes = [{ rain = 1.0 }]\nseeds = [0, 1]");
    let said = project.sweep(&["-o", "out"]).succeeded();
    assert!(said.contains("made 6 of 6 pairs"), "{said}");
    let verify = || mdsd3(&project.root(), ["sweep", "--verify", "out"]);
    assert!(verify().succeeded().contains("6 pairs in 19 files"));
    let again = project.sweep(&["-o", "out", "--resume"]).succeeded();
    assert!(again.contains("made 0 of 6"), "{again}");
    let victim = project.root().join("out/lq/a_0.png");
    let mut bytes = fs::read(&victim).expect("there");
    bytes[60] ^= 1;
    fs::write(&victim, &bytes).expect("written");
    fs::remove_file(project.root().join("out/gt/b_1.png")).expect("removed");
    let ended = verify();
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stdout.contains("differs: lq/a_0.png") && ended.stdout.contains("missing: gt/b_1.png"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("1 files are missing, 1 files differ"),
        "{ended:?}"
    );
}

#[test]
fn bad_photos_are_recorded_and_skipped() {
    let project = Project::new("mixes = [{ rain = 1.0 }]");
    fs::write(project.root().join("bad.png"), b"no photo").expect("written");
    let ended = project.sweep(&["-o", "out"]);
    assert_eq!(ended.code, Some(1), "a script shall not go on unasked: {ended:?}");
    assert!(
        ended.stderr.contains("skipped bad.png") && ended.stdout.contains("1 photo skipped"),
        "{ended:?}"
    );
    let last = ended.stderr.lines().last().expect("a line");
    assert!(last.contains("1 photo can't be used and has no pairs"), "{last}");
    assert_eq!(files_in(&project.root().join("out/lq")), ["a.png", "b.png", "c.png"]);
    let journal = fs::read_to_string(project.root().join("out/.mdsd3/journal.jsonl")).expect("a journal");
    assert!(journal.contains("\"failed\":{\"scene\":\"bad.png\""));
    mdsd3(&project.root(), ["sweep", "--verify", "out"]).succeeded();
}

#[test]
fn shards_in_any_order_and_a_merge_make_what_one_run_makes() {
    for layout in ["basicsr", "webdataset"] {
        let plan = format!(
            "layout = \"{layout}\"\nmixes = [{{ rain = 1.0 }}, {{ haze = 0.5 }}]\nseeds = [0, 1, 2]\nshard_pairs = 7"
        );
        let project = Project::new(&plan);
        project.sweep(&["-o", "one"]).succeeded();
        for shard in ["2/3", "0/3"] {
            let said = project.sweep(&["-o", "parts", "--shard", shard]).succeeded();
            assert!(said.contains("--merge"), "{said}");
        }
        let line = project.sweep(&["-o", "parts", "--merge"]).refused(2);
        assert!(line.contains("of 18 pairs are missing"), "{line}");
        project.sweep(&["-o", "parts", "--shard", "1/3"]).succeeded();
        let said = project.sweep(&["-o", "parts", "--merge"]).succeeded();
        assert!(said.contains("merged 18 pairs"), "{said}");
        assert!(
            tree(&project.root().join("one")) == tree(&project.root().join("parts")),
            "{layout}"
        );
        mdsd3(&project.root(), ["sweep", "--verify", "parts"]).succeeded();
    }
}

#[test]
fn pairs_say_how_they_were_made_and_can_be_made_again() {
    let project = Project::new("mixes = [{ rain = 1.0, haze = 0.25 }]\nseeds = [7]\ncrop = 40\nsave = { bits = 16 }");
    project.sweep(&["-o", "out"]).succeeded();
    let info: Value =
        serde_json::from_slice(&fs::read(project.root().join("out/info/a.json")).expect("there")).expect("JSON");
    assert_eq!(info["request"]["mix"]["haze"], 0.25);
    assert_eq!(
        (&info["bits"], &info["crop"]["side_px"], &info["lq"]),
        (&16.into(), &40.into(), &"lq/a.png".into())
    );
    assert!(info["physical"]["rain"].is_object() && info["scene_sha256"].is_string());
    for image in ["gt", "lq"] {
        let source = format!("out/{image}/a.png");
        // From another folder: the photo is found from the PNG's own place.
        let elsewhere = tempfile::tempdir().expect("a temporary folder");
        let source = project.root().join(source);
        let again = elsewhere.path().join("again.png");
        let args = [
            "render".as_ref(),
            "--from".as_ref(),
            source.as_os_str(),
            "-o".as_ref(),
            again.as_os_str(),
        ];
        mdsd3(elsewhere.path(), args).succeeded();
        assert!(
            fs::read(&again).expect("written") == fs::read(&source).expect("there"),
            "{image}"
        );
    }
    let said = mdsd3(&project.root(), ["info", "out/lq/a.png"]).succeeded();
    assert!(said.contains("Physical degradation: rain=1,haze=0.25"), "{said}");
    fs::copy(project.root().join("b.png"), project.root().join("a.png")).expect("copied");
    let line = mdsd3(&project.root(), ["render", "--from", "out/lq/a.png", "-o", "x.png"]).refused(2);
    assert!(line.contains("is not the photo"), "{line}");
}

#[test]
fn the_network_makes_composited_pairs_that_can_be_made_again() {
    let project = Project::with_engine(
        "mdsd3",
        "mixes = [{ rain = 1.0 }, { haze = 0.8 }]\nsteps = 2\nalpha_beta = [[1.0, 0.0], [1.0, 0.3]]\n\
         save = { images = [\"vae_gt\", \"lq_decoded\", \"steps\"] }",
    );
    let said = project.sweep(&["-o", "out"]).succeeded();
    assert!(said.contains("made 12 of 12 pairs"), "{said}");
    let info: Value =
        serde_json::from_slice(&fs::read(project.root().join("out/info/a_1.json")).expect("there")).expect("JSON");
    assert!(
        info["autoencoder_floor_psnr_db"]
            .as_f64()
            .is_some_and(|psnr_db| psnr_db > 20.0),
        "{info}"
    );
    assert_eq!(info["noise_key"]["seed"], 0);
    assert_eq!(info["model"]["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(
        info["request"]["beta"].as_f64().map(|beta| (beta * 10.0).round()),
        Some(3.0)
    );
    assert_eq!(files_in(&project.root().join("out/extra/steps")), ["00", "01"]);
    for image in ["gt/a_1", "lq/a_1", "extra/vae_gt/a_1", "extra/lq_decoded/a_1"] {
        let source = format!("out/{image}.png");
        mdsd3(&project.root(), ["render", "--from", &source, "-o", "again.png"]).succeeded();
        let read = |path: &str| fs::read(project.root().join(path)).expect("a file");
        assert!(read("again.png") == read(&source), "{image}");
    }
    let settings = metadata::read_settings(&project.root().join("out/lq/a_1.png")).expect("settings");
    assert!(
        settings.in_words().starts_with("Mix: rain=1\n"),
        "{}",
        settings.in_words()
    );
}

#[test]
fn a_jpeg_of_a_dataset_is_made_again_under_a_name_of_its_format() {
    let project = Project::with_engine("physical", "layout = \"reside\"\nmixes = [{ haze = 0.5 }]");
    project.sweep(&["-o", "out"]).succeeded();
    let image = "out/hazy/a_0.5_1.jpg";
    let line = mdsd3(&project.root(), ["render", "--from", image, "-o", "again.png"]).refused(2);
    assert!(line.contains("a JPEG") && line.contains(".jpg"), "{line}");
    mdsd3(&project.root(), ["render", "--from", image, "-o", "again.jpg"]).succeeded();
    let read = |path: &str| fs::read(project.root().join(path)).expect("a file");
    assert!(read("again.jpg") == read(image));
}

#[test]
fn settings_that_a_jpeg_has_no_room_for_are_refused_before_anything_is_made() {
    let points: Vec<String> = (0..9000)
        .map(|point| format!("{:.4}:1", 1.0 - f64::from(point) / 1e4))
        .collect();
    let plan = format!(
        "layout = \"imagefolder\"\nsave = {{ lq_format = \"jpeg\" }}\ncurves = [\"rain={}\"]\nmixes = [{{ rain = 1 }}]",
        points.join(",")
    );
    let project = Project::with_engine("mdsd3", &plan);
    let line = project.sweep(&["-o", "out"]).refused(2);
    assert!(line.contains("JPEG") && line.contains("lq_format"), "{line}");
    assert!(!project.root().join("out").exists());
}

#[test]
fn a_batch_has_one_noise_level_to_begin_at() {
    let project = Project::with_engine(
        "mdsd3",
        "mixes = [{ rain = 1.0 }]\nsteps = 2\nbatch = 3\nstart_at_noise_share = true\n\
         alpha_beta = [[1.0, 0.0], [0.4, 0.6]]",
    );
    project.sweep(&["-o", "out"]).succeeded();
    let read = |path: &str| fs::read(project.root().join(path)).expect("a file");
    for image in ["out/lq/a_0.png", "out/lq/a_1.png"] {
        mdsd3(&project.root(), ["render", "--from", image, "-o", "again.png"]).succeeded();
        assert!(read("again.png") == read(image), "{image}");
    }
    let words = |image: &str| {
        let settings = metadata::read_settings(&project.root().join(image)).expect("settings");
        settings.in_words()
    };
    assert!(!words("out/lq/a_0.png").contains("First sigma"));
    assert!(words("out/lq/a_1.png").contains("First sigma: 0.400"));
    let silent = "mixes = [{ rain = 1.0 }]\nstart_at_noise_share = true\nalpha_beta = [[0.0, 1.0]]";
    let line = Project::with_engine("mdsd3", silent).sweep(&["-o", "other"]).refused(2);
    assert!(line.contains("raise alpha"), "{line}");
}

#[test]
fn a_single_render_is_made_again_from_its_png() {
    let project = Project::new("mixes = [{ rain = 1.0 }]");
    let args = [
        "render", "a.png", "--size", "64", "--steps", "2", "--seed", "3", "-o", "one.png",
    ];
    mdsd3(&project.root(), args).succeeded();
    mdsd3(&project.root(), ["render", "--from", "one.png", "-o", "two.png"]).succeeded();
    let read = |name: &str| fs::read(project.root().join(name)).expect("a file");
    assert!(read("one.png") == read("two.png"));
    let line = mdsd3(
        &project.root(),
        ["render", "--from", "one.png", "--seed", "4", "-o", "two.png"],
    )
    .refused(2);
    assert!(line.contains("--from"), "{line}");
}

#[test]
fn a_render_is_not_made_again_with_another_config_of_its_model() {
    let project = Project::new("mixes = [{ rain = 1.0 }]");
    let (root, elsewhere) = (project.root(), project.root().join("elsewhere"));
    let bundled = repository().join("assets/models/mini");
    let copy_to = |model: &Path| {
        fs::create_dir_all(model).expect("a folder");
        for file in ["config.json", "model.safetensors"] {
            fs::copy(bundled.join(file), model.join(file)).expect("a file of the bundled model");
        }
    };
    copy_to(&root.join("model"));
    let hash = |args: &[&str]| {
        let said = mdsd3(&root, args).succeeded();
        said.lines().last().expect("the hash").to_owned()
    };
    assert_eq!(
        hash(&["info", "model"]),
        hash(&["info"]),
        "the same files are the same model"
    );

    let args = [
        "render", "a.png", "--model", "model", "--size", "64", "--steps", "2", "-o", "one.png",
    ];
    mdsd3(&root, args).succeeded();
    let again = ["render", "--from", "../one.png", "-o", "two.png"];
    fs::create_dir(&elsewhere).expect("a folder");
    mdsd3(&elsewhere, again).succeeded();
    let read = |path: &str| fs::read(root.join(path)).expect("a file");
    assert!(read("one.png") == read("elsewhere/two.png"));

    let config = fs::read_to_string(root.join("model/config.json")).expect("the config");
    let edited = config.replace("\"shift\": 3.0", "\"shift\": 2.0");
    assert!(edited != config, "the config has a shift of 3");
    fs::write(root.join("model/config.json"), edited).expect("written");
    let line = mdsd3(&elsewhere, again).refused(2);
    assert!(
        line.contains("another version of the model") && line.contains("restore"),
        "{line}"
    );

    // Beside an edited one in the working folder, the right one near the PNG is found.
    fs::rename(root.join("model"), elsewhere.join("model")).expect("moved");
    copy_to(&root.join("model"));
    mdsd3(&elsewhere, again).succeeded();
}

#[test]
fn a_slurm_script_runs_every_shard_and_resumes() {
    let project = Project::new("mixes = [{ rain = 1.0 }]");
    let said = project
        .sweep(&["-o", "out", "--slurm", "--shards", "3", "--time", "01:30:00"])
        .succeeded();
    assert!(said.contains("sbatch out.sbatch"), "{said}");
    let script = fs::read_to_string(project.root().join("out.sbatch")).expect("a script");
    for part in [
        "--array=0-2",
        "--time=01:30:00",
        "--requeue",
        "/3\" --resume",
        "plan.toml",
    ] {
        assert!(script.contains(part), "{part}: {script}");
    }
    assert!(!script.contains("--gres"), "the physical engine needs no GPU");
    assert!(!project.root().join("out").exists());
}

#[test]
fn batches_give_the_same_files_whichever_pairs_are_still_to_do() {
    let plan = "mixes = [{ rain = 1.0 }, { haze = { uniform = [0.2, 1.0] } }]\nseeds = [0, 1]\nsteps = 2\nguidance = 1.5\nbatch = 3";
    let project = Project::with_engine("mdsd3", plan);
    project.sweep(&["-o", "one"]).succeeded();
    for shard in ["1/2", "0/2"] {
        project.sweep(&["-o", "parts", "--shard", shard]).succeeded();
    }
    project.sweep(&["-o", "parts", "--merge"]).succeeded();
    assert!(tree(&project.root().join("one")) == tree(&project.root().join("parts")));
    mdsd3(
        &project.root(),
        ["render", "--from", "one/lq/a_1.png", "-o", "again.png"],
    )
    .succeeded();
    let read = |path: &str| fs::read(project.root().join(path)).expect("a file");
    assert!(read("again.png") == read("one/lq/a_1.png"));
}
