//! Reading files that a setting, a journal or another file names: regular ones only, and no more of them than can be meant.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Most bytes of a file that people or programs write as text: a plan, a recipe, a config, a tokenizer. The largest there are
/// in the wild, vocabularies of tokenizers, have some ten million.
pub const MOST_TEXT_BYTES: u64 = 256 << 20;

/// Opens a file that is a regular one, links followed.
///
/// # Errors
/// [`ErrorKind::IsADirectory`] for a folder and [`ErrorKind::InvalidInput`] for a pipe or a device: reading one may wait for
/// ever or never end. Otherwise what the system says.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let facts = fs::metadata(path)?;
    if facts.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !facts.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "is a pipe or a device; name a regular file",
        ));
    }
    File::open(path)
}

/// The content of a regular file of at most `most_bytes`.
///
/// # Errors
/// As [`open_regular`]; [`ErrorKind::FileTooLarge`] for a larger one.
pub fn read_regular(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that grows while it is read from one that ends.
    open_regular(path)?
        .take(most_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most_bytes {
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            format!("is larger than {most_bytes} bytes, which no such file is"),
        ));
    }
    Ok(bytes)
}

/// The text of a regular file of at most [`MOST_TEXT_BYTES`].
///
/// # Errors
/// As [`read_regular`]; [`ErrorKind::InvalidData`] for bytes that are no UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read_regular(path, MOST_TEXT_BYTES)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "is no UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_their_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.txt");
        fs::write(&path, "12345").expect("written");
        assert_eq!(read_regular(&path, 5).expect("read"), b"12345");
        let error = read_regular(&path, 4).expect_err("too large");
        assert!(
            error.kind() == ErrorKind::FileTooLarge && error.to_string().contains("4 bytes"),
            "{error}"
        );
        assert_eq!(read_text(&path).expect("text"), "12345");
        fs::write(&path, [0xff]).expect("written");
        assert_eq!(read_text(&path).expect_err("no text").kind(), ErrorKind::InvalidData);
        assert_eq!(
            read_text(folder.path()).expect_err("a folder").kind(),
            ErrorKind::IsADirectory
        );
        let missing = folder.path().join("none");
        assert_eq!(read_text(&missing).expect_err("missing").kind(), ErrorKind::NotFound);
    }

    /// A pipe that nobody writes to: opening it would wait for ever.
    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("mkfifo runs");
        assert!(made.success());
        for path in [pipe.as_path(), Path::new("/dev/zero")] {
            let error = open_regular(path).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }
}
