//! What a test does that can't run on this machine. Every suite that has such tests includes this file as a module.

use std::fs::OpenOptions;
use std::io::Write;
use std::{env, thread};

/// The file in which `check.sh` collects the skipped tests, one a line.
const LIST: &str = "MDSD3_SKIPPED_TESTS";

/// Says that the calling test is skipped, and why. Under `CI=true`, where `check.sh` installs everything that the tests
/// need, the test fails instead: a green run there has skipped nothing.
pub fn skip(reason: &str) {
    let must_run = env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!must_run, "under CI=true no test is skipped, but {reason}");
    println!("skipped: {reason}");
    let Some(list) = env::var_os(LIST) else { return };
    let test = thread::current();
    let line = format!("{}: {reason}\n", test.name().unwrap_or("a test"));
    let opened = OpenOptions::new().create(true).append(true).open(list);
    opened
        .and_then(|mut list| list.write_all(line.as_bytes()))
        .expect("the list of skipped tests can be written");
}
