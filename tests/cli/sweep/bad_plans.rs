//! Plans and folders that can't be used: one line, exit 2, nothing made.

use std::fs;

use super::support::Project;
use crate::program::files_in;

fn refused(plan: &str, args: &[&str], what: &str) {
    let project = Project::new(plan);
    let before = files_in(&project.root());
    let args: Vec<&str> = ["-o", "out"].into_iter().chain(args.iter().copied()).collect();
    let line = project.sweep(&args).refused(2);
    assert!(line.contains(what), "should name {what:?}: {line}");
    assert_eq!(files_in(&project.root()), before, "nothing is made: {line}");
}

#[test]
fn plans_that_cannot_be_used() {
    for (plan, what) in [
        ("mixes = []", "no jobs"),
        ("mixes = [{ rain = 1 }]\nseeds = []", "seeds is empty"),
        ("mixs = [{ rain = 1 }]", "\"mixes\""),
        ("mixes = [{ fog = 1 }]", "fog"),
        ("mixes = [{ rain = 2 }]", "ratio 2"),
        ("mixes = [{ rain = { unifrm = [0, 1] } }]", "\"uniform\""),
        ("mixes = [{ rain = 1 }]\ncrop = 71", "smaller than the crop of 71 px"),
        ("mixes = [{ rain = 1 }]\nlayout = \"reside\"", "reside"),
        ("mixes = [{ rain = 1 }", "plan.toml: line"),
        ("mixes = [{ rain = 1 }]\norder = [\"rain\", \"fog\"]", "fog"),
        ("mixes = [{ rain = 1 }]\norder = [\"rain\", \"rain\"]", "twice"),
        ("mixes = [{ rain = 1 }]\nspace = \"lab\"", "space"),
        ("mixes = [{ rain = 1 }]\ndepth = \"a.png\"", "{stem}"),
        ("mixes = [{ rain = 1 }]\ndepth = \"required\"", "a.depth.png"),
        (
            "mixes = [{ rain = 1 }]\ndepth = \"depth/{stem}.npy\"\ndepth_required = true",
            "depth/a.npy is not there",
        ),
        ("mixes = [{ rain = 1 }]\ndepth_metres_per_unit = -1", "above 0"),
        ("mixes = [{ rain = 1 }]\nwhere = \"a.png\"", "where: give each class"),
        ("mixes = [{ rain = 1 }]\nwhere = { fog = \"a.png\" }", "no class"),
        (
            "mixes = [{ rain = 1 }]\nwhere = { haze = \"a.png\" }",
            "no mix names it",
        ),
        (
            "mixes = [{ rain = 1 }]\nwhere = { rain = \"masks/{stem}.png\" }",
            "masks/a.png is not there",
        ),
        ("mixes = [{ rain = 1 }]\nsave = [\"steps\"]", "\"layers\""),
    ] {
        refused(plan, &[], what);
    }
    refused("mixes = [{ rain = 1 }]", &["--shard", "3/3"], "0/4");
    let project = Project::with_engine("mdsd3", "mixes = [{ rain = 1 }]\nsteps = 0");
    assert!(project.sweep(&["-o", "out"]).refused(2).contains("steps 0"));
    for (key, what) in [
        ("order = [\"rain\"]", "order: the network has none"),
        ("space = \"linear\"", "space: the network has none"),
        ("depth = \"{stem}.npy\"", "doesn't look at depth"),
        ("where = { fog = \"a.png\" }", "fog"),
    ] {
        let project = Project::with_engine("mdsd3", &format!("mixes = [{{ rain = 1 }}]\n{key}"));
        let line = project.sweep(&["-o", "out"]).refused(2);
        assert!(line.contains(what), "should name {what:?}: {line}");
    }
    fs::remove_file(project.root().join("plan.toml")).expect("removed");
    assert!(project.sweep(&[]).refused(2).contains("no such file"));
}

#[test]
fn names_that_collide_are_both_named() {
    let project = Project::new("mixes = [{ rain = 1 }]");
    for name in ["my photo.png", "my_photo.png"] {
        fs::copy(project.root().join("a.png"), project.root().join(name)).expect("copied");
    }
    let line = project.sweep(&["-o", "out"]).refused(2);
    assert!(
        line.contains("my photo.png and my_photo.png") && line.contains("names = \"number\""),
        "{line}"
    );
}

#[test]
fn folders_that_cannot_be_used() {
    let project = Project::new("mixes = [{ rain = 1 }]");
    fs::create_dir(project.root().join("out")).expect("created");
    fs::write(project.root().join("out/mine.txt"), "mine").expect("written");
    let line = project.sweep(&["-o", "out"]).refused(2);
    assert!(line.contains("not empty") && line.contains("--force"), "{line}");
    assert_eq!(files_in(&project.root().join("out")), ["mine.txt"]);
    project.sweep(&["-o", "out", "--force"]).succeeded();
    let line = project.sweep(&["-o", "out"]).refused(2);
    assert!(line.contains("--resume"), "{line}");
    let line = project.sweep(&["-o", "a.png"]).refused(2);
    assert!(line.contains("a file, not a folder"), "{line}");
    let line = project.sweep(&["-o", "a.png/out"]).refused(2);
    assert!(line.contains("can't be written to"), "{line}");
    // Two plans in one folder.
    let plan = fs::read_to_string(project.root().join("plan.toml")).expect("a plan");
    fs::write(project.root().join("plan.toml"), plan.replace("size = 64", "size = 32")).expect("written");
    for args in [
        &["-o", "out"][..],
        &["-o", "out", "--resume"],
        &["-o", "out", "--force"],
    ] {
        let line = project.sweep(args).refused(2);
        assert!(line.contains("another plan"), "{line}");
    }
    let line = crate::program::mdsd3(&project.root(), ["sweep", "--verify", "."]).refused(2);
    assert!(line.contains("no dataset"), "{line}");
}

#[test]
fn a_photo_that_changes_between_runs_is_refused() {
    let project = Project::new("mixes = [{ rain = 1 }]\nseeds = [0, 1]");
    project.sweep(&["-o", "out", "--shard", "0/2"]).succeeded();
    for name in ["a.png", "b.png"] {
        fs::copy(project.root().join("c.png"), project.root().join(name)).expect("copied");
    }
    let line = project.sweep(&["-o", "out", "--shard", "1/2"]);
    assert_eq!(line.code, Some(2), "{line:?}");
    assert!(line.stderr.contains("has changed since"), "{line:?}");
}
