//! What files are chosen for, and what was chosen.

use std::path::{Path, PathBuf};

use mdsd3_words::model::ModelPath;

use crate::commands::Command;

/// What a file is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A photo to open.
    OpenPhoto,
    /// A file to save the result in.
    SaveImage,
    /// A file for what the Spectrum shows.
    SaveFigure,
    /// A folder for the images of all steps.
    SaveSteps,
    /// A depth map of the photo.
    Depth,
    /// A network that computes depth.
    DepthNetwork,
    /// A mask of where a class acts: which of all known classes, by its place.
    Mask(usize),
    /// A folder for all layers of the physical lane.
    SaveLayers,
    /// A checkpoint's folder.
    ModelFolder,
    /// A checkpoint's file.
    ModelFile,
    /// Another part of a model: what the Model pane calls it.
    ModelPart(ModelPath),
    /// A plan of a dataset.
    OpenPlan,
    /// A recipe of a training.
    Recipe,
    /// A folder for datasets.
    QueueFolder,
}

impl Purpose {
    /// What a command asks for a file for, if it does.
    pub(crate) fn of(command: Command) -> Option<Self> {
        Some(match command {
            Command::OpenPhoto => Self::OpenPhoto,
            Command::SaveImage => Self::SaveImage,
            Command::SaveSteps => Self::SaveSteps,
            Command::SaveFigure => Self::SaveFigure,
            Command::OpenDepth => Self::Depth,
            Command::OpenDepthNetwork => Self::DepthNetwork,
            Command::SaveLayers => Self::SaveLayers,
            Command::OpenPlan => Self::OpenPlan,
            Command::ChooseModelFolder => Self::ModelFolder,
            Command::ChooseModelFile => Self::ModelFile,
            _ => return None,
        })
    }

    /// Title of the dialog, and what its button says.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::OpenPhoto => ("Open photo", "Open"),
            Self::SaveImage => ("Save image", "Save"),
            Self::SaveFigure => ("Save figure", "Save"),
            Self::SaveSteps => ("Save all steps in a folder", "Save"),
            Self::Depth => ("Choose a depth map of the photo", "Choose"),
            Self::DepthNetwork => ("Choose a depth network", "Choose"),
            Self::Mask(_) => ("Choose a mask, white where the class acts", "Choose"),
            Self::SaveLayers => ("Save all layers in a folder", "Save"),
            Self::ModelFolder => ("Choose a model folder", "Choose"),
            Self::ModelFile => ("Choose a model file", "Choose"),
            Self::ModelPart(_) => ("Choose a file of the model", "Choose"),
            Self::OpenPlan => ("Add a plan to the queue", "Add"),
            Self::Recipe => ("Choose a training recipe", "Choose"),
            Self::QueueFolder => ("Choose a folder for datasets", "Choose"),
        }
    }

    /// What the field shows while it is empty.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::OpenPhoto => "~/photos/street.jpg",
            Self::SaveImage => "~/mixes/street.png",
            Self::SaveFigure => "~/figures/spectra.svg",
            Self::SaveSteps => "~/mixes/street-steps",
            Self::Depth => "~/photos/street.depth.png",
            Self::DepthNetwork => "~/models/depth_anything_v2_vits.safetensors",
            Self::Mask(_) => "~/photos/street-rain.png",
            Self::SaveLayers => "~/mixes/street-layers",
            Self::ModelFolder => "~/models/stable-diffusion-3-medium",
            Self::ModelFile | Self::ModelPart(_) => "~/models/sd3_medium.safetensors",
            Self::OpenPlan => "~/datasets/rain.toml",
            Self::Recipe => "~/recipes/adapter.toml",
            Self::QueueFolder => "~/datasets",
        }
    }

    /// Why a path can't be meant, if it can't.
    pub(super) fn leads_nowhere(self, path: &Path) -> Option<String> {
        let shown = path.display();
        match self {
            Self::SaveImage | Self::SaveFigure => {
                let folder = path.parent().filter(|folder| !folder.is_dir())?;
                Some(format!(
                    "There is no folder {}. Check the path, or make it first.",
                    folder.display()
                ))
            }
            // Made when they are missing.
            Self::SaveSteps | Self::SaveLayers | Self::QueueFolder => None,
            _ if path.exists() => None,
            Self::ModelFolder => Some(format!("There is no folder {shown}. Check the path.")),
            _ => Some(format!("There is no file {shown}. Check the path.")),
        }
    }

    /// What the field for a path begins with; `suggestion` is the name of an image to save.
    pub(super) fn suggested_path(self, suggestion: &str) -> &str {
        match self {
            Self::SaveImage => suggestion,
            Self::SaveFigure => "spectra.svg",
            Self::SaveSteps => suggestion.trim_end_matches(".png"),
            _ => "",
        }
    }

    pub(super) fn choice(self, path: PathBuf) -> Choice {
        match self {
            Self::OpenPhoto => Choice::Open(Some(path)),
            Self::SaveImage => Choice::Save(path),
            Self::SaveFigure => Choice::SaveFigure(path),
            Self::SaveSteps => Choice::SaveSteps(path),
            Self::Depth => Choice::Depth(path),
            Self::DepthNetwork => Choice::DepthNetwork(path),
            Self::Mask(class) => Choice::Mask(class, path),
            Self::SaveLayers => Choice::SaveLayers(path),
            Self::ModelFolder | Self::ModelFile => Choice::Model(ModelPath::Model, path),
            Self::ModelPart(field) => Choice::Model(field, path),
            Self::OpenPlan => Choice::Plan(path),
            Self::Recipe => Choice::Recipe(path),
            Self::QueueFolder => Choice::QueueFolder(path),
        }
    }
}

/// A choice that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Open this photo; the demo photo when `None`.
    Open(Option<PathBuf>),
    /// Save the result here.
    Save(PathBuf),
    /// Save what the Spectrum shows here.
    SaveFigure(PathBuf),
    /// Save all steps into this folder.
    SaveSteps(PathBuf),
    /// Take this as the photo's depth map.
    Depth(PathBuf),
    /// Let this network compute the depth.
    DepthNetwork(PathBuf),
    /// Take this as the mask of a class.
    Mask(usize, PathBuf),
    /// Save all layers into this folder.
    SaveLayers(PathBuf),
    /// Write this into a field of the Model pane.
    Model(ModelPath, PathBuf),
    /// Make the dataset of this plan.
    Plan(PathBuf),
    /// Write this into the Training pane's field.
    Recipe(PathBuf),
    /// Write this into the Queue pane's field.
    QueueFolder(PathBuf),
}
