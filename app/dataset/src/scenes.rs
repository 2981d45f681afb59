//! Scenes of a plan: patterns become photos, photos become fitted scenes with names for files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::ImageReader;
use mdsd3_render::RenderError;
use mdsd3_render::bundled::PHOTO_EXTENSIONS;
use mdsd3_words::regular;

use crate::check::bad;

/// Resolves `patterns` against the plan's folder: globs (photos only, sorted), single files, and `.txt` lists with one of
/// either per line. A photo that several patterns find counts once.
pub(super) fn resolve(patterns: &[String], folder: &Path) -> Result<Vec<String>, RenderError> {
    let mut scenes = Vec::new();
    for pattern in patterns {
        if !is_glob(pattern) && has_extension(pattern, &["txt"]) {
            let list = folder.join(pattern);
            let text = regular::read_text(&list).map_err(|source| RenderError::reading(&list, source))?;
            let lines = text
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with('#'));
            for line in lines {
                find(line, folder, &mut scenes)?;
            }
        } else {
            find(pattern, folder, &mut scenes)?;
        }
    }
    let mut seen = std::collections::HashSet::new();
    scenes.retain(|scene| seen.insert(scene.clone()));
    Ok(scenes)
}

fn find(pattern: &str, folder: &Path, scenes: &mut Vec<String>) -> Result<(), RenderError> {
    let whole = folder.join(pattern);
    if !is_glob(pattern) {
        if !whole.is_file() {
            return Err(bad(format!(
                "scenes: {}: no such file; check the path",
                whole.display()
            )));
        }
        scenes.push(pattern.to_owned());
        return Ok(());
    }
    let escaped = glob::Pattern::escape(&folder.to_string_lossy());
    let text = Path::new(&escaped).join(pattern).to_string_lossy().into_owned();
    let paths = glob::glob(&text).map_err(|error| bad(format!("scenes: {pattern}: not a pattern ({})", error.msg)))?;
    let before = scenes.len();
    for path in paths {
        // A folder that can't be read must not become a dataset without its photos.
        let unreadable = |error: glob::GlobError| {
            let folder = error.path().to_owned();
            RenderError::reading(&folder, error.into())
        };
        let path = path.map_err(unreadable)?;
        if !path.is_file() {
            continue;
        }
        let name = path.strip_prefix(folder).unwrap_or(&path);
        let name = name.to_str().ok_or_else(|| {
            bad(format!(
                "scenes: {}: the name is no Unicode; rename the photo",
                path.display()
            ))
        })?;
        if has_extension(name, &PHOTO_EXTENSIONS) {
            scenes.push(name.replace('\\', "/"));
        }
    }
    if scenes.len() == before {
        return Err(bad(format!("scenes: {pattern}: finds no photo in {}", shown(folder))));
    }
    Ok(())
}

fn shown(folder: &Path) -> String {
    if folder.as_os_str().is_empty() {
        "the working folder".to_owned()
    } else {
        folder.display().to_string()
    }
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

fn has_extension(name: &str, extensions: &[&str]) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| extensions.contains(&extension.to_ascii_lowercase().as_str()))
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
    use super::*;
    use std::fs;

    #[test]
    fn patterns_and_lists_find_photos_once_and_in_order() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("a[1]")).expect("created");
        for name in ["a[1]/2.jpg", "a[1]/1.PNG", "a[1]/notes.md", "z.jpg"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        fs::write(folder.path().join("list.txt"), "# mine\nz.jpg\n\na?1?/*.jpg\n").expect("written");
        let resolve = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
            resolve(&patterns, folder.path())
        };
        assert_eq!(resolve(&["a?1?/*"]).expect("found"), ["a[1]/1.PNG", "a[1]/2.jpg"]);
        assert_eq!(resolve(&["list.txt", "*.jpg"]).expect("found"), ["z.jpg", "a[1]/2.jpg"]);
        assert!(
            resolve(&["none/*.jpg"])
                .expect_err("nothing")
                .to_string()
                .contains("none/*.jpg")
        );
        assert!(
            resolve(&["gone.jpg"])
                .expect_err("nothing")
                .to_string()
                .contains("gone.jpg")
        );
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
