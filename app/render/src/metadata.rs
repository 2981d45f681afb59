//! PNG files that carry the settings of their run: a text to read and a versioned JSON to restore it from.

use std::io::{BufReader, Read, Write};
use std::path::Path;

use mdsd3_model::io::atomic::write_atomically;
use mdsd3_words::image::Rgba8;
use mdsd3_words::made::{RunSettings, SETTINGS_VERSION};
use mdsd3_words::regular::open_regular;
use serde::Deserialize;

use crate::error::RenderError;
use crate::jpeg;

/// Keyword of the chunk that people read.
pub const PARAMETERS_KEYWORD: &str = "parameters";
/// Keyword of the chunk that the program reads.
pub const SETTINGS_KEYWORD: &str = "mdsd3";
/// The longest settings text that is unpacked, in bytes: a branch of a hundred branches has some hundred thousand.
const MAX_SETTINGS_BYTES: usize = 16 << 20;

/// How far into a JPEG its settings can reach: two comments of the largest size.
const JPEG_HEAD_BYTES: u64 = 1 << 18;

/// Writes an 8-bit RGB PNG, with the settings of its run when there are any; on any error there is no file.
pub fn write_png(path: &Path, image: &Rgba8, settings: Option<&RunSettings>) -> Result<(), RenderError> {
    let failed = |reason: serde_json::Error| RenderError::Encode {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let texts = match settings {
        Some(settings) => {
            let json = serde_json::to_string(settings).map_err(failed)?;
            vec![(PARAMETERS_KEYWORD, settings.in_words()), (SETTINGS_KEYWORD, json)]
        }
        None => Vec::new(),
    };
    write_png_with_texts(path, image, &texts)
}

/// Writes an 8-bit RGB PNG with a text that people read; on any error there is no file.
pub fn write_png_with_parameters(path: &Path, image: &Rgba8, parameters: String) -> Result<(), RenderError> {
    write_png_with_texts(path, image, &[(PARAMETERS_KEYWORD, parameters)])
}

/// Writes an 8-bit RGB PNG with keyword and text of each of its chunks; on any error there is no file.
pub fn write_png_with_texts(path: &Path, image: &Rgba8, texts: &[(&str, String)]) -> Result<(), RenderError> {
    let is_named_so = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    if !is_named_so {
        return Err(RenderError::BadInput(format!(
            "{}: images are saved as PNG, which carries their settings; give it a name that ends in .png",
            path.display()
        )));
    }
    let failed = |error: png::EncodingError| RenderError::Encode {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let bytes = encode_png(image, texts).map_err(failed)?;
    write_file(path, &bytes)
}

/// Writes bytes under a temporary name in the same folder, then renames.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), RenderError> {
    Ok(write_atomically(path, |file| file.write_all(bytes))?)
}

fn encode_png(image: &Rgba8, texts: &[(&str, String)]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, image.width, image.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    for (keyword, text) in texts {
        // iTXt, not tEXt: paths and names may hold any Unicode.
        encoder.add_itxt_chunk((*keyword).to_owned(), text.clone())?;
    }
    let rgb: Vec<u8> = image
        .pixels
        .chunks_exact(4)
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect();
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb)?;
    writer.finish()?;
    Ok(bytes)
}

/// Whether a file begins as PNGs do.
pub fn is_png(path: &Path) -> bool {
    let mut signature = [0; 8];
    open_regular(path)
        .and_then(|mut file| file.read_exact(&mut signature))
        .is_ok()
        && signature == *b"\x89PNG\r\n\x1a\n"
}

/// The settings that an image was made with; `None` for an image that carries none.
///
/// # Errors
/// As [`read_settings`], but for files without settings.
pub fn find_settings(path: &Path) -> Result<Option<RunSettings>, RenderError> {
    if jpeg_settings(path)?.is_none() && (!is_png(path) || settings_json(path)?.is_none()) {
        return Ok(None);
    }
    read_settings(path).map(Some)
}

