//! Sweeps that are killed, interrupted and starved of room end up as if nothing had happened.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::support::{Project, tree};
use crate::program::mdsd3;
use crate::skipped::skip;

/// Starts a sweep into `killed`.
fn start(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mdsd3"))
        .args(["sweep", "plan.toml", "-o", "killed", "--resume"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Kills sweeps after longer and longer times until one ends by itself; the number of kills.
fn kill_until_done(folder: &Path, first: Duration) -> i32 {
    for kills in 0..200 {
        let mut child = start(folder);
        // Growing steps: kills fall on different moments of a pair, and a slow machine gets far enough too.
        thread::sleep(first.mul_f64(1.07_f64.powi(kills)));
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.success(), "{status}");
            return kills;
        }
        child.kill().expect("SIGKILL is delivered");
        child.wait().expect("it ends");
    }
    panic!("200 runs were not enough");
}

fn killed_equals_unbroken(engine: &str, plan: &str, first: Duration) {
    let project = Project::with_engine(engine, plan);
    project.sweep(&["-o", "unbroken"]).succeeded();
    let kills = kill_until_done(&project.root(), first);
    assert!(kills > 0, "it was never killed");
    let (unbroken, killed) = (
        tree(&project.root().join("unbroken")),
        tree(&project.root().join("killed")),
    );
    let names = |files: &std::collections::BTreeMap<_, _>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&unbroken), names(&killed), "after {kills} kills");
    assert!(unbroken == killed, "after {kills} kills");
    mdsd3(&project.root(), ["sweep", "--verify", "killed"]).succeeded();
}

#[test]
fn kill_9_at_any_moment_changes_nothing() {
    let plan = "mixes = [{ rain = 1.0 }, { haze = { uniform = [0.2, 1.0] } }]\nseeds = { first = 0, count = 12 }";
    killed_equals_unbroken("physical", plan, Duration::from_millis(20));
}

#[test]
fn kill_9_changes_nothing_when_names_are_links() {
    let plan = "layout = \"restormer\"\nmixes = [{ rain = [0.5, 1.0] }, { haze = 1.0 }]\nseeds = [0, 1, 2, 3, 4, 5]\npairs = \"hardlink\"";
    killed_equals_unbroken("physical", plan, Duration::from_millis(20));
}

#[test]
fn kill_9_changes_nothing_while_tars_are_packed() {
    let plan = "layout = \"webdataset\"\nmixes = [{ rain = 1.0 }]\nseeds = { first = 0, count = 16 }\nshard_pairs = 5";
    killed_equals_unbroken("physical", plan, Duration::from_millis(20));
}

#[test]
fn kill_9_changes_nothing_with_the_network() {
    let plan = "mixes = [{ rain = 1.0 }, { haze = 0.5 }]\nseeds = [0, 1, 2]\nsteps = 2";
    killed_equals_unbroken("mdsd3", plan, Duration::from_millis(90));
}

#[cfg(unix)]
#[test]
fn sigterm_finishes_the_pair_in_hand_and_says_how_to_go_on() {
    let project = Project::new("mixes = [{ rain = 1.0 }]\nseeds = { first = 0, count = 2000 }");
    let child = start(&project.root());
    let lq = project.root().join("killed/lq");
    while fs::read_dir(&lq).map_or(0, Iterator::count) < 3 {
        thread::sleep(Duration::from_millis(5));
    }
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(killed.expect("kill is there").success());
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("stopped after") && stderr.contains("--resume"),
        "{stderr}"
    );
    let names = |folder: &str| crate::program::files_in(&project.root().join("killed").join(folder));
    assert_eq!(names("gt"), names("lq"), "no pair is left half-made");
    assert!(names("lq").iter().all(|name| !name.contains(".tmp")));
}

/// A small file system of its own, which only root can mount.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_pauses_the_sweep_until_there_is_room() {
    let project = Project::new("mixes = [{ rain = 1.0 }]\nseeds = { first = 0, count = 20 }");
    let small = project.root().join("killed");
    fs::create_dir(&small).expect("created");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=300k", "tmpfs"])
        .arg(&small)
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        skip("a small file system can't be mounted here");
        return;
    }
    let mut child = start(&project.root());
    thread::sleep(Duration::from_secs(4));
    let is_waiting = child.try_wait().expect("a child").is_none();
    let grown = Command::new("mount")
        .args(["-o", "remount,size=30m"])
        .arg(&small)
        .status();
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let killed = tree(&small);
    Command::new("umount").arg(&small).status().expect("umount is there");
    assert!(is_waiting && grown.is_ok_and(|status| status.success()), "{stderr}");
    assert!(
        output.status.success() && stderr.contains("waiting for room"),
        "{stderr}"
    );
    project.sweep(&["-o", "unbroken"]).succeeded();
    assert!(tree(&project.root().join("unbroken")) == killed);
}
