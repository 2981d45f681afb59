//! Folders from elsewhere and settings from anywhere: what they name is held to the dataset, to regular files and to limits.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mdsd3_render::metadata;
use mdsd3_words::CropAt;
use mdsd3_words::hash::sha256_hex;
use mdsd3_words::image::Rgba8;
use mdsd3_words::made::{PairSettings, RunSettings};

use super::support::Project;
use crate::program::{Ended, files_in, mdsd3};

/// Far more than refusing takes, and far less than a program that hangs.
const AT_ONCE: Duration = Duration::from_mins(1);

/// Runs the program, which must not hang.
fn at_once(folder: &Path, args: &[&str]) -> Ended {
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mdsd3"))
        .args(args)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    while child.try_wait().expect("a child").is_none() {
        if start.elapsed() > AT_ONCE {
            child.kill().expect("it can be killed");
            panic!("{args:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("it ended");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ended {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
    assert!(made.success());
}

/// The first 16 digits of a text's SHA-256, by another program than ours.
fn check_of(text: &str) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha256sum runs");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8(output.stdout).expect("digits")[..16].to_owned()
}

/// Half a dataset in tars, its other half still to be made, beside a file that is none of its business.
fn half() -> (Project, PathBuf, PathBuf) {
    let project = Project::new("layout = \"webdataset\"\nmixes = [{ rain = 1.0 }]\nseeds = [0, 1]");
    project.sweep(&["-o", "out", "--shard", "0/2"]).succeeded();
    let precious = project.root().join("precious.txt");
    fs::write(&precious, "precious").expect("written");
    let out = project.root().join("out");
    (project, out, precious)
}

/// Changes the journal's first line, which gets a check of its own as every line has.
fn change_first_line(out: &Path, change: impl Fn(&str) -> String) {
    let journal = out.join(".mdsd3/journal-0-of-2.jsonl");
    let text = fs::read_to_string(&journal).expect("a journal");
    let (line, rest) = text.split_once('\n').expect("a line");
    let (check, json) = line.split_once(' ').expect("a check");
    assert_eq!(check_of(json), check);
    let json = change(json);
    fs::write(&journal, format!("{} {json}\n{rest}", check_of(&json))).expect("written");
}

#[test]
fn a_journal_that_leads_out_of_its_dataset_is_refused() {
    for path in ["../precious.txt", "PRECIOUS", ".mdsd3/../../precious.txt"] {
        let (project, out, precious) = half();
        change_first_line(&out, |json| {
            let path = path.replace("PRECIOUS", &precious.to_string_lossy());
            let place = json.find(".mdsd3/staging/").expect("a file");
            let end = place + json[place..].find('"').expect("its end");
            format!("{}{path}{}", &json[..place], &json[end..])
        });
        for args in [
            &["sweep", "plan.toml", "-o", "out", "--resume"][..],
            &["sweep", "plan.toml", "-o", "out", "--merge"],
            &["sweep", "--verify", "out"],
        ] {
            let line = at_once(&project.root(), args).refused(2);
            assert!(line.contains("journal") && line.contains("outside"), "{args:?}: {line}");
        }
        assert_eq!(fs::read_to_string(&precious).expect("still there"), "precious");
        assert!(files_in(&out).iter().all(|name| !name.contains(".tar")));
    }
}

/// Inside the folder is not enough: a file that is not the program's own is neither packed nor removed.
#[test]
fn a_file_that_is_no_pair_is_neither_packed_nor_removed() {
    let (project, out, _) = half();
    let mine = out.join("mine.txt");
    fs::write(&mine, "mine").expect("written");
    change_first_line(&out, |json| {
        let place = json.find(".mdsd3/staging/").expect("a file");
        let end = place + json[place..].find("\"}").expect("its end");
        format!(
            "{}mine.txt\",\"bytes\":4,\"sha256\":\"{}{}",
            &json[..place],
            sha256_of(&mine),
            &json[end..]
        )
    });
    let ended = at_once(&project.root(), &["sweep", "plan.toml", "-o", "out", "--resume"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("mine.txt"), "{ended:?}");
    assert_eq!(fs::read_to_string(&mine).expect("still there"), "mine");
}

fn sha256_of(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().expect("sha256sum runs");
    String::from_utf8(output.stdout).expect("digits")[..64].to_owned()
}

#[test]
fn links_and_pipes_in_place_of_files_are_refused_and_nothing_hangs() {
    let replaced: [fn(&Path, &Path); 2] = [
        |file, precious| std::os::unix::fs::symlink(precious, file).expect("linked"),
        |file, _| pipe(file),
    ];
    for replace in replaced {
        let (project, out, precious) = half();
        let staging = out.join(".mdsd3/staging");
        let file = staging.join(&files_in(&staging)[0]);
        fs::remove_file(&file).expect("removed");
        replace(&file, &precious);
        for args in [
            &["sweep", "--verify", "out"][..],
            &["sweep", "plan.toml", "-o", "out", "--merge"],
            &["sweep", "plan.toml", "-o", "out", "--shard", "0/2", "--resume"],
        ] {
            let line = at_once(&project.root(), args).refused(2);
            assert!(line.contains("no regular file in this folder"), "{args:?}: {line}");
        }
        assert_eq!(fs::read_to_string(&precious).expect("still there"), "precious");
    }
    let (project, out, _) = half();
    let journal = out.join(".mdsd3/journal-0-of-2.jsonl");
    fs::remove_file(&journal).expect("removed");
    pipe(&journal);
    let line = at_once(&project.root(), &["sweep", "--verify", "out"]).refused(2);
    assert!(line.contains("journal"), "{line}");
    let hash = out.join(".mdsd3/plan");
    fs::remove_file(&hash).expect("removed");
    pipe(&hash);
    at_once(&project.root(), &["sweep", "plan.toml", "-o", "out", "--resume"]).refused(2);
}

#[test]
fn a_link_where_a_file_is_written_first_is_replaced_and_not_followed() {
    let (project, out, precious) = half();
    let staging = out.join(".mdsd3/staging");
    for name in files_in(&staging) {
        let temporary = staging.join(format!(".0-of-2-{:.16}.tmp", sha256_hex(name.as_bytes())));
        fs::remove_file(staging.join(&name)).expect("removed");
        std::os::unix::fs::symlink(&precious, temporary).expect("linked");
    }
    project.sweep(&["-o", "out", "--shard", "0/2", "--resume"]).succeeded();
    assert_eq!(fs::read_to_string(&precious).expect("still there"), "precious");
}

/// What is done to an image's settings.
type Change = fn(&mut RunSettings);

/// An image of a dataset whose settings are changed.
fn image_with(project: &Project, change: impl FnOnce(&mut RunSettings)) -> String {
    let path = project.root().join("changed.png");
    let mut settings = metadata::read_settings(&project.root().join("out/lq/a.png")).expect("settings");
    change(&mut settings);
    let image = Rgba8 {
        width: 1,
        height: 1,
        pixels: vec![0, 0, 0, 255].into(),
    };
    metadata::write_png(&path, &image, Some(&settings)).expect("written");
    "changed.png".to_owned()
}

#[test]
fn an_image_is_not_made_again_from_what_it_must_not_name() {
    let project = Project::new("mixes = [{ rain = 1.0 }]");
    project.sweep(&["-o", "out"]).succeeded();
    pipe(&project.root().join("pipe"));
    let cases: [(Change, &str); 7] = [
        (
            |settings| settings.request.scene.path = Some("pipe".into()),
            "a pipe or a device",
        ),
        (
            |settings| settings.request.scene.path = Some("/dev/zero".into()),
            "a pipe or a device",
        ),
        (
            |settings| settings.request.scene.size = 32_768,
            "32768 px is outside 1 to 16384",
        ),
        (
            |settings| settings.request.sampling.steps = 1_000_000_000,
            "steps 1000000000",
        ),
        (
            |settings| pair(settings).batch = Some(1 << 40),
            "1099511627776 pairs is outside 1 to 1024",
        ),
        (|settings| pair(settings).bits = 7, "7 bits"),
        (
            |settings| {
                let crop = pair(settings).crop.get_or_insert(CropAt::center(1));
                crop.side_px = u32::MAX;
            },
            "4294967295 px is outside",
        ),
    ];
    for (change, what) in cases {
        let image = image_with(&project, change);
        let line = at_once(&project.root(), &["render", "--from", &image, "-o", "again.png"]).refused(2);
        assert!(line.contains(what), "should name {what:?}: {line}");
    }
    for args in [
        &["render", "--from", "pipe", "-o", "again.png"][..],
        &["info", "pipe"],
        &["info", "/dev/zero"],
        &["render", "pipe", "-o", "again.png"],
        &["render", "--model", "pipe", "-o", "again.png"],
        &["sweep", "pipe"],
        &["train", "pipe"],
    ] {
        assert_eq!(at_once(&project.root(), args).code, Some(2), "{args:?}");
    }
    assert!(!project.root().join("again.png").exists());
}

fn pair(settings: &mut RunSettings) -> &mut PairSettings {
    settings.pair.as_mut().expect("an image of a dataset")
}

#[test]
fn grids_are_counted_before_they_are_made() {
    let grid = (0..100)
        .map(|index| format!("{}", f64::from(index) / 100.0))
        .collect::<Vec<_>>();
    let mix = ["rain", "haze", "noise", "snow"].map(|class| format!("{class} = [{}]", grid.join(",")));
    let project = Project::new(&format!("mixes = [{{ {} }}]", mix.join(", ")));
    let line = at_once(&project.root(), &["sweep", "plan.toml", "--dry-run"]).refused(2);
    assert!(line.contains("mixes") && line.contains("1000000"), "{line}");
    let project = Project::new("mixes = [{ rain = 1 }]\nbatch = 1099511627776");
    let line = project.sweep(&["-o", "out"]).refused(2);
    assert!(line.contains("batch"), "{line}");
}

/// Ten million pairs of one photo: the first is there at once, memory stays flat, and SIGTERM ends it between two pairs.
#[test]
fn ten_million_pairs_start_and_stop_at_once() {
    let project = Project::new("mixes = [{ rain = 1.0 }]\nseeds = { first = 0, count = 3400000 }");
    for shard in ["0/1", "1/3"] {
        let start = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_mdsd3"))
            .args([
                "sweep",
                "plan.toml",
                "-o",
                "out",
                "--resume",
                "--json",
                "--shard",
                shard,
            ])
            .current_dir(project.root())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let journal = project
            .root()
            .join(format!("out/.mdsd3/journal-{}.jsonl", shard.replace('/', "-of-")));
        while fs::metadata(&journal).map_or(0, |facts| facts.len()) == 0 {
            assert!(start.elapsed() < AT_ONCE, "no pair after a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
        let stopped = Instant::now();
        let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(killed.expect("kill is there").success());
        let output = child.wait_with_output().expect("it ends");
        assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
        assert_eq!(output.status.code(), Some(1), "{report}");
        assert!(
            report["is_stopped"] == true && report["made"].as_u64() > Some(0),
            "{report}"
        );
        assert!(report["peak_memory_bytes"].as_u64() < Some(600 << 20), "{report}");
    }
}

#[test]
fn time_limits_and_folders_of_a_slurm_script() {
    let project = Project::new("mixes = [{ rain = 1.0 }]");
    let args = ["-o", "out", "--slurm", "--time", "1:00\n#SBATCH --uid=0"];
    let line = project.sweep(&args).refused(2);
    assert!(line.contains("04:00:00"), "{line}");
    let said = project.sweep(&["-o", "my out/", "--slurm"]).succeeded();
    assert!(said.contains("sbatch 'my out.sbatch'"), "{said}");
    assert!(project.root().join("my out.sbatch").is_file());
}

/// Values that overflow on their way through the decoder would be written as black pixels.
#[test]
fn an_image_of_no_numbers_is_never_written() {
    let project = Project::with_engine("mdsd3", "mixes = [{ rain = 1.0 }]\nsteps = 1\nmodel = \"model\"");
    crate::bad_copies::model_with(&project.root(), |tensors| {
        for tensor in tensors
            .values_mut()
            .filter(|tensor| tensor.dtype == safetensors::Dtype::F32)
        {
            let huge = 3e38_f32.to_le_bytes();
            tensor.data = huge.iter().copied().cycle().take(tensor.data.len()).collect();
        }
    });
    let args = [
        "render", "--model", "model", "--size", "64", "--steps", "1", "-o", "out.png",
    ];
    let line = mdsd3(&project.root(), args).refused(2);
    assert!(line.contains("no numbers") && line.contains("f32"), "{line}");
    let ended = project.sweep(&["-o", "out"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("no numbers"), "{ended:?}");
    assert!(!project.root().join("out/lq").exists() && !project.root().join("out.png").exists());
}
