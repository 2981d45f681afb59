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

/// The text of a regular file of at most [`MOST_TEXT_BYTES`]: UTF-8, or UTF-16 with a byte order mark, which editors of
/// Windows write. The mark is left out.
///
/// # Errors
/// As [`read_regular`]; [`ErrorKind::InvalidData`] for other encodings.
pub fn read_text(path: &Path) -> io::Result<String> {
    let bytes = read_regular(path, MOST_TEXT_BYTES)?;
    let utf16 = |from_bytes: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes[2..].as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| from_bytes(*pair)).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty())
    };
    let text = match bytes.as_slice() {
        [0xFF, 0xFE, ..] => utf16(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => utf16(u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, text @ ..] => std::str::from_utf8(text).map(str::to_owned).ok(),
        _ => String::from_utf8(bytes).ok(),
    };
    text.ok_or_else(|| {
        io::Error::new(
            ErrorKind::InvalidData,
            "is no text in UTF-8 or UTF-16; save it as UTF-8",
        )
    })
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

    #[test]
    fn marks_and_utf_16_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.txt");
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("written");
            read_text(&path)
        };
        for bytes in [
            b"a\xC3\xA9".as_slice(),
            b"\xEF\xBB\xBFa\xC3\xA9",
            b"\xFF\xFEa\0\xE9\0",
            b"\xFE\xFF\0a\0\xE9",
        ] {
            assert_eq!(read(bytes).expect("text"), "a\u{e9}");
        }
        for bytes in [b"\xE9".as_slice(), b"\xFF\xFEa", b"\xFF\xFE\0\xD8"] {
            assert_eq!(read(bytes).expect_err("no text").kind(), ErrorKind::InvalidData);
        }
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
