//! Adapters: the tutorial's own commands, and runs that are killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::program::{mdsd3, photo, repository};

/// The tiny checkpoint of the goldens.
fn checkpoint() -> PathBuf {
    repository().join("tests/goldens/sd3_pipeline_tiny/pipeline")
}

/// Code blocks of a language in a document: what stands behind the language's name, and the text.
fn blocks(document: &str, language: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(title) = line.strip_prefix("```").and_then(|rest| rest.strip_prefix(language)) else {
            continue;
        };
        let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push((title.trim().to_owned(), text.join("\n")));
    }
    blocks
}

/// The tutorial at the size of a test.
fn tiny(text: &str) -> String {
    let replaced = [
        ("512", "32"),
        ("steps = 4000", "steps = 3"),
        ("accumulate = 8", "accumulate = 2"),
        ("\"cuda\"", "\"cpu\""),
        ("\"bf16\"", "\"f32\""),
        ("--size 32", "--size 32 --steps 2"),
        ("sd3-medium", &checkpoint().display().to_string()),
    ];
    replaced
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[test]
fn the_tutorials_commands_work() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let photos = folder.path().join("photos");
    fs::create_dir(&photos).expect("a folder");
    for (from, to) in [
        ("great-wall.jpg", "street.jpg"),
        ("pont-du-gard.jpg", "bridge.jpg"),
        ("maldives-jetty.jpg", "jetty.jpg"),
    ] {
        fs::copy(photo(from), photos.join(to)).expect("copied");
    }
    let document = fs::read_to_string(repository().join("docs/training.md")).expect("the tutorial");
    for (name, text) in blocks(&document, "toml") {
        fs::write(folder.path().join(name), tiny(&text)).expect("written");
    }
    let mut said = String::new();
    let mut commands = 0;
    for (_, text) in blocks(&document, "sh") {
        for line in text.lines() {
            let line = tiny(line);
            let mut words = line.split(' ');
            assert_eq!(words.next(), Some("mdsd3"), "{line}");
            said += &mdsd3(folder.path(), words).succeeded();
            commands += 1;
        }
    }
    assert_eq!(commands, 4);
    assert!(
        said.contains("values are trained") && said.contains("wrote runs/rain-haze/adapter.safetensors"),
        "{said}"
    );
    assert_eq!(
        image::image_dimensions(folder.path().join("rainy.png")).expect("an image"),
        (32, 32)
    );
    for file in [
        "train.csv",
        "best.safetensors",
        "samples/step-000003.png",
        "focal_weights/step-000003.png",
    ] {
        assert!(folder.path().join("runs/rain-haze").join(file).is_file(), "{file}");
    }
}

/// A recipe of 40 steps over demo photos, saved every third.
fn write_recipe(folder: &Path, output: &str) -> String {
    let text = format!(
        r#"
mode = "adapter"
seed = 7
output = "{output}"
classes = ["rain", "haze"]
[base]
model = '{}'
[data]
path = '{}'
side = 32
variants = 1
cache = "cache"
[training]
steps = 40
learning_rate = 1e-3
[report]
every = 1
validate_every = 20
sample_every = 0
save_every = 3
"#,
        checkpoint().display(),
        photo("").display(),
    );
    let name = format!("{output}.toml");
    fs::write(folder.join(&name), text).expect("written");
    name
}

/// Losses by step.
fn losses(folder: &Path, output: &str) -> BTreeMap<usize, f64> {
    let table = fs::read_to_string(folder.join(output).join("train.csv")).expect("a table");
    let row = |line: &str| {
        let mut cells = line.split(',');
        let step = cells.next().and_then(|s| s.parse().ok()).expect("a step");
        (step, cells.next().and_then(|s| s.parse().ok()).expect("a loss"))
    };
    table.lines().skip(1).map(row).collect()
}

#[test]
fn kill_9_changes_no_loss() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (whole, killed) = (
        write_recipe(folder.path(), "whole"),
        write_recipe(folder.path(), "killed"),
    );
    mdsd3(folder.path(), ["train", &whole]).succeeded();
    let mut kills = 0;
    loop {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mdsd3"))
            .args(["train", &killed])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        // Longer and longer, so that a slow machine gets to the end too.
        thread::sleep(Duration::from_millis(150).mul_f64(1.3_f64.powi(kills)));
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.success(), "{status}");
            break;
        }
        child.kill().expect("SIGKILL is delivered");
        child.wait().expect("it ends");
        kills += 1;
        assert!(kills < 30, "30 runs were not enough");
    }
    assert!(kills > 0, "it was never killed");
    let (whole, killed) = (losses(folder.path(), "whole"), losses(folder.path(), "killed"));
    assert_eq!(whole.len(), 40);
    assert_eq!(whole.keys().collect::<Vec<_>>(), killed.keys().collect::<Vec<_>>());
    for (step, loss) in &whole {
        assert!(
            (loss - killed[step]).abs() <= 1e-6,
            "step {step}: {loss} and {}",
            killed[step]
        );
    }
}

#[test]
fn adapters_that_cannot_be_trained() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = write_recipe(folder.path(), "run");
    let good = fs::read_to_string(folder.path().join(&name)).expect("the recipe");
    for (from, to, what) in [
        ("mode = \"adapter\"", "mode = \"lora\"", "lora"),
        ("side = 32", "side = 33", "multiples of 16 px"),
        ("variants = 1", "layout = \"reside\"", "reside"),
        ("[\"rain\", \"haze\"]", "[\"rain\", \"hail\"]", "hail"),
        ("steps = 40", "steps = 0", "training.steps"),
        ("pipeline'", "pipelines'", "pipelines"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        fs::write(folder.path().join("bad.toml"), text).expect("written");
        let ended = mdsd3(folder.path(), ["train", "bad.toml"]);
        assert_eq!(ended.code, Some(2), "{what}: {ended:?}");
        assert!(
            ended.stderr.contains(what) && ended.stderr.lines().count() == 1,
            "{what}: {ended:?}"
        );
    }
    #[cfg(not(feature = "cuda"))]
    {
        let line = mdsd3(folder.path(), ["train", &name, "--device", "cuda"]).refused(2);
        assert!(line.contains("--features cuda"), "{line}");
    }
}
