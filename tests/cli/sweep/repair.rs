//! Datasets that lose files, photos that can't be read for a while, and processes that come between.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::support::{Project, tree};
use crate::program::{files_in, mdsd3};

/// What has happened to a finished dataset, what `--resume` makes again, and its layout.
type Damage = (&'static str, fn(&Project), &'static str);

#[test]
fn resuming_makes_again_what_a_finished_dataset_has_lost() {
    let damages: [Damage; 6] = [
        ("basicsr", |project| remove(project, "lq/a_0.png"), "made 1 of 6"),
        ("basicsr", |project| flip(project, "gt/b_1.png"), "made 1 of 6"),
        ("basicsr", |project| flip(project, "meta_info.txt"), "made 0 of 6"),
        ("basicsr", |project| drop_line(project, 2), "made 1 of 6"),
        ("webdataset", |project| flip(project, "train-000000.tar"), "made 4 of 6"),
        (
            "webdataset",
            |project| remove(project, "train-000001.tar"),
            "made 2 of 6",
        ),
    ];
    for (layout, damage, made) in damages {
        let plan = format!("layout = \"{layout}\"\nmixes = [{{ rain = 1.0 }}]\nseeds = [0, 1]\nshard_pairs = 4");
        let project = Project::new(&plan);
        let out = project.root().join("out");
        project.sweep(&["-o", "out"]).succeeded();
        let before = tree(&out);
        damage(&project);
        let verified = mdsd3(&project.root(), ["sweep", "--verify", "out"]);
        assert_eq!(verified.code, Some(1), "{layout}, {made}: {verified:?}");
        let line = project.sweep(&["-o", "out", "--merge"]).refused(2);
        assert!(line.contains("has lost files") && line.contains("--resume"), "{line}");
        let said = project.sweep(&["-o", "out", "--resume"]).succeeded();
        assert!(said.contains(made), "{layout}, {made}: {said}");
        assert!(tree(&out) == before, "{layout}, {made}: the same files are there again");
        let said = project.sweep(&["-o", "out", "--merge"]).succeeded();
        assert!(said.contains("merged 6 pairs"), "{said}");
    }
}

fn remove(project: &Project, file: &str) {
    fs::remove_file(project.root().join("out").join(file)).expect("removed");
}

/// Changes a byte and keeps the length.
fn flip(project: &Project, file: &str) {
    let path = project.root().join("out").join(file);
    let mut bytes = fs::read(&path).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("written");
}

fn drop_line(project: &Project, number: usize) {
    let path = project.root().join("out/.mdsd3/journal.jsonl");
    let text = fs::read_to_string(&path).expect("there");
    let lines: Vec<&str> = text.lines().collect();
    let kept = [&lines[..number], &lines[number + 1..]].concat();
    fs::write(&path, kept.join("\n") + "\n").expect("written");
    let ended = mdsd3(&project.root(), ["sweep", "--verify", "out"]);
    assert!(ended.stderr.contains("1 journal lines are missing"), "{ended:?}");
}

/// Photos on a disk that goes away and comes back: nothing is recorded as bad, and resuming makes their pairs.
#[test]
fn a_photo_that_is_gone_for_a_while_is_tried_again() {
    let project = Project::with_engine("mdsd3", "mixes = [{ rain = 1.0 }]\nsteps = 60\nsampler = \"heun\"");
    let root = project.root();
    for index in 0..6 {
        fs::copy(root.join("a.png"), root.join(format!("d{index}.png"))).expect("copied");
    }
    let child = start(&project, &["-o", "out"]);
    let lq = root.join("out/lq");
    while fs::read_dir(&lq).map_or(0, Iterator::count) < 1 {
        thread::sleep(Duration::from_millis(2));
    }
    fs::rename(root.join("d5.png"), root.join("elsewhere")).expect("renamed");
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("skipped d5.png") && stderr.contains("1 photo could not be read this time"),
        "{stderr}"
    );
    assert!(!root.join("out/.mdsd3/journal.jsonl").exists(), "it is not finished");
    let line = project.sweep(&["-o", "out", "--merge"]);
    assert_eq!(line.code, Some(2), "its plan finds one photo less: {line:?}");
    fs::rename(root.join("elsewhere"), root.join("d5.png")).expect("renamed");
    let said = project.sweep(&["-o", "out", "--resume"]).succeeded();
    assert!(said.contains("made 1 of 9"), "{said}");
    mdsd3(&root, ["sweep", "--verify", "out"]).succeeded();
}

fn start(project: &Project, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mdsd3"))
        .args(["sweep", "plan.toml"])
        .args(args)
        .current_dir(project.root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Commands on one folder at the same time: each does its work or is refused, and what they leave verifies.
#[test]
fn commands_that_meet_in_one_folder_leave_a_good_dataset() {
    let plan = "layout = \"webdataset\"\nmixes = [{ rain = 1.0 }]\nseeds = { first = 0, count = 8 }\nshard_pairs = 3";
    for round in 0..10 {
        let project = Project::new(plan);
        let root = project.root();
        let pairs: [(&[&str], &[&str]); 3] = [
            (&["-o", "out", "--resume"], &["-o", "out", "--resume"]),
            (&["-o", "out", "--merge"], &["-o", "out", "--merge"]),
            (&["-o", "out", "--merge"], &["-o", "out", "--resume"]),
        ];
        let (first, second) = pairs[round % 3];
        if round % 3 > 0 {
            project.sweep(&["-o", "out", "--shard", "0/2"]).succeeded();
            project.sweep(&["-o", "out", "--shard", "1/2"]).succeeded();
        }
        let children = [first, second].map(|args| {
            thread::sleep(Duration::from_millis(3 * round as u64));
            start(&project, args)
        });
        let outputs = children.map(|child| child.wait_with_output().expect("it ends"));
        let shown: Vec<String> = outputs
            .iter()
            .map(|output| String::from_utf8_lossy(&output.stderr).into_owned())
            .collect();
        assert!(
            outputs.iter().any(|output| output.status.success()),
            "{first:?}, {second:?}: {shown:?}"
        );
        for (output, shown) in outputs.iter().zip(&shown) {
            let is_refused = output.status.code() == Some(2) && shown.lines().count() == 1;
            assert!(output.status.success() || is_refused, "{first:?}, {second:?}: {shown}");
        }
        mdsd3(&root, ["sweep", "--verify", "out"]).succeeded();
        assert_eq!(
            files_in(&root.join("out")).len(),
            10,
            "eight tars, the card and the journal's folder"
        );
    }
}

/// Two plans that begin in one folder at the same moment: one has it.
#[test]
fn of_two_plans_in_one_folder_one_is_refused() {
    for round in 0..10 {
        let project = Project::new("mixes = [{ rain = 1.0 }]");
        let root = project.root();
        let plan = fs::read_to_string(root.join("plan.toml")).expect("a plan");
        fs::write(root.join("other.toml"), plan.replace("size = 64", "size = 32")).expect("written");
        let children = ["plan.toml", "other.toml"].map(|plan| {
            thread::sleep(Duration::from_millis(round));
            Command::new(env!("CARGO_BIN_EXE_mdsd3"))
                .args(["sweep", plan, "-o", "out"])
                .current_dir(&root)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program starts")
        });
        let outputs = children.map(|child| child.wait_with_output().expect("it ends"));
        let mut codes: Vec<Option<i32>> = outputs.iter().map(|output| output.status.code()).collect();
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(2)], "{outputs:?}");
        mdsd3(&root, ["sweep", "--verify", "out"]).succeeded();
    }
}
