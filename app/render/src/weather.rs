//! What the weather of a scene is made of: its depth and its masks, from their files.

mod views;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::imageops::{self, FilterType};
use image::{ImageReader, Limits, Rgb32FImage};
use mdsd3_model::depth_anything::DepthNetwork;
use mdsd3_model::device::Place;
use mdsd3_model::guard::guarded;
use mdsd3_model::io::photo::{self, Window};
use mdsd3_weather::depth::{self, DepthMap, DepthSource, SceneDepth};
use mdsd3_weather::layers;
use mdsd3_weather::plane::Plane;
use mdsd3_weather::{Degraded, Options, Region};
use mdsd3_words::hash::{sha256_hex, sha256_of_file, sha256_of_parts};
use mdsd3_words::weather::{ClassMask, MapFormat, WeatherSettings};

use crate::error::{RenderError, bad};
use crate::metadata;
use crate::scene::FittedScene;
pub use views::{depth_view, layer_views, region_views};

/// What a depth map beside a photo `NAME.jpg` is called, in the order in which it is looked for.
const BESIDE: [&str; 4] = ["depth.png", "depth.tiff", "depth.tif", "depth.npy"];
/// The weights in a folder of a depth network.
const WEIGHTS: &str = "model.safetensors";
/// By how much the aspect of a mask may differ from its photo's.
const ASPECT_TOLERANCE: f64 = 0.02;
/// What a decoder may allocate for itself, in bytes.
const MAX_DECODER_BYTES: u64 = 1 << 30;

/// What a scene's weather is made of beside mix and seed.
#[derive(Debug, Clone)]
pub struct SceneWeather {
    /// How far away everything is.
    pub depth: Arc<SceneDepth>,
    /// Where classes act.
    pub regions: Vec<Region>,
    /// SHA-256 over the files that it was read from; `None` without any.
    pub sha256: Option<String>,
    /// What a user should know of them, one sentence each.
    pub notes: Vec<String>,
    /// What was asked for, with the depth map that was found beside the photo.
    pub settings: WeatherSettings,
}

impl SceneWeather {
    /// What the formulas are told.
    pub fn options(&self) -> Options<'_> {
        Options {
            space: self.settings.space,
            rain: self.settings.rain_composition,
            order: &self.settings.order,
            regions: &self.regions,
            ..Options::default()
        }
    }

    /// Where its depth comes from, for reports: `{"source": "file", "name": "a.depth.png", "notes": [..]}`.
    pub fn depth_as_json(&self) -> serde_json::Value {
        let source = match &self.depth.source {
            DepthSource::Estimate => "estimate",
            DepthSource::File(_) => "file",
            DepthSource::Network(_) => "network",
        };
        let name = match &self.depth.source {
            DepthSource::Estimate => None,
            DepthSource::File(name) | DepthSource::Network(name) => Some(name),
        };
        serde_json::json!({ "source": source, "name": name, "notes": self.depth.notes })
    }
}

/// A depth map and everything that it was made of.
#[derive(PartialEq)]
struct DepthKey {
    scene: crate::scene::SceneKey,
    file_sha256: Option<String>,
    settings: WeatherSettings,
}

/// A depth network in memory.
struct Network {
    path: PathBuf,
    opened: DepthNetwork,
    sha256: String,
}

impl Network {
    fn open(path: &Path) -> Result<Self, RenderError> {
        let opened = DepthNetwork::open(path, &Place::processor())?;
        let file = if path.is_dir() {
            path.join(WEIGHTS)
        } else {
            path.to_owned()
        };
        Ok(Self {
            path: path.to_owned(),
            opened,
            sha256: sha256_of_file(&file)?,
        })
    }
}

/// Loads what scenes' weather is made of, and keeps the last depth.
#[derive(Default)]
pub struct WeatherLoader {
    network: Option<Network>,
    last: Option<(DepthKey, Arc<SceneDepth>)>,
}

/// The settings with the depth map that lies beside the photo, where none is named and there is one.
pub fn with_depth_beside(settings: &WeatherSettings, photo: Option<&Path>) -> WeatherSettings {
    let mut settings = settings.clone();
    if let (None, Some(photo)) = (&settings.depth, photo) {
        let mut names = BESIDE.iter().map(|ending| photo.with_extension(ending));
        settings.depth = names.find(|path| path.is_file());
    }
    settings
}

