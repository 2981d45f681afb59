//! Files that are either complete or not there.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
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
    let folder = folder_of(path);
    let mut temporary = create_in(folder, path)?;
    let failed = |source: io::Error| ModelError::Io {
        path: path.to_owned(),
        source,
    };
    write(temporary.as_file_mut()).map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    rename(temporary, path).map_err(failed)
}

/// The same for a writer that may be killed at any time and starts again: missing folders are made, and the temporary name
/// is the same at every attempt, so that nothing of a killed one is left when the next one is done. It is hidden, short
/// whatever the name of `path`, and `tag` tells writers apart that may be at work at once.
///
/// `make` makes what is to be at `path` under the name that it is given: a file, or a link.
///
/// # Errors
/// Those of the file system and of `make`.
pub fn make_atomically<R>(path: &Path, tag: &str, mut make: impl FnMut(&Path) -> io::Result<R>) -> io::Result<()> {
    let folder = folder_of(path);
    std::fs::create_dir_all(folder)?;
    let digest = Sha256::digest(path.file_name().unwrap_or_default().as_encoded_bytes());
    let prefix = format!(
        ".{tag}-{:016x}",
        u64::from_be_bytes(std::array::from_fn(|index| digest[index]))
    );
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".tmp").rand_bytes(0);
    let temporary = builder.make_in(folder, |name| {
        match std::fs::remove_file(name) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // What was made in part goes with the attempt that made it.
        make(name).inspect_err(|_| drop(std::fs::remove_file(name)))
    })?;
    rename(temporary, path)
}

/// Moves a finished file to its place, and makes that durable.
fn rename<R>(temporary: NamedTempFile<R>, path: &Path) -> io::Result<()> {
    temporary.into_temp_path().persist(path).map_err(|error| error.error)?;
    sync_folder(folder_of(path));
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
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
    fn the_next_attempt_replaces_what_a_killed_one_left() {
        let folder = tempfile::tempdir().expect("folder");
        // As long as a name can be: the temporary one may not be longer.
        let path = folder.path().join("below").join("n".repeat(255));
        let mut left = PathBuf::new();
        let error = make_atomically(&path, "0-of-1", |name| {
            left = name.to_owned();
            std::fs::write(name, "half")?;
            Err::<(), _>(io::Error::other("no room"))
        });
        assert!(error.is_err() && names(&folder.path().join("below")).is_empty());
        std::fs::write(&left, "of a process that was killed").expect("writes");
        make_atomically(&path, "0-of-1", |name| {
            let mut file = File::create_new(name)?;
            file.write_all(b"whole")
        })
        .expect("makes");
        assert_eq!(std::fs::read(&path).expect("there"), b"whole");
        assert_eq!(names(&folder.path().join("below")).len(), 1);
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
