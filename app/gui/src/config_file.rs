//! The file of preferences: a damaged one is kept aside, since it holds someone's presets and may be mended by hand.

use std::fs;
use std::path::{Path, PathBuf};

/// Name of the file in the program's data folder; the window library gives it.
const FILE: &str = "app.ron";

/// The folder of preferences and pasted images; `None` where the system has no such place.
pub(crate) fn data_folder(app_id: &str) -> Option<PathBuf> {
    eframe::storage_dir(app_id)
}

/// Copies the file aside when it can't be read in full; what to tell the user then. `is_unreadable` says that its contents
/// are missing or damaged; a file that is not there, or empty, is neither.
pub(crate) fn keep_aside_if_damaged(app_id: &str, is_unreadable: bool) -> Option<String> {
    if !is_unreadable {
        return None;
    }
    keep_aside(&data_folder(app_id)?.join(FILE))
}

fn keep_aside(file: &Path) -> Option<String> {
    let has_contents = fs::metadata(file).is_ok_and(|facts| facts.len() > 0);
    if !has_contents {
        return None;
    }
    let aside = free_name(file);
    Some(match fs::copy(file, &aside) {
        Ok(_) => format!(
            "The preferences in {} are damaged: the defaults are used, and the file is kept as {}",
            file.display(),
            aside.display()
        ),
        Err(error) => format!(
            "The preferences in {} are damaged: the defaults are used (the file could not be kept aside: {error})",
            file.display()
        ),
    })
}

/// `app.damaged.ron`, or with a number when there is one already.
fn free_name(file: &Path) -> PathBuf {
    let numbered = (2..).map(|number| format!("damaged-{number}.ron"));
    let mut names = std::iter::once("damaged.ron".to_owned()).chain(numbered);
    names
        .find_map(|extension| Some(file.with_extension(extension)).filter(|name| !name.exists()))
        .unwrap_or_else(|| file.with_extension("damaged.ron"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of the test's own; removed when it is dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("mdsd3-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).expect("a temporary folder");
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn damaged_files_are_kept_under_names_of_their_own() {
        let folder = Folder::new("damaged");
        let file = folder.0.join(FILE);
        assert_eq!(keep_aside(&file), None, "no file is no damage");
        fs::write(&file, "(look: Purple").expect("writable");
        for name in ["app.damaged.ron", "app.damaged-2.ron"] {
            let message = keep_aside(&file).expect("a message");
            assert!(message.contains(name), "{message}");
            assert_eq!(fs::read_to_string(folder.0.join(name)).expect("kept"), "(look: Purple");
        }
    }
}