impl WeatherLoader {
    /// What `settings` ask for a scene of `photo` (`None` for the demo photo).
    ///
    /// # Errors
    /// Bad input that names the file and what is wrong with it.
    pub fn load(
        &mut self,
        scene: &FittedScene,
        photo: Option<&Path>,
        settings: &WeatherSettings,
    ) -> Result<SceneWeather, RenderError> {
        settings.check()?;
        let settings = with_depth_beside(settings, photo);
        let mut hashes = Vec::new();
        let depth = self.depth(scene, &settings, &mut hashes)?;
        let mut notes = depth.notes.clone();
        let mut regions = Vec::new();
        for region in &settings.regions {
            let (mask, sha256) = mask_of(region, scene)?;
            if mask.values.iter().all(|value| *value == 0.0) {
                notes.push(format!(
                    "{}: is black over the whole scene, so {} acts nowhere",
                    region.mask.display(),
                    region.class
                ));
            }
            hashes.push(sha256);
            regions.push(Region {
                class: region.class.clone(),
                mask,
            });
        }
        Ok(SceneWeather {
            depth,
            regions,
            sha256: (!hashes.is_empty()).then(|| sha256_of_parts(hashes)),
            notes,
            settings,
        })
    }

    fn depth(
        &mut self,
        scene: &FittedScene,
        settings: &WeatherSettings,
        hashes: &mut Vec<String>,
    ) -> Result<Arc<SceneDepth>, RenderError> {
        let bytes = settings.depth.as_deref().map(photo::read_photo).transpose()?;
        let file_sha256 = bytes.as_deref().map(sha256_hex);
        hashes.extend(file_sha256.clone());
        if let (None, Some(model)) = (&settings.depth, &settings.depth_model) {
            hashes.push(self.network(model)?.sha256.clone());
        }
        let key = DepthKey {
            scene: scene.key,
            file_sha256,
            settings: WeatherSettings {
                depth: settings.depth.clone(),
                depth_kind: settings.depth_kind,
                depth_metres_per_unit: settings.depth_metres_per_unit,
                depth_model: settings.depth_model.clone(),
                ..WeatherSettings::default()
            },
        };
        if let Some((_, depth)) = self.last.as_ref().filter(|(last, _)| *last == key) {
            return Ok(Arc::clone(depth));
        }
        let depth = match (&settings.depth, &bytes, &settings.depth_model) {
            (Some(path), Some(bytes), _) => of_file(path, bytes, scene, settings)?,
            (_, _, Some(model)) => self.of_network(model, scene)?,
            _ => depth::estimate(&scene.rgb),
        };
        let depth = Arc::new(depth);
        self.last = Some((key, Arc::clone(&depth)));
        Ok(depth)
    }
}

/// SHA-256 over the masks that settings name, as a run of the network has it; `None` without any.
///
/// # Errors
/// Bad input for a file that can't be read.
pub fn sha256_of_masks(settings: &WeatherSettings) -> Result<Option<String>, RenderError> {
    let hashes = settings
        .regions
        .iter()
        .map(|region| Ok(sha256_hex(&photo::read_photo(&region.mask)?)));
    let hashes: Vec<String> = hashes.collect::<Result<_, RenderError>>()?;
    Ok((!hashes.is_empty()).then(|| sha256_of_parts(hashes)))
}

/// The regions that settings name, at a scene's pixels.
///
/// # Errors
/// Bad input that names the mask and what is wrong with it.
pub fn regions_of(settings: &WeatherSettings, scene: &FittedScene) -> Result<Vec<Region>, RenderError> {
    let region = |region: &ClassMask| {
        Ok(Region {
            class: region.class.clone(),
            mask: mask_of(region, scene)?.0,
        })
    };
    settings.regions.iter().map(region).collect()
}

impl WeatherLoader {
    /// The network of a file, opened when it isn't the last one.
    fn network(&mut self, path: &Path) -> Result<&Network, RenderError> {
        let kept = self.network.take().filter(|network| network.path == path);
        let network = match kept {
            Some(network) => network,
            None => Network::open(path)?,
        };
        Ok(self.network.insert(network))
    }

    fn of_network(&mut self, path: &Path, scene: &FittedScene) -> Result<SceneDepth, RenderError> {
        let Network { opened, .. } = self.network(path)?;
        let size = opened.size();
        let map = DepthMap::of_network(opened.disparity(&scene.rgb)?, &size.to_string())?;
        let mut depth = map.of_scene(&scene.rgb, [0.0, 0.0, 1.0, 1.0]);
        depth.notes.push(size.licence_note());
        Ok(depth)
    }
}

