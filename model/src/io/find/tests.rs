use super::*;
use std::fs;

const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0 the rest doesn't matter here";

fn folder_with(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, JPEG).expect("written");
    }
    folder
}

fn reasons(found: &Found) -> Vec<&str> {
    found.skipped.iter().map(|skipped| skipped.reason.as_str()).collect()
}

#[test]
fn patterns_match_within_folders_and_sort() {
    let folder = folder_with(&["b/2.jpg", "b/1.PNG", "b/deep/3.jpg", "a[1]/4.jpg", "z.jpg"]);
    let photos = |pattern| photos_of(pattern, folder.path()).expect("found").photos;
    assert_eq!(photos("b/*"), ["b/1.PNG", "b/2.jpg"]);
    assert_eq!(photos("./*/*.jpg"), ["a[1]/4.jpg", "b/2.jpg"]);
    assert_eq!(photos("a?1?/*.jpg"), ["a[1]/4.jpg"]);
    assert_eq!(photos("**/*.jpg"), ["a[1]/4.jpg", "b/2.jpg", "b/deep/3.jpg", "z.jpg"]);
    assert_eq!(photos("b/**/3.*"), ["b/deep/3.jpg"]);
    let whole = folder.path().join("b/*.jpg").display().to_string();
    assert_eq!(
        photos_of(&whole, Path::new("elsewhere")).expect("found").photos.len(),
        1
    );
}

#[test]
fn hidden_files_and_folders_are_counted_and_left_unless_written_out() {
    let folder = folder_with(&["a.jpg", "._a.jpg", ".ipynb_checkpoints/a.jpg", ".trash/b.jpg"]);
    let found = photos_of("**/*.jpg", folder.path()).expect("found");
    assert_eq!(found.photos, ["a.jpg"]);
    assert_eq!(
        reasons(&found),
        ["is hidden", "is a hidden folder", "is a hidden folder"]
    );
    let written = photos_of(".trash/*.jpg", folder.path()).expect("found");
    assert_eq!((written.photos.len(), written.skipped.len()), (1, 0));
}

#[test]
fn content_decides_and_a_damaged_photo_is_kept_to_be_reported() {
    let folder = folder_with(&["a.jfif", "b.HEIC", "c"]);
    fs::write(folder.path().join("d.jpg"), "").expect("written");
    fs::write(folder.path().join("notes.md"), "hello").expect("written");
    let found = photos_of("*", folder.path()).expect("found");
    assert_eq!(found.photos, ["a.jfif", "b.HEIC", "c", "d.jpg"]);
    assert_eq!(found.skipped.len(), 1);
    assert!(found.skipped[0].name.ends_with("notes.md") && found.skipped[0].reason.contains("is text"));
    let error = photos_of("*.md", folder.path()).expect_err("no photo").to_string();
    assert!(
        error.starts_with("scenes: *.md: finds no photo in ") && error.contains("notes.md is text"),
        "{error}"
    );
    assert!(photos_of("none/*", folder.path()).is_err());
    assert!(photos_of("a[", folder.path()).expect_err("no pattern").is_bad_input());
}

#[cfg(unix)]
#[test]
fn links_back_end_and_repeats_count_once() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    let folder = folder_with(&["in/a.jpg", "in/b\\c.jpg"]);
    symlink(".", folder.path().join("in/loop")).expect("linked");
    symlink("in", folder.path().join("other")).expect("linked");
    fs::write(folder.path().join("in").join(OsStr::from_bytes(b"\xE9t\xE9.jpg")), JPEG).expect("written");
    let found = without_repeats(photos_of("**/*.jpg", folder.path()).expect("found"), folder.path());
    assert_eq!(found.photos, ["in/a.jpg", "in/b\\c.jpg"]);
    let counted = |part: &str| reasons(&found).iter().filter(|reason| reason.contains(part)).count();
    assert_eq!(counted("link back"), 2);
    assert_eq!(counted("no Unicode"), 2);
    assert_eq!(counted("by another name"), 2);
}