/// Reads the settings that a PNG was made with, or a JPEG of a dataset.
///
/// # Errors
/// [`RenderError::BadInput`] when the file isn't a readable PNG or JPEG, holds no settings, or holds those of a newer version.
pub fn read_settings(path: &Path) -> Result<RunSettings, RenderError> {
    let shown = path.display();
    let found = match jpeg_settings(path)? {
        Some(json) => Some(json),
        None => settings_json(path)?,
    };
    let json = found.ok_or_else(|| {
        RenderError::BadInput(format!(
            "{shown}: holds no settings; it was not made by mdsd3, or its text was removed"
        ))
    })?;
    let damaged =
        |error: serde_json::Error| RenderError::BadInput(format!("{shown}: its settings are damaged ({error})"));
    let Versioned { version } = serde_json::from_str(&json).map_err(damaged)?;
    if version > SETTINGS_VERSION {
        return Err(RenderError::BadInput(format!(
            "{shown}: its settings were written by a newer mdsd3; update this one"
        )));
    }
    serde_json::from_str(&json).map_err(damaged)
}

/// The part of [`RunSettings`] that every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The settings text of a JPEG; `None` when it has none or the file is something else.
fn jpeg_settings(path: &Path) -> Result<Option<String>, RenderError> {
    let failed = |source| RenderError::reading(path, source);
    // Markers and texts come first: no photo need be read to its end.
    let mut head = Vec::new();
    let file = open_regular(path).map_err(failed)?;
    file.take(JPEG_HEAD_BYTES).read_to_end(&mut head).map_err(failed)?;
    Ok(jpeg::text_of(&head, SETTINGS_KEYWORD))
}

/// The text of the settings chunk, wherever in the file it is.
fn settings_json(path: &Path) -> Result<Option<String>, RenderError> {
    let unreadable = |error: png::DecodingError| {
        RenderError::BadInput(format!(
            "{}: not a readable PNG ({error}); choose another file",
            path.display()
        ))
    };
    let file = open_regular(path).map_err(|source| RenderError::reading(path, source))?;
    let mut reader = png::Decoder::new(BufReader::new(file))
        .read_info()
        .map_err(unreadable)?;
    // Text may follow the image data when another program has rewritten the file.
    reader.finish().map_err(unreadable)?;
    // iTXt is what this program writes; others turn it into tEXt or zTXt when they write the file again. A few packed kilobytes
    // can become gigabytes.
    let info = reader.info();
    if let Some(mut chunk) = with_settings(&info.utf8_text, |chunk| &chunk.keyword) {
        chunk
            .decompress_text_with_limit(MAX_SETTINGS_BYTES)
            .map_err(unreadable)?;
        return chunk.get_text().map(Some).map_err(unreadable);
    }
    if let Some(mut chunk) = with_settings(&info.compressed_latin1_text, |chunk| &chunk.keyword) {
        chunk
            .decompress_text_with_limit(MAX_SETTINGS_BYTES)
            .map_err(unreadable)?;
        return chunk.get_text().map(|text| Some(utf8_of(text))).map_err(unreadable);
    }
    let plain = with_settings(&info.uncompressed_latin1_text, |chunk| &chunk.keyword);
    Ok(plain.map(|chunk| utf8_of(chunk.text)))
}

/// The chunk that holds the settings.
fn with_settings<T: Clone>(chunks: &[T], keyword: impl Fn(&T) -> &str) -> Option<T> {
    chunks.iter().find(|chunk| keyword(chunk) == SETTINGS_KEYWORD).cloned()
}

/// Latin-1 text, the only one that these chunks may hold; many programs put UTF-8 into them all the same.
fn utf8_of(latin1: String) -> String {
    let bytes: Option<Vec<u8>> = latin1.chars().map(|letter| u8::try_from(letter).ok()).collect();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or(latin1)
}

/// What an image file is by its content, such as "JPEG image, 640x480 px"; `None` for other files.
pub fn image_in_words(path: &Path) -> Option<String> {
    let file = BufReader::new(open_regular(path).ok()?);
    let reader = image::ImageReader::new(file).with_guessed_format().ok()?;
    let format = format!("{:?}", reader.format()?).to_uppercase();
    Some(match reader.into_dimensions() {
        Ok((width, height)) => format!("{format} image, {width}x{height} px"),
        Err(_) => format!("{format} image that can't be read"),
    })
}

#[cfg(test)]
mod tests {

    use mdsd3_words::{ModelIdentity, RenderRequest};

    use super::*;

    fn settings() -> RunSettings {
        let every = include_str!("../../../tests/fixtures/every_setting.json");
        let request: RenderRequest = serde_json::from_str(every).expect("a run");
        let model = ModelIdentity {
            name: "mini".to_owned(),
            sha256: "ab".repeat(32),
        };
        RunSettings::new(request, model, "cd".repeat(32))
    }

