//! Where files go: checked before anything is computed.

use std::fs;
use std::path::{Path, PathBuf};

use mdsd3_render::RenderError;
use mdsd3_render::metadata;
use mdsd3_words::made::ImageFormat;

/// Where `mdsd3 render` writes when it isn't told, but for the extension.
const DEFAULT_OUTPUT: &str = "mdsd3-mix";

/// Refuses an output path that could not be written, that would overwrite the input, or whose extension is not the format's.
pub fn check_image_target(path: &Path, format: ImageFormat, input: Option<&Path>) -> Result<(), RenderError> {
    let shown = path.display();
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let (name, is_its_own) = match format {
        ImageFormat::Png => ("PNG", extension == "png"),
        ImageFormat::Jpeg => ("JPEG", extension == "jpg" || extension == "jpeg"),
    };
    if !is_its_own {
        return Err(bad(format!(
            "{shown}: the output is a {name}; give it a name that ends in .{}",
            format.extension()
        )));
    }
    if path.is_dir() {
        return Err(bad(format!("{shown}: is a folder; name a file in it")));
    }
    check_folder(parent(path))?;
    if input.is_some_and(|input| is_same_file(path, input)) {
        return Err(bad(format!("{shown}: is the input photo; choose another output")));
    }
    Ok(())
}

/// Refuses a folder that could not be created, or that is a file.
pub fn check_folder_target(folder: &Path) -> Result<(), RenderError> {
    if folder.exists() {
        check_folder(folder)
    } else {
        check_folder(parent(folder))
    }
}

/// Refuses a folder that holds files: those of an earlier run would be taken for this one's.
pub fn check_empty(folder: &Path, what: &str) -> Result<(), RenderError> {
    let mut entries = fs::read_dir(folder).into_iter().flatten();
    if entries.next().is_none() {
        return Ok(());
    }
    Err(bad(format!(
        "{}: a folder for {what} has to be empty; choose another",
        folder.display()
    )))
}

/// The default output in the working folder; a file of that name that mdsd3 didn't make is left alone.
pub fn default_image_target(format: ImageFormat) -> Result<PathBuf, RenderError> {
    let path = Path::new(DEFAULT_OUTPUT).with_extension(format.extension());
    if path.exists() && metadata::read_settings(&path).is_err() {
        return Err(bad(format!(
            "{}: exists and was not made by mdsd3; name the output with -o",
            path.display()
        )));
    }
    check_image_target(&path, format, None)?;
    Ok(path)
}

fn check_folder(folder: &Path) -> Result<(), RenderError> {
    let shown = folder.display();
    let facts = fs::metadata(folder).map_err(|_| bad(format!("{shown}: no such folder; create it first")))?;
    if !facts.is_dir() {
        return Err(bad(format!(
            "{shown}: is a file, not a folder; choose another place for the output"
        )));
    }
    if facts.permissions().readonly() {
        return Err(bad(format!(
            "{shown}: may not be written to; choose another place for the output"
        )));
    }
    Ok(())
}

/// The folder of a path; the working folder for a bare name.
fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn bad(message: String) -> RenderError {
    RenderError::BadInput(message)
}
