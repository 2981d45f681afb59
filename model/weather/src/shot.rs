//! What all classes of one image share: its depth, the camera, the wind and what the user asked for.

use mdsd3_words::weather::{Composition, Space};

use crate::depth::{MEDIAN_METRES, SceneDepth};
use crate::plane::Plane;
use crate::stream::Stream;

/// Horizontal angle that a photo's longer side is taken to see, as that of a 31 mm lens on 36 mm film: focal length over the
/// longer side in pixels.
const FOCAL_OVER_LONGER_SIDE: f32 = 0.87;
/// Exposure times in seconds: what daylight in bad weather asks for.
const EXPOSURE_SECS: (f32, f32) = (1.0 / 250.0, 1.0 / 100.0);
/// Horizontal wind across the picture, in metres per second.
const WIND_METRES_PER_SEC: (f32, f32) = (-2.5, 2.5);

/// Diameter of the lens opening in metres: that of a compact camera.
const APERTURE_METRES: f32 = 0.0015;
/// Distance in focus, in metres.
const FOCUS_METRES: f32 = MEDIAN_METRES;

/// Where a class acts.
#[derive(Debug, Clone)]
pub struct Region {
    /// The class.
    pub class: String,
    /// 1 where it acts fully, 0 where it doesn't; of the scene's size.
    pub mask: Plane,
}

/// What a user may ask of the formulas beside the mix.
#[derive(Debug, Clone, Default)]
pub struct Options<'a> {
    /// In which values haze is composed.
    pub space: Space,
    /// How rain meets what is behind it.
    pub rain: Composition,
    /// Classes in the order in which they act; the physical order when empty.
    pub order: &'a [String],
    /// Where classes act; everywhere where a class has none.
    pub regions: &'a [Region],
    /// Share of its range, 0 to 1 around the middle, from which a named class draws what a whole image shares. A network that
    /// learns from such pairs need not agree with itself, over the whole image, on a light or a wind that it can't know.
    pub variety: &'a [(&'a str, f32)],
    /// Seconds since the first frame of a sequence, and the frame's number; a single image is frame 0.
    pub frame: (f32, u32),
    /// Whether the operations are kept as layers.
    pub layers: bool,
}

/// The camera, as far as the weather in front of it can tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Camera {
    /// Focal length in pixels.
    pub(crate) focal_px: f32,
    /// Exposure time in seconds.
    pub(crate) exposure_secs: f32,
}

impl Camera {
    /// Diameter in pixels of the circle of confusion of a point at `metres` (the thin lens, Potmesil and Chakravarty 1981).
    pub(crate) fn confusion_px(self, metres: f32) -> f32 {
        self.focal_px * APERTURE_METRES * (1.0 / metres - 1.0 / FOCUS_METRES).abs()
    }
}

/// What the classes of one image share.
pub(crate) struct Shot<'a> {
    pub(crate) depth: &'a SceneDepth,
    pub(crate) camera: Camera,
    /// Wind across the picture, metres per second to the right.
    pub(crate) wind_metres_per_sec: f32,
    pub(crate) options: &'a Options<'a>,
}

impl<'a> Shot<'a> {
    /// Draws camera and wind from a stream of their own.
    pub(crate) fn draw(depth: &'a SceneDepth, options: &'a Options<'a>, mut stream: Stream) -> Self {
        let longer = depth.metres.width.max(depth.metres.height) as f32;
        let (shortest, longest) = EXPOSURE_SECS;
        Self {
            depth,
            camera: Camera {
                focal_px: FOCAL_OVER_LONGER_SIDE * longer,
                exposure_secs: shortest * libm::powf(longest / shortest, stream.within((0.0, 1.0))),
            },
            wind_metres_per_sec: stream.within(WIND_METRES_PER_SEC),
            options,
        }
    }
}
