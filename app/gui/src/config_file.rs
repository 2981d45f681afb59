//! The file of preferences: a damaged one is kept aside, since it holds someone's presets and may be mended by hand.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use mdsd3_engine::data::write_file;
use serde::Deserialize;

/// The folder of preferences, and what window managers call the program.
pub(crate) const APP_ID: &str = "mdsd3-studio";

/// Name of the file in the program's data folder; the window library gives it.
const FILE: &str = "app.ron";

/// Scales of text and controls that a window can be opened with: what egui's own keys reach.
const SCALES: RangeInclusive<f32> = 0.2..=5.0;

/// Sides of a window, in points, and scale factors of a screen that there may be.
const WINDOW_SIDES: RangeInclusive<f32> = 1.0..=100_000.0;
const SCREEN_SCALES: RangeInclusive<f32> = 0.1..=100.0;

/// What the file holds of the window library's own: the scale of text and controls.
#[derive(Deserialize)]
struct Memory {
    options: MemoryOptions,
}

#[derive(Deserialize)]
struct MemoryOptions {
    zoom_factor: f32,
}

/// What the file holds of the window library's own: where the window was.
#[derive(Deserialize)]
struct Window {
    normal_geometry: Geometry,
}

#[derive(Deserialize)]
struct Geometry {
    scale_factor: f32,
    inner_size_points: egui::Vec2,
}

/// What is known before there is a window.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct BeforeWindow {
    /// The scale of text and controls that the window will have, when one is stored.
    pub scale: Option<f32>,
    /// What to tell the user, when something was mended.
    pub message: Option<String>,
}

/// Takes out of the file what the window library would end on before a window is there: a scale or a size that can't be.
/// The file as it was is kept aside.
pub(crate) fn mend_window(app_id: &str) -> BeforeWindow {
    data_folder(app_id)
        .and_then(|folder| mended(&folder.join(FILE)))
        .unwrap_or_default()
}

fn mended(file: &Path) -> Option<BeforeWindow> {
    let text = fs::read_to_string(file).ok()?;
    // A file that is no list of values is dealt with when preferences are read.
    let mut values: BTreeMap<String, String> = ron::from_str(&text).ok()?;
    let scale = read::<Memory>(&values, "egui").map(|memory| memory.options.zoom_factor);
    let window = read::<Window>(&values, "window").map(|window| window.normal_geometry);
    let is_scale = scale.is_none_or(|scale| SCALES.contains(&scale));
    let is_window = window.is_none_or(
        |Geometry {
             scale_factor,
             inner_size_points: size,
         }| {
            SCREEN_SCALES.contains(&scale_factor) && WINDOW_SIDES.contains(&size.x) && WINDOW_SIDES.contains(&size.y)
        },
    );
    if is_scale && is_window {
        return Some(BeforeWindow { scale, message: None });
    }
    let message = keep_aside(file);
    if !is_scale {
        values.remove("egui");
    }
    if !is_window {
        values.remove("window");
    }
    // A file that can't be written leaves the studio where it was: it ends with the window library's words.
    write_file(file, ron::to_string(&values).ok()?.as_bytes()).ok()?;
    Some(BeforeWindow {
        scale: scale.filter(|_| is_scale),
        message,
    })
}

fn read<T: serde::de::DeserializeOwned>(values: &BTreeMap<String, String>, key: &str) -> Option<T> {
    ron::from_str(values.get(key)?).ok()
}

/// The folder of preferences and pasted images; `None` where the system has no such place.
pub(crate) fn data_folder(app_id: &str) -> Option<PathBuf> {
    eframe::storage_dir(app_id)
}

/// Copies a damaged file aside; what to tell the user then. A file that is not there, or empty, is not damaged.
pub(crate) fn keep_damaged_aside(app_id: &str) -> Option<String> {
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
            "The preferences in {} are damaged: defaults take the place of what can't be, and the file is kept as {}",
            file.display(),
            aside.display()
        ),
        Err(error) => format!(
            "The preferences in {} are damaged: defaults take the place of what can't be (the file could not be kept aside: {error})",
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

    /// A file as it is written, shortened to what is read here.
    const GOOD: &str = r#"{
    "egui": "(options:(theme_preference:dark,zoom_factor:1.2,zoom_with_keyboard:true),data:{},areas:{})",
    "studio-1": "(look:Light)",
    "window": "(normal_geometry:(outer_position_pixels:Some((x:10.0,y:20.0)),scale_factor:1.0,inner_size_points:(x:1440.0,y:900.0)),fullscreen:false,maximized:false)",
}"#;

    #[test]
    fn what_no_window_can_have_is_taken_out_and_the_file_kept() {
        let folder = Folder::new("window");
        let file = folder.0.join(FILE);
        fs::write(&file, GOOD).expect("writable");
        let before = mended(&file).expect("readable");
        assert_eq!(
            before,
            BeforeWindow {
                scale: Some(1.2),
                message: None
            }
        );
        assert_eq!(fs::read_to_string(&file).expect("there"), GOOD);
        for (good, bad, gone) in [
            ("zoom_factor:1.2", "zoom_factor:NaN", "egui"),
            ("zoom_factor:1.2", "zoom_factor:0.0", "egui"),
            ("zoom_factor:1.2", "zoom_factor:-1.0", "egui"),
            ("zoom_factor:1.2", "zoom_factor:1e30", "egui"),
            ("x:1440.0", "x:NaN", "window"),
            ("y:900.0", "y:-900.0", "window"),
            ("scale_factor:1.0", "scale_factor:0.0", "window"),
        ] {
            fs::write(&file, GOOD.replace(good, bad)).expect("writable");
            let message = mended(&file).expect("mended").message.expect("a message");
            let aside = message.rsplit(' ').next().expect("a path");
            assert!(fs::read_to_string(aside).expect("kept").contains(bad), "{bad}");
            let left: BTreeMap<String, String> =
                ron::from_str(&fs::read_to_string(&file).expect("there")).expect("readable");
            let all: Vec<&str> = left.keys().map(String::as_str).collect();
            let expected: Vec<&str> = ["egui", "studio-1", "window"]
                .into_iter()
                .filter(|key| *key != gone)
                .collect();
            assert_eq!(all, expected, "{bad}");
            assert_eq!(mended(&file).expect("readable").message, None, "once");
        }
    }
}
