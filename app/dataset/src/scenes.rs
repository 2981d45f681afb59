//! Scenes of a plan: patterns become photos, photos become fitted scenes with names for files.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use image::ImageReader;
use mdsd3_model::io::find::{self, Found};
use mdsd3_render::RenderError;
use mdsd3_words::regular;

use crate::check::bad;

/// Resolves `patterns` against the plan's folder: globs (photos only, sorted), single files, and `.txt` lists with one of
/// either per line. A photo that several patterns find counts once. A name that is there is a name, whatever is in it.
pub(super) fn resolve(patterns: &[String], folder: &Path) -> Result<Found, RenderError> {
    let mut found = Found::default();
    for pattern in patterns {
        let list = folder.join(pattern);
        let is_list = has_extension(pattern, "txt") && (list.is_file() || !find::is_pattern(pattern));
        if is_list {
            let text = regular::read_text(&list).map_err(|source| RenderError::reading(&list, source))?;
            let lines = text
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with('#'));
            for line in lines {
                take(line, folder, &mut found)?;
            }
        } else {
            take(pattern, folder, &mut found)?;
        }
    }
    let mut found = find::without_repeats(found, folder);
    leave_out_depth_maps(&mut found.photos);
    Ok(found)
}

/// A pattern such as `photos/*` finds `a.depth.png` beside `a.jpg`, which is that photo's depth map and no photo of its own.
fn leave_out_depth_maps(photos: &mut Vec<String>) {
    let stems: HashSet<PathBuf> = photos.iter().map(|photo| Path::new(photo).with_extension("")).collect();
    photos.retain(|photo| {
        let stem = Path::new(photo).with_extension("");
        let is_map = stem.extension().is_some_and(|extension| extension == "depth");
        !(is_map && stems.contains(&stem.with_extension("")))
    });
}

fn take(pattern: &str, folder: &Path, found: &mut Found) -> Result<(), RenderError> {
    let whole = folder.join(pattern);
    if whole.is_file() {
        found.photos.push(pattern.to_owned());
    } else if find::is_pattern(pattern) {
        let more = find::photos_of(pattern, folder)?;
        found.photos.extend(more.photos);
        found.skipped.extend(more.skipped);
    } else {
        let shown = whole.display();
        let what = if whole.is_dir() {
            format!("is a folder; write {pattern}/* for the photos in it")
        } else {
            "no such file; check the path".to_owned()
        };
        return Err(bad(format!("scenes: {shown}: {what}")));
    }
    Ok(())
}

fn has_extension(name: &str, wanted: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

/// Refuses photos that are smaller than the crop, before anything is computed. Photos whose size can't be read are found
/// bad when their turn comes.
pub(super) fn check_crop(crop_px: u32, photos: impl Iterator<Item = PathBuf>) -> Result<(), RenderError> {
    for path in photos {
        let reader = ImageReader::open(&path).and_then(ImageReader::with_guessed_format);
        let Some((width, height)) = reader.ok().and_then(|reader| reader.into_dimensions().ok()) else {
            continue;
        };
        if width.min(height) < crop_px {
            return Err(bad(format!(
                "{}: is {width}x{height} px, smaller than the crop of {crop_px} px; lower crop, or leave the photo out",
                path.display()
            )));
        }
    }
    Ok(())
}

/// File-name parts of scenes: the photo's stem in letters, digits and `-`; trainers split names at dots, spaces and `_`.
///
/// # Errors
/// Bad input when two photos get one name, or a photo none; both are named.
pub(super) fn labels_by_name(scenes: &[String]) -> Result<Vec<String>, RenderError> {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    let mut labels = Vec::with_capacity(scenes.len());
    for scene in scenes {
        let label = sanitized(scene);
        if label.is_empty() {
            return Err(bad(format!(
                "scenes: {scene}: no letter or digit of the name is left for file names; set names = \"number\""
            )));
        }
        // Some file systems don't tell upper from lower case.
        if let Some(other) = owners.insert(label.to_lowercase(), scene) {
            return Err(bad(format!(
                "scenes: {other} and {scene} would both be called {label}; rename one, or set names = \"number\""
            )));
        }
        labels.push(label);
    }
    Ok(labels)
}

/// Numbers as file-name parts, wide enough that names sort in the plan's order.
pub(super) fn labels_by_number(scenes: usize) -> Vec<String> {
    let digits = scenes.to_string().len().max(4);
    (1..=scenes).map(|number| format!("{number:0digits$}")).collect()
}

fn sanitized(scene: &str) -> String {
    let stem = Path::new(scene)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let kept: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let parts: Vec<&str> = kept.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_win_over_patterns_and_lists_hold_either() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["IMG [1].jpg", "IMG 1.jpg", "z.jpg"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        // As Notepad writes it: UTF-16 with a byte order mark.
        let list: Vec<u8> = "\u{feff}# mine\r\nz.jpg\r\n\r\nIMG [1].jpg\r\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        fs::write(folder.path().join("list.txt"), list).expect("written");
        let resolve = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
            resolve(&patterns, folder.path())
        };
        let photos = |patterns: &[&str]| resolve(patterns).expect("found").photos;
        assert_eq!(photos(&["IMG [1].jpg"]), ["IMG [1].jpg"]);
        assert_eq!(photos(&["IMG [0-9].jpg"]), ["IMG 1.jpg"]);
        assert_eq!(photos(&["list.txt", "*.jpg"]), ["z.jpg", "IMG [1].jpg", "IMG 1.jpg"]);
        for (missing, part) in [
            ("none/*.jpg", "none/*.jpg"),
            ("gone.jpg", "gone.jpg"),
            (".", "is a folder"),
        ] {
            let error = resolve(&[missing]).expect_err("nothing").to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn names_keep_letters_and_digits_and_never_collide_silently() {
        let names = |scenes: &[&str]| labels_by_name(&scenes.iter().map(|&scene| scene.to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["x/Great Wall_2.v1.jpg"]).expect("a name"), ["Great-Wall-2-v1"]);
        let error = names(&["a/one two.jpg", "b/One_Two.png"])
            .expect_err("collision")
            .to_string();
        assert!(error.contains("a/one two.jpg and b/One_Two.png"), "{error}");
        assert!(names(&["雨.jpg"]).is_err());
        assert_eq!(labels_by_number(2), ["0001", "0002"]);
    }
}
