//! What a file is that was dropped, pasted or typed.

use std::fs;
use std::path::{Path, PathBuf};

use mdsd3_model::adapter::Adapter;
use mdsd3_model::io::find::{check_photo, is_hidden};
use mdsd3_render::RenderError;
use mdsd3_render::bundled::PHOTO_EXTENSIONS;
use mdsd3_render::metadata;
use mdsd3_words::made::RunSettings;

use crate::error::EngineError;

/// What a file or folder is, as far as it can be told without opening all of it.
#[derive(Debug, Clone, PartialEq)]
pub enum FileKind {
    /// A photo, or what will be said to be none when it is opened.
    Photo,
    /// An image that this program made, with its settings.
    Mixed(Box<RunSettings>),
    /// A folder with these photos, sorted by name.
    Photos(Vec<PathBuf>),
    /// The plan of a dataset.
    Plan,
    /// The recipe of a training.
    Recipe,
    /// The depth map of a photo: an array, or an image that is named as one (`photo.depth.png`).
    Depth,
    /// A checkpoint: its folder, or its file.
    Model,
    /// An adapter: its file, or the folder that PEFT or diffusers saved it in.
    Adapter,
}

/// Tells what a file or folder is.
///
/// # Errors
/// [`EngineError::Render`] for what the studio has no use for, in words that say why, and for what can't be read.
pub fn identify(path: &Path) -> Result<FileKind, EngineError> {
    if path.is_dir() {
        return of_folder(path);
    }
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    match extension.to_str() {
        Some("toml") => of_toml(path),
        // Only its header is read.
        Some("safetensors") if Adapter::open(path).is_ok() => Ok(FileKind::Adapter),
        Some("safetensors" | "gguf") => Ok(FileKind::Model),
        Some("npy") => Ok(FileKind::Depth),
        // Opening it says so.
        _ if !path.exists() => Ok(FileKind::Photo),
        _ if is_named_depth(path) => Ok(FileKind::Depth),
        _ => Ok(match metadata::find_settings(path)? {
            Some(settings) => FileKind::Mixed(Box::new(settings)),
            None => FileKind::Photo,
        }),
    }
}

/// Whether a name is what a depth map beside a photo is called.
fn is_named_depth(path: &Path) -> bool {
    let stem = Path::new(path.file_stem().unwrap_or_default());
    stem.extension().is_some_and(|part| part.eq_ignore_ascii_case("depth"))
}

fn of_folder(folder: &Path) -> Result<FileKind, EngineError> {
    let entries = fs::read_dir(folder).map_err(|source| RenderError::reading(folder, source))?;
    let files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    let extension_of = |path: &Path| {
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        extension.to_string_lossy().into_owned()
    };
    let is_model = |path: &PathBuf| path.ends_with("model_index.json") || extension_of(path) == "safetensors";
    if Adapter::open(folder).is_ok() {
        return Ok(FileKind::Adapter);
    }
    if files.iter().any(is_model) || folder.join("snapshots").is_dir() {
        return Ok(FileKind::Model);
    }
    let is_photo = |path: &PathBuf| !path.file_name().is_some_and(is_hidden) && check_photo(path).is_ok();
    let mut photos: Vec<PathBuf> = files.into_iter().filter(is_photo).collect();
    photos.sort();
    if photos.is_empty() {
        return Err(EngineError::bad_input(format!(
            "{}: the folder holds neither photos ({}) nor a model; drop one that does",
            folder.display(),
            PHOTO_EXTENSIONS.join(", ")
        )));
    }
    Ok(FileKind::Photos(photos))
}

/// Plans have scenes; recipes have a mode, or the photos of a small model.
fn of_toml(path: &Path) -> Result<FileKind, EngineError> {
    let bad = |what: &str| EngineError::bad_input(format!("{}: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|source| RenderError::reading(path, source))?;
    let table: toml::Table =
        toml::from_str(&text).map_err(|error| bad(&error.to_string().trim().replace('\n', " ")))?;
    if table.contains_key("scenes") {
        Ok(FileKind::Plan)
    } else if table.contains_key("mode") || table.contains_key("photos") {
        Ok(FileKind::Recipe)
    } else {
        Err(bad(
            "neither the plan of a dataset (it has no \"scenes\") nor the recipe of a training (no \"mode\" or \"photos\")",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_told_apart_by_what_is_in_them() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, bytes: &[u8]| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(&path, bytes).expect("written");
            path
        };
        let kind = |path: &Path| identify(path).map_err(|error| error.one_line());
        assert_eq!(kind(&write("a.toml", b"scenes = [\"*.jpg\"]\n")), Ok(FileKind::Plan));
        assert_eq!(kind(&write("b.toml", b"mode = \"adapter\"\n")), Ok(FileKind::Recipe));
        assert_eq!(kind(&write("c.toml", b"photos = \"photos\"\n")), Ok(FileKind::Recipe));
        for (name, text, word) in [
            ("d.toml", "side = 3\n", "neither"),
            ("e.toml", "scenes = [\n", "e.toml"),
        ] {
            let message = kind(&write(name, text.as_bytes())).expect_err("no use for it");
            assert!(message.contains(word) && message.lines().count() == 1, "{message}");
        }
        assert_eq!(kind(&write("x.safetensors", b"not even a header")), Ok(FileKind::Model));
        assert_eq!(
            kind(&write("notes.txt", b"some words")),
            Ok(FileKind::Photo),
            "opening it says that it is none"
        );
        assert_eq!(kind(&write("x.gguf", b"GGUF")), Ok(FileKind::Model));
        let peft = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/goldens/adapters_tiny/peft_folder"
        );
        assert_eq!(kind(Path::new(peft)), Ok(FileKind::Adapter));
        fs::create_dir_all(root.path().join("models--a--b/snapshots")).expect("made");
        assert_eq!(kind(&root.path().join("models--a--b")), Ok(FileKind::Model));
        write("sd3/model_index.json", b"{}");
        assert_eq!(kind(&root.path().join("sd3")), Ok(FileKind::Model));
        write("empty/.hidden.png", b"");
        assert!(kind(&root.path().join("empty")).is_err_and(|message| message.contains("neither photos")));
        let (b, a) = (write("photos/b.JPG", b""), write("photos/a.png", b""));
        write("photos/._a.png", b"");
        write("photos/words.txt", b"");
        assert_eq!(kind(&root.path().join("photos")), Ok(FileKind::Photos(vec![a, b])));
    }
}