    fn image() -> Rgba8 {
        let pixels = (0..4 * 3 * 2).map(|i| if i % 4 == 3 { 255 } else { i as u8 }).collect();
        Rgba8 {
            width: 3,
            height: 2,
            pixels,
        }
    }

    #[test]
    fn settings_and_pixels_survive_a_round_trip() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out.png");
        write_png(&path, &image(), Some(&settings())).expect("written");
        assert!(is_png(&path));
        assert_eq!(read_settings(&path).expect("readable"), settings());
        let decoded = image::open(&path).expect("readable");
        assert_eq!(decoded.color(), image::ColorType::Rgb8);
        assert_eq!(&decoded.to_rgba8().into_raw()[..], &image().pixels[..]);
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("listable").count(),
            1,
            "no temporary file is left"
        );
    }

    /// Some twenty kilobytes that unpack to sixteen megabytes, as gigabytes could be packed.
    #[test]
    fn texts_that_unpack_to_more_than_settings_are_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("packed.png");
        for (length, what) in [
            (MAX_SETTINGS_BYTES + 1, "not a readable PNG"),
            (MAX_SETTINGS_BYTES, "its settings are damaged"),
        ] {
            let mut chunk = png::text_metadata::ITXtChunk::new(SETTINGS_KEYWORD, "a".repeat(length));
            chunk.compressed = true;
            chunk.compress_text().expect("packed");
            let mut bytes = Vec::new();
            let mut writer = png::Encoder::new(&mut bytes, 1, 1).write_header().expect("a header");
            writer.write_text_chunk(&chunk).expect("written");
            writer.write_image_data(&[0]).expect("written");
            writer.finish().expect("finished");
            assert!(bytes.len() < 1 << 20);
            std::fs::write(&path, bytes).expect("written");
            for error in [
                read_settings(&path).expect_err(what),
                find_settings(&path).expect_err(what),
            ] {
                assert!(error.is_bad_input() && error.one_line().contains(what), "{error}");
            }
        }
    }

    #[test]
    fn settings_survive_programs_that_write_other_chunks() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let json = serde_json::to_string(&settings()).expect("JSON");
        // As ImageMagick and others do, UTF-8 in chunks for Latin-1.
        let latin1: String = json.bytes().map(char::from).collect();
        for is_compressed in [false, true] {
            let path = folder.path().join("again.png");
            let mut encoder = png::Encoder::new(std::fs::File::create(&path).expect("created"), 1, 1);
            if is_compressed {
                encoder
                    .add_ztxt_chunk(SETTINGS_KEYWORD.to_owned(), latin1.clone())
                    .expect("a chunk");
            } else {
                encoder
                    .add_text_chunk(SETTINGS_KEYWORD.to_owned(), latin1.clone())
                    .expect("a chunk");
            }
            let mut writer = encoder.write_header().expect("a header");
            writer.write_image_data(&[7]).expect("pixels");
            writer.finish().expect("written");
            assert_eq!(read_settings(&path).expect("readable"), settings());
            assert_eq!(image_in_words(&path).as_deref(), Some("PNG image, 1x1 px"));
        }
    }

    #[test]
    fn an_image_is_never_written_under_the_name_of_another_format() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["out.jpg", "out.tif", "out"] {
            let error = write_png(&folder.path().join(name), &image(), None).expect_err("refused");
            assert!(error.is_bad_input() && error.to_string().contains(".png"), "{error}");
        }
        write_png(&folder.path().join("out.PNG"), &image(), None).expect("written");
        assert_eq!(std::fs::read_dir(folder.path()).expect("listable").count(), 1);
    }

    #[test]
    fn files_without_usable_settings_are_refused_in_one_line() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out.png");
        let refusal = |path: &Path| {
            let error = read_settings(path).expect_err("refused");
            assert!(error.is_bad_input());
            error.one_line()
        };
        assert!(refusal(&path).contains("no such file"));
        write_png(&path, &image(), None).expect("written");
        assert!(refusal(&path).contains("holds no settings"));
        write_png(
            &path,
            &image(),
            Some(&RunSettings {
                version: 2,
                ..settings()
            }),
        )
        .expect("written");
        assert!(refusal(&path).contains("newer mdsd3"));
        std::fs::write(&path, b"GIF89a").expect("written");
        assert!(refusal(&path).contains("not a readable PNG"));
    }
}
