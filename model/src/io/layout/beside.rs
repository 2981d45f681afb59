//! Parts that lie beside a single-file checkpoint: in a pipeline folder, in a repository's `text_encoders`, in the folders of
//! ComfyUI's `models`, or in files that begin with the checkpoint's name.

use std::path::{Path, PathBuf};

use super::files::{folder_of, subfolders, weights_files};
use super::parts::{self, AutoencoderSource, Encoders, TEXT_PARTS};

/// Folders of single encoder files.
const ENCODER_FOLDERS: [&str; 2] = ["text_encoders", "clip"];
/// What an autoencoder file's name has to have in it: Flux's has the same shapes and other latents.
const AUTOENCODER_MARK: &str = "sd3";

/// Fills what is missing among the encoders, and says what was taken from where. What can't be read there is passed over: nobody
/// has named it.
pub fn add_encoders(model: &Path, encoders: &mut Encoders) -> Vec<String> {
    let folder = folder_of(model);
    let mut notes = Vec::new();
    let mut add = |found: Encoders| {
        for ((slot, found), name) in encoders.iter_mut().zip(found).zip(TEXT_PARTS) {
            if let (None, Some(part)) = (&slot, found) {
                notes.push(format!("{name} is taken from {}", part.weights.name()));
                *slot = Some(part);
            }
        }
        encoders.iter().all(Option::is_some)
    };
    let named_alike = || parts::encoders_among(&readable(named_after(model))).unwrap_or_default();
    let pipelines = || std::iter::once(folder.to_owned()).chain(subfolders(folder));
    let singles = || folders_near(folder, &ENCODER_FOLDERS);
    let _ = add(named_alike())
        || pipelines().any(|path| parts::encoders_in_pipeline(&path).is_ok_and(&mut add))
        || singles().any(|path| parts::encoders_among(&readable(weights_files(&path))).is_ok_and(&mut add));
    notes
}

/// The autoencoder beside a checkpoint that has none.
pub fn autoencoder(model: &Path) -> Option<AutoencoderSource> {
    let is_sd3s = |file: &PathBuf| {
        file.file_name()
            .is_some_and(|name| name.to_string_lossy().to_lowercase().contains(AUTOENCODER_MARK))
    };
    let in_folder = |folder: PathBuf| {
        if folder.join("config.json").is_file() {
            vec![folder]
        } else {
            weights_files(&folder).into_iter().filter(is_sd3s).collect()
        }
    };
    let mut candidates = folders_near(folder_of(model), &["vae"]).flat_map(in_folder);
    candidates.find_map(|path| parts::open_autoencoder(&path).ok())
}

/// Folders of these names in a folder and in the one above, as ComfyUI's `models` has `checkpoints` and `text_encoders`.
fn folders_near(folder: &Path, names: &'static [&'static str]) -> impl Iterator<Item = PathBuf> {
    let above = folder
        .canonicalize()
        .ok()
        .and_then(|full| Some(full.parent()?.to_owned()));
    let places: Vec<PathBuf> = std::iter::once(folder.to_owned()).chain(above).collect();
    let folders = places
        .into_iter()
        .flat_map(|place| names.iter().map(move |name| place.join(name)));
    folders.filter(|path| path.is_dir())
}

/// `NAME_clip_l.safetensors` and so on beside `NAME.safetensors`, as sd-scripts saves a fine-tuned model; not every file whose
/// name goes on, which may be another checkpoint.
fn named_after(model: &Path) -> Vec<PathBuf> {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let names = parts::ENCODER_FILES.map(|encoder| format!("{stem}_{encoder}"));
    let is_named = |file: &PathBuf| {
        file.file_stem()
            .is_some_and(|own| names.iter().any(|name| own == name.as_str()))
    };
    weights_files(folder_of(model)).into_iter().filter(is_named).collect()
}

fn readable(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let opens =
        |file: &PathBuf| crate::io::checkpoint::Weights::open(file).is_ok_and(|w| parts::encoders_of(&w).is_ok());
    files.into_iter().filter(opens).collect()
}