fn of_file(
    path: &Path,
    bytes: &[u8],
    scene: &FittedScene,
    settings: &WeatherSettings,
) -> Result<SceneDepth, RenderError> {
    let name = path.display().to_string();
    let (kind, scale) = (settings.depth_kind, settings.depth_metres_per_unit);
    // Decoders panic on some damaged files.
    let read = guarded(|| depth::file::read(bytes, &name, kind, scale));
    let map: DepthMap = read.map_err(|panic| {
        bad(format!(
            "{name}: can't be decoded, it is damaged ({panic}); save it again"
        ))
    })??;
    map.check_covers(scene.original_size)?;
    let (width, height) = scene.original_size;
    let share = |part: u32, of: u32| f64::from(part) / f64::from(of);
    let window = scene.window;
    let part = [
        share(window.left, width),
        share(window.top, height),
        share(window.width, width),
        share(window.height, height),
    ];
    Ok(map.of_scene(&scene.rgb, part))
}

/// A mask at the scene's pixels, and the SHA-256 of its file.
fn mask_of(region: &ClassMask, scene: &FittedScene) -> Result<(Plane, String), RenderError> {
    let shown = region.mask.display();
    let bytes = photo::read_photo(&region.mask)?;
    let broken = |reason: String| {
        bad(format!("{shown}: can't be decoded as a mask ({reason}); save it as PNG").replace('\n', " "))
    };
    let decoded = guarded(|| {
        let mut reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format()?;
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_DECODER_BYTES);
        reader.limits(limits);
        reader.decode()
    });
    let image = decoded.map_err(broken)?.map_err(|error| broken(error.to_string()))?;
    let size = (image.width(), image.height());
    let scene_size = scene.rgb.dimensions();
    let mut mask = image.into_luma16();
    if size != scene_size {
        check_covers(&shown.to_string(), size, scene)?;
        // Of the whole photo: the same part of it as the scene's.
        let scale = |at: u32, from: u32, to: u32| (f64::from(at) * f64::from(to) / f64::from(from)).round() as u32;
        let (width, height) = scene.original_size;
        let Window { left, top, .. } = scene.window;
        let (left, top) = (scale(left, width, size.0), scale(top, height, size.1));
        let wide = scale(scene.window.width, width, size.0).clamp(1, size.0 - left.min(size.0 - 1));
        let high = scale(scene.window.height, height, size.1).clamp(1, size.1 - top.min(size.1 - 1));
        let part = imageops::crop_imm(&mask, left, top, wide, high).to_image();
        mask = imageops::resize(&part, scene_size.0, scene_size.1, FilterType::Triangle);
    }
    let values = mask.into_raw().into_iter().map(|value| f32::from(value) / 65_535.0);
    let plane = Plane {
        width: scene_size.0 as usize,
        height: scene_size.1 as usize,
        values: values.collect(),
    };
    Ok((plane, sha256_hex(&bytes)))
}

fn check_covers(shown: &str, size: (u32, u32), scene: &FittedScene) -> Result<(), RenderError> {
    let (photo, fitted) = (scene.original_size, scene.rgb.dimensions());
    let ratio = f64::from(size.0) * f64::from(photo.1) / (f64::from(size.1.max(1)) * f64::from(photo.0));
    let rounding = 1.0 / f64::from(size.0.min(size.1).max(1));
    if (ratio - 1.0).abs() <= ASPECT_TOLERANCE.max(rounding) {
        return Ok(());
    }
    Err(bad(format!(
        "{shown}: is {}x{} px; a mask has the aspect of the whole photo ({}x{} px) or the size of the scene ({}x{} px)",
        size.0, size.1, photo.0, photo.1, fitted.0, fitted.1
    )))
}

/// Writes what each class did into a folder, which is made when it isn't there.
///
/// # Errors
/// Bad input when the operations were not kept; what the file system reports.
pub fn write_layers(
    (scene, depth): (&Rgb32FImage, &SceneDepth),
    degraded: &Degraded,
    (folder, format): (&Path, MapFormat),
) -> Result<(), RenderError> {
    let files = layers::files(scene, depth, degraded, format)?;
    fs::create_dir_all(folder).map_err(|source| RenderError::Io {
        path: folder.to_owned(),
        source,
    })?;
    for (name, bytes) in files {
        metadata::write_file(&folder.join(name), &bytes)?;
    }
    Ok(())
}
