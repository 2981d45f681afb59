//! How an image was made: everything that restores it.

use serde::{Deserialize, Serialize};

use crate::model::ModelIdentity;
use crate::request::RenderRequest;
use crate::scene::CropAt;
use crate::weather::WEATHER_VERSION;

/// Version of [`RunSettings`] that this program writes, and the newest that it reads.
pub const SETTINGS_VERSION: u32 = 1;

/// Everything that restores a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// [`SETTINGS_VERSION`] of the program that wrote it.
    pub version: u32,
    /// Program and version, such as "mdsd3 0.1.0".
    pub program: String,
    /// The run.
    pub request: RenderRequest,
    /// The model that was used; its hash tells whether a later model of the same name is another.
    pub model: ModelIdentity,
    /// SHA-256 of the photo's file in hexadecimal digits.
    pub scene_sha256: String,
    /// SHA-256 over the files of its weather, depth and masks; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weather_sha256: Option<String>,
    /// What an image of a dataset is beyond its run; absent for a single run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<PairSettings>,
}

/// Which image of a pair it is, and how it came from its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairSettings {
    /// What made the degraded image.
    pub engine: EngineKind,
    /// Which image of the pair.
    pub image: PairImage,
    /// The square that was cut out of the photo.
    pub crop: Option<CropAt>,
    /// Bits per channel.
    pub bits: u8,
    /// File format.
    #[serde(default, skip_serializing_if = "ImageFormat::is_png")]
    pub format: ImageFormat,
    /// Size of the batch it was sampled in, which decides the last bits; absent for 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Version of the formulas that degraded it; absent for other images, and for the first version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weather_version: Option<u32>,
}

/// An image of a pair that can be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairImage {
    /// The clean image.
    Gt,
    /// `decode(encode(gt))`.
    VaeGt,
    /// `decode(z)`, or what the physical engine made.
    Decoded,
    /// `gt + decode(z) - decode(encode(gt))`.
    Composited,
}

/// What makes the degraded image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// The network.
    #[default]
    Mdsd3,
    /// The formulas of `mdsd3 degrade`.
    Physical,
}

/// File format of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// Lossless.
    #[default]
    Png,
    /// Smaller, with a faint degradation of its own.
    Jpeg,
}

impl ImageFormat {
    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
        }
    }

    /// For serde: what is as everywhere else need not be written.
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes the field as it is
    fn is_png(&self) -> bool {
        *self == Self::Png
    }
}

impl RunSettings {
    /// The settings of a run that has just been made by this program.
    pub fn new(request: RenderRequest, model: ModelIdentity, scene_sha256: String) -> Self {
        let program = format!("mdsd3 {}", crate::VERSION);
        Self {
            version: SETTINGS_VERSION,
            program,
            request,
            model,
            scene_sha256,
            weather_sha256: None,
            pair: None,
        }
    }

    /// The settings of a physical baseline; `model` is the one that its mix was meant for.
    pub fn physical(request: RenderRequest, model: ModelIdentity, scene_sha256: String) -> Self {
        let pair = PairSettings {
            engine: EngineKind::Physical,
            image: PairImage::Decoded,
            crop: None,
            format: ImageFormat::Png,
            batch: None,
            bits: 8,
            weather_version: Some(WEATHER_VERSION),
        };
        Self {
            pair: Some(pair),
            ..Self::new(request, model, scene_sha256)
        }
    }

    /// Whether a model made the image: it made no physical degradations and no clean scenes.
    pub fn is_by_model(&self) -> bool {
        self.pair
            .as_ref()
            .is_none_or(|pair| pair.engine == EngineKind::Mdsd3 && pair.image != PairImage::Gt)
    }

    /// The settings in words, for the `parameters` chunk and `mdsd3 info`.
    pub fn in_words(&self) -> String {
        let request = &self.request;
        let RenderRequest {
            scene, sampling, model, ..
        } = request;
        let photo = scene.name();
        match &self.pair {
            Some(pair) if pair.image == PairImage::Gt => {
                return format!("Clean scene: {photo}\nSize: {}, Version: {}", scene.size, self.program);
            }
            Some(pair) if pair.engine == EngineKind::Physical => {
                return format!(
                    "Physical degradation: {}\nScene: {photo}\nSeed: {}, Size: {}, Version: {}",
                    sampling.mix, sampling.seed, scene.size, self.program
                );
            }
            _ => {}
        }
        let branch = request.branch.as_ref().map_or_else(String::new, |branch| {
            format!(" from step {}, before it {}", branch.step + 1, branch.from.sampling.mix)
        });
        let start = match request.first_sigma() {
            sigma if sigma < 1.0 => format!(", First sigma: {sigma:.3}"),
            _ => String::new(),
        };
        format!(
            "Mix: {}{branch}\nScene: {photo}\nSteps: {}, Sampler: {}, Guidance: {}, Seed: {}, Alpha: {}, Beta: {}{start}, \
             Size: {}, Device: {}, Dtype: {}, Model: {}, Model hash: {:.10}, Version: {}",
            sampling.mix,
            sampling.steps,
            sampling.sampler.name(),
            sampling.guidance,
            sampling.seed,
            sampling.alpha,
            sampling.beta,
            scene.size,
            model.device,
            model.dtype,
            self.model.name,
            self.model.sha256,
            self.program,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readable_text_names_mix_seed_and_model() {
        let mut request = RenderRequest::default();
        request.sampling.seed = u64::MAX;
        let model = ModelIdentity {
            name: "mini".to_owned(),
            sha256: "ab".repeat(32),
        };
        let words = RunSettings::new(request, model, "cd".repeat(32)).in_words();
        assert!(words.starts_with("Mix: rain=0.7,haze=0.6\n"), "{words}");
        assert!(
            words.contains("Seed: 18446744073709551615") && words.contains("Model: mini"),
            "{words}"
        );
    }
}
