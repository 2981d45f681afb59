//! Files that are either complete or not there.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::ModelError;

/// Writes a file under a temporary name in the same folder, flushes it to disk and renames it to `path`.
///
/// A file that is already at `path` is replaced in one step: readers see the old content or the new one, never a
/// part. When `write` or anything else fails (a panic in `write` included), nothing new is left in the folder and an
/// old file stays as it was.
///
/// # Errors
/// [`ModelError::BadInput`] when the folder is missing or not writable or `path` is no regular file, [`ModelError::Io`]
/// for everything else, such as a full disk or an error that `write` returned.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), ModelError> {
    refuse_irregular(path)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut temporary = create_in(folder, path)?;
    let failed = |source: io::Error| ModelError::Io {
        path: path.to_owned(),
        source,
    };
    write(temporary.as_file_mut()).map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(path).map_err(|error| failed(error.error))?;
    sync_folder(folder);
    Ok(())
}

/// Renaming onto a device or a pipe would replace it with a file, which nobody who names one wants.
fn refuse_irregular(path: &Path) -> Result<(), ModelError> {
    let shown = path.display();
    if path.file_name().is_none() {
        return Err(ModelError::BadInput(format!(
            "{shown:?} names no file to write: add a file name"
        )));
    }
    match path.metadata() {
        Ok(there) if there.is_dir() => Err(ModelError::BadInput(format!(
            "{shown}: is a folder; give the name of a file to write in it"
        ))),
        Ok(there) if !there.is_file() => Err(ModelError::BadInput(format!(
            "{shown}: is a device or a pipe; give the name of a file to write"
        ))),
        _ => Ok(()),
    }
}

fn create_in(folder: &Path, path: &Path) -> Result<NamedTempFile, ModelError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".mdsd3-").suffix(".tmp");
    // The default is a file that only its owner may read, which is wrong for results on a shared machine; the umask
    // still applies.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
        .tempfile_in(folder)
        .map_err(|source| explain(folder, path, source))
}

fn explain(folder: &Path, path: &Path, source: io::Error) -> ModelError {
    let (shown, folder) = (path.display(), folder.display());
    match source.kind() {
        ErrorKind::NotFound => ModelError::BadInput(format!(
            "{shown}: can't be written, there is no folder {folder}; create it first"
        )),
        ErrorKind::NotADirectory => ModelError::BadInput(format!(
            "{shown}: can't be written, {folder} is a file and not a folder"
        )),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => ModelError::BadInput(format!(
            "{shown}: can't be written, folder {folder} is not writable; choose another"
        )),
        _ => ModelError::Io {
            path: PathBuf::from(path),
            source,
        },
    }
}

/// Makes the rename itself durable. Not every file system can, and the content is safe by then, so failure is no error.
fn sync_folder(folder: &Path) {
    #[cfg(unix)]
    if let Ok(folder) = File::open(folder) {
        drop(folder.sync_all());
    }
    #[cfg(not(unix))]
    let _ = folder;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("readable");
        entries
            .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn writes_and_replaces() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.txt");
        for text in ["first", "second"] {
            write_atomically(&path, |file| file.write_all(text.as_bytes())).expect("writes");
            assert_eq!(std::fs::read_to_string(&path).expect("readable"), text);
        }
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn failure_leaves_the_folder_as_it_was() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "old").expect("writes");
        let fail = |file: &mut File| {
            file.write_all(b"half")?;
            Err(io::Error::other("encoder gave up"))
        };
        let error = write_atomically(&path, fail).expect_err("fails");
        assert!(
            error.to_string().contains("a.txt: encoder gave up") && !error.is_bad_input(),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "old");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn panics_leave_nothing_behind() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.txt");
        let panicked = std::panic::catch_unwind(|| write_atomically(&path, |_| panic!("in the writer")));
        assert!(panicked.is_err());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn bad_places_are_explained_in_one_line() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("file"), "").expect("writes");
        let cases = [
            (folder.path().to_owned(), "is a folder"),
            (folder.path().join("missing/a.txt"), "there is no folder"),
            (folder.path().join("file/a.txt"), "is a file and not a folder"),
            (PathBuf::from(""), "names no file"),
            #[cfg(unix)]
            (PathBuf::from("/dev/null"), "device"),
        ];
        for (path, part) in cases {
            let error = write_atomically(&path, |_| Ok(())).expect_err(part);
            assert!(error.is_bad_input() && error.to_string().contains(part), "{error}");
            assert!(!error.to_string().contains('\n'));
        }
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_results_as_the_umask_allows() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("folder");
        let (path, plain) = (folder.path().join("a.txt"), folder.path().join("b.txt"));
        write_atomically(&path, |_| Ok(())).expect("writes");
        std::fs::write(&plain, "").expect("writes");
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
    }
}
