use super::*;
use crate::work;

pub(super) fn sweep(more: &str) -> Sweep {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for scene in 0..10 {
        std::fs::write(folder.path().join(format!("{scene}.jpg")), "").expect("written");
    }
    let text = format!("engine = \"physical\"\nscenes = [\"*.jpg\"]\n{more}");
    let plan = Plan::parse(&text, "plan.toml", folder.path().to_owned()).expect("valid");
    Sweep::physical(plan).expect("valid")
}

#[test]
fn batches_are_full_and_begin_at_one_noise_level() {
    let mut plan = sweep("mixes = [{ rain = [0.25, 0.5, 1.0] }]\nseeds = [0, 1]").plan;
    plan.alpha_beta = vec![[1.0, 0.0], [0.5, 0.5]];
    let mut sweep = Sweep::physical(plan).expect("valid");
    let batches = |sweep: &Sweep| {
        let jobs = sweep.jobs_of(0).collect::<Result<Vec<_>, _>>().expect("valid");
        work::batches(sweep, jobs, 4)
    };
    let indices = |batches: &[Vec<Job>]| -> Vec<usize> { batches.iter().flatten().map(|job| job.index).collect() };
    let together = batches(&sweep);
    assert_eq!(
        indices(&together),
        (0..12).collect::<Vec<_>>(),
        "one schedule keeps the order"
    );
    assert_eq!(together.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 4]);
    sweep.plan.run.sampling.start_at_noise_share = true;
    let apart = batches(&sweep);
    assert_eq!(apart.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2, 4, 2]);
    for batch in &apart {
        assert!(batch.iter().all(|job| (job.alpha - batch[0].alpha).abs() < 1e-6));
    }
    let mut all = indices(&apart);
    all.sort_unstable();
    assert_eq!(all, (0..12).collect::<Vec<_>>());
}

#[test]
fn jobs_are_counted_ordered_and_keyed_apart() {
    let sweep = sweep("mixes = [{ rain = [0.5, 1.0] }, { haze = { uniform = [0, 1] } }]\nseeds = [3, 1]");
    let jobs: Vec<Job> = sweep.jobs().collect::<Result<_, _>>().expect("valid");
    assert_eq!((jobs.len(), sweep.len()), (60, 60));
    assert!(jobs.iter().enumerate().all(|(index, job)| job.index == index));
    assert_eq!((jobs[1].mix.to_string().as_str(), jobs[1].seed), ("rain=0.5", 1));
    assert_ne!(jobs[4].mix, jobs[5].mix, "each seed draws its own haze");
    let keys: std::collections::HashSet<_> = jobs.iter().map(|job| &job.key).collect();
    assert_eq!(keys.len(), 60);
    assert_eq!(sweep.job(0, 4).expect("valid"), jobs[4]);
}

#[test]
fn a_split_has_exact_shares_and_keeps_a_scene_together() {
    let sweep = sweep("mixes = [{ rain = 1 }]\nsplit = { train = 0.7, val = 0.2, test = 0.1 }");
    let count = |part: &str| (0..10).filter(|scene| sweep.dataset().part(*scene) == part).count();
    assert_eq!((count("train"), count("val"), count("test")), (7, 2, 1));
}

#[test]
fn anything_that_decides_pixels_changes_the_hash() {
    let mixes = "mixes = [{ rain = 1 }]\n";
    let base = sweep(mixes);
    assert_eq!(base.hash(), sweep(mixes).hash());
    for more in ["size = 128", "seeds = [1]", "save = { bits = 16 }"] {
        assert_ne!(base.hash(), sweep(&format!("{mixes}{more}")).hash(), "{more}");
    }
}

#[test]
fn unknown_classes_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("a.jpg"), "").expect("written");
    let text = "engine = \"physical\"\nscenes = [\"a.jpg\"]\nmixes = [{ fog = 1 }]";
    let plan = Plan::parse(text, "plan.toml", folder.path().to_owned()).expect("a plan");
    assert!(Sweep::physical(plan).expect_err("unknown").to_string().contains("fog"));
}
