//! How far away everything in a scene is.

mod estimate;
pub mod file;
mod map;
mod resample;

use mdsd3_words::WordsError;

use crate::plane::Plane;
pub use estimate::estimate;
pub use map::{DepthMap, Part};

/// Distance that the middle of a scene is put at where nothing says how large a metre is, in metres.
pub const MEDIAN_METRES: f32 = 18.0;
/// Distance that stands for the sky, in metres: farther than any veil lets through.
pub const SKY_METRES: f32 = 2000.0;

/// Distances of a scene.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneDepth {
    /// Metres from the camera, finite and above 0; what it says where there is sky doesn't count.
    pub metres: Plane,
    /// How much of each pixel is sky, 0 to 1.
    pub sky: Plane,
    /// Where it comes from.
    pub source: DepthSource,
    /// What a user should know about it, one sentence each.
    pub notes: Vec<String>,
}

/// Where a scene's depth comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DepthSource {
    /// Guessed from the photo, without weights.
    Estimate,
    /// Read from a file of this name.
    File(String),
    /// Computed by a network of this name.
    Network(String),
}

impl DepthSource {
    /// What messages call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Estimate => "the estimate",
            Self::File(name) | Self::Network(name) => name,
        }
    }
}

fn bad(message: String) -> WordsError {
    WordsError::BadInput(message)
}

impl SceneDepth {
    /// Metres with the sky put at [`SKY_METRES`], blended by its share in the logarithm, so that a soft edge stays an edge.
    pub fn metres_with_sky(&self) -> Plane {
        let (near, sky) = (&self.metres.values, &self.sky.values);
        Plane::from_rows(self.metres.width, self.metres.height, |y, row| {
            let at = y * row.len();
            for (x, value) in row.iter_mut().enumerate() {
                let (metres, share) = (near[at + x], sky[at + x]);
                *value = if share <= 0.0 {
                    metres
                } else {
                    metres * libm::powf(SKY_METRES / metres, share.min(1.0))
                };
            }
        })
    }

    /// The depth of a rectangle of the scene: `left, top` and `width, height` in pixels.
    #[must_use]
    pub fn crop(&self, (left, top): (usize, usize), (width, height): (usize, usize)) -> Self {
        let cut = |plane: &Plane| {
            Plane::from_rows(width, height, |y, row| {
                row.copy_from_slice(&plane.row(top + y)[left..left + width]);
            })
        };
        self.with_planes(cut)
    }

    /// The depth of the scene mirrored left to right.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        self.with_planes(|plane| {
            Plane::from_rows(plane.width, plane.height, |y, row| {
                row.copy_from_slice(plane.row(y));
                row.reverse();
            })
        })
    }

    fn with_planes(&self, change: impl Fn(&Plane) -> Plane) -> Self {
        Self {
            metres: change(&self.metres),
            sky: change(&self.sky),
            source: self.source.clone(),
            notes: self.notes.clone(),
        }
    }
}
