//! The menu: all commands under their headings, those of the panes among them.

use super::{Command, Group};
use crate::panes;

/// The commands that bring a pane to the front, one for each.
const SHOW_PANES: [Command; panes::ALL.len()] = {
    let mut commands = [Command::Mix; panes::ALL.len()];
    let mut index = 0;
    while index < commands.len() {
        commands[index] = Command::Show(panes::ALL[index]);
        index += 1;
    }
    commands
};

impl Command {
    /// All of them, by menu heading.
    pub const GROUPS: [Group; 9] = [
        Group {
            title: "File",
            commands: &[
                Self::OpenPhoto,
                Self::OpenPath,
                Self::OpenDemo,
                Self::Paste,
                Self::SaveImage,
                Self::SaveSteps,
                Self::SaveLayers,
                Self::SaveFigure,
                Self::CopyImage,
                Self::QueueMix,
                Self::QueueOffered,
                Self::OpenPlan,
                Self::Quit,
            ],
        },
        Group {
            title: "Edit",
            commands: &[
                Self::Undo,
                Self::Redo,
                Self::ShowPalette,
                Self::ShowShortcuts,
                Self::ShowPreferences,
                Self::ForgetRecent,
                Self::ResetPreferences,
            ],
        },
        Group {
            title: "Mix",
            commands: &[
                Self::Mix,
                Self::Stop,
                Self::NewSeed,
                Self::ToggleSeedLock,
                Self::FillSeedStrip,
                Self::ClearMix,
                Self::ClearCurves,
                Self::ReleaseHeads,
            ],
        },
        Group {
            title: "Model",
            commands: &[
                Self::ChooseModelFolder,
                Self::ChooseModelFile,
                Self::LoadModel,
                Self::LoadBundledModel,
            ],
        },
        Group {
            title: "Lanes",
            commands: &[
                Self::CompareLanes,
                Self::SingleLane,
                Self::AddLane,
                Self::AddPhysicalLane,
                Self::RemoveLane,
                Self::NextLane,
                Self::NextCompare,
            ],
        },
        Group {
            title: "Steps",
            commands: &[
                Self::BranchHere,
                Self::PreviousStep,
                Self::NextStep,
                Self::FirstStep,
                Self::LatestStep,
                Self::PlaySteps,
                Self::ToggleView,
            ],
        },
        Group {
            title: "Weather",
            commands: &[
                Self::ToggleDepth,
                Self::OpenDepth,
                Self::RemoveDepth,
                Self::OpenDepthNetwork,
                Self::RemoveDepthNetwork,
                Self::ToggleLayers,
                Self::NextLayer,
                Self::ClearRegions,
            ],
        },
        Group {
            title: "View",
            commands: &[
                Self::ZoomIn,
                Self::ZoomOut,
                Self::ZoomFit,
                Self::ZoomOriginal,
                Self::ToggleLook,
                Self::ResetLayout,
            ],
        },
        Group {
            title: "Panes",
            commands: &SHOW_PANES,
        },
    ];

    /// All of them, in menu order.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::GROUPS
            .into_iter()
            .flat_map(|group| group.commands.iter().copied())
    }

    /// The heading it stands under.
    pub fn group(self) -> &'static str {
        Self::GROUPS
            .iter()
            .find(|group| group.commands.contains(&self))
            .map_or("", |group| group.title)
    }
}
