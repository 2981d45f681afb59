//! SHA-256, in hexadecimal digits: of bytes and of files.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::WordsError;
use crate::regular::open_regular;

/// SHA-256 of a file in hexadecimal digits.
///
/// # Errors
/// [`WordsError`] that names the file, when it can't be read or is no regular file.
pub fn sha256_of_file(path: &Path) -> Result<String, WordsError> {
    let failed = |source| WordsError::reading(path, source);
    let mut file = open_regular(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut hasher).map_err(failed)?;
    Ok(hex(&hasher.finalize()))
}

/// SHA-256 of bytes in hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The hash of a model of which the parts have these: the part's own when there is one.
pub fn sha256_of_parts(hashes: Vec<String>) -> String {
    match <[String; 1]>::try_from(hashes) {
        Ok([one]) => one,
        Err(several) => sha256_hex(several.join("\n").as_bytes()),
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest
        .iter()
        .fold(String::with_capacity(digest.len() * 2), |mut text, byte| {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_matches_the_published_test_vector() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex(b"abc"), expected);
    }
}
