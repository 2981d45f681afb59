//! Every action of the studio, once: the menu, the palette, the shortcut sheet and the buttons all read this list.

mod menu;
mod shortcuts;

use crate::icons::Icon;
use crate::pane_id::PaneId;

/// One thing a user can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Run the mix with the settings shown.
    Mix,
    /// Stop the run that is going on.
    Stop,
    /// Choose a photo in the desktop's file dialog.
    OpenPhoto,
    /// Type or paste a photo's path.
    OpenPath,
    /// Go back to the bundled demo photo.
    OpenDemo,
    /// Open what the clipboard holds: an image, or the path of one.
    Paste,
    /// Save the finished image.
    SaveImage,
    /// Save the images of all steps.
    SaveSteps,
    /// Save all layers of the physical lane into a folder.
    SaveLayers,
    /// Save what the Spectrum shows as a figure or a table.
    SaveFigure,
    /// Put the shown image on the clipboard.
    CopyImage,
    /// Take the last change of a setting back.
    Undo,
    /// Make the change again that was taken back.
    Redo,
    /// Draw another seed.
    NewSeed,
    /// Keep the seed, or draw another for every mix.
    ToggleSeedLock,
    /// Turn every class off.
    ClearMix,
    /// Go back to one lane with the whole mix.
    SingleLane,
    /// Set up a lane for each class, for all together, and for the physical baseline.
    CompareLanes,
    /// Add a lane with settings of its own.
    AddLane,
    /// Add a lane that is made by formulas.
    AddPhysicalLane,
    /// Take the selected lane away.
    RemoveLane,
    /// Select the next lane.
    NextLane,
    /// Rerun from the shown step with other settings, as a lane of its own.
    BranchHere,
    /// Let every head follow its class again.
    ReleaseHeads,
    /// Make every ratio constant over sigma.
    ClearCurves,
    /// Render the seeds of the strip that have no image yet.
    FillSeedStrip,
    /// Show the step before.
    PreviousStep,
    /// Show the next step.
    NextStep,
    /// Show the first step.
    FirstStep,
    /// Show the newest step and follow it.
    LatestStep,
    /// Play the steps one after the other, or stop playing.
    PlaySteps,
    /// Go through the ways of comparing lanes.
    NextCompare,
    /// Switch between the clean-data prediction and the noisy latents.
    ToggleView,
    /// Show the scene's depth in place of the photo, or the photo again.
    ToggleDepth,
    /// Show a layer in place of the physical lane's image, or the image again.
    ToggleLayers,
    /// Show the next layer of the physical lane.
    NextLayer,
    /// Choose a depth map for the photo.
    OpenDepth,
    /// Do without the depth map.
    RemoveDepth,
    /// Choose a network that computes depth.
    OpenDepthNetwork,
    /// Do without that network.
    RemoveDepthNetwork,
    /// Let every class act everywhere.
    ClearRegions,
    /// Magnify the images.
    ZoomIn,
    /// Make the images smaller.
    ZoomOut,
    /// Show the images as large as fits.
    ZoomFit,
    /// Show one image pixel per screen pixel.
    ZoomOriginal,
    /// Bring a pane to the front.
    Show(PaneId),
    /// Put the mix into the queue of datasets.
    QueueMix,
    /// Put the mix of the photos that came together last into the queue.
    QueueOffered,
    /// Choose a plan file for the queue.
    OpenPlan,
    /// Switch between the dark and the light look.
    ToggleLook,
    /// Find a command by typing.
    ShowPalette,
    /// List all shortcuts.
    ShowShortcuts,
    /// Change what the studio remembers.
    ShowPreferences,
    /// Put the panes back where they were on the first start.
    ResetLayout,
    /// Forget the photos opened lately.
    ForgetRecent,
    /// Put everything that is remembered back, presets excepted.
    ResetPreferences,
    /// Choose a checkpoint folder in the desktop's file dialog.
    ChooseModelFolder,
    /// Choose a checkpoint file in the desktop's file dialog.
    ChooseModelFile,
    /// Load the model that the Model pane describes.
    LoadModel,
    /// Go back to the bundled model.
    LoadBundledModel,
    /// Close the studio.
    Quit,
}

/// A heading of the menu, with its commands.
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// Its commands, in the order shown.
    pub commands: &'static [Command],
}

impl Command {
    /// What the menu and the buttons call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Mix => "Mix",
            Self::Stop => "Stop",
            Self::OpenPhoto => "Open photo…",
            Self::OpenPath => "Open by path…",
            Self::OpenDemo => "Open the demo photo",
            Self::Paste => "Paste a photo or its path",
            Self::SaveImage => "Save image…",
            Self::SaveSteps => "Save all steps…",
            Self::SaveLayers => "Save all layers…",
            Self::SaveFigure => "Save the spectrum's figure…",
            Self::CopyImage => "Copy image",
            Self::Undo => "Undo",
            Self::Redo => "Redo",
            Self::NewSeed => "New seed",
            Self::ToggleSeedLock => "Lock or unlock the seed",
            Self::ClearMix => "Turn all classes off",
            Self::SingleLane => "One lane",
            Self::CompareLanes => "Each class, together, physical",
            Self::AddLane => "Add a lane",
            Self::AddPhysicalLane => "Add a physical lane",
            Self::RemoveLane => "Remove the selected lane",
            Self::NextLane => "Select the next lane",
            Self::BranchHere => "Branch from this step",
            Self::ReleaseHeads => "Let all heads follow their class",
            Self::ClearCurves => "Make all ratios constant",
            Self::FillSeedStrip => "Render the strip of seeds",
            Self::PreviousStep => "Previous step",
            Self::NextStep => "Next step",
            Self::FirstStep => "First step",
            Self::LatestStep => "Newest step",
            Self::PlaySteps => "Play the steps",
            Self::NextCompare => "Next way of comparing",
            Self::ToggleView => "Switch x̂0 and x_t",
            Self::ToggleDepth => "Depth or photo",
            Self::ToggleLayers => "Layers or image",
            Self::NextLayer => "Next layer",
            Self::OpenDepth => "Choose a depth map…",
            Self::RemoveDepth => "Remove the depth map",
            Self::OpenDepthNetwork => "Choose a depth network…",
            Self::RemoveDepthNetwork => "Remove the depth network",
            Self::ClearRegions => "Clear all regions",
            Self::ZoomIn => "Magnify images",
            Self::ZoomOut => "Shrink images",
            Self::ZoomFit => "Fit images",
            Self::ZoomOriginal => "Images at 100 %",
            Self::Show(pane) => pane.command,
            Self::QueueMix => "Add the mix to the queue",
            Self::QueueOffered => "Queue all dropped photos",
            Self::OpenPlan => "Add a plan to the queue…",
            Self::ToggleLook => "Dark or light",
            Self::ShowPalette => "Search commands…",
            Self::ShowShortcuts => "Shortcuts",
            Self::ShowPreferences => "Preferences…",
            Self::ResetLayout => "Reset the layout",
            Self::ForgetRecent => "Forget recent photos",
            Self::ResetPreferences => "Reset all preferences",
            Self::ChooseModelFolder => "Choose a model folder…",
            Self::ChooseModelFile => "Choose a model file…",
            Self::LoadModel => "Load the model",
            Self::LoadBundledModel => "Load the bundled model",
            Self::Quit => "Quit",
        }
    }

    /// What stands before its words in the menu and the palette, where its buttons or its pane have an icon.
    pub fn icon(self) -> Option<Icon> {
        Some(match self {
            Self::Mix | Self::PlaySteps => Icon::PLAY,
            Self::Stop => Icon::STOP,
            Self::OpenPhoto => Icon::FOLDER,
            Self::SaveImage => Icon::SAVE,
            Self::Undo => Icon::UNDO,
            Self::Redo => Icon::REDO,
            Self::NewSeed => Icon::DICE,
            Self::ToggleSeedLock => Icon::LOCKED,
            Self::AddLane | Self::AddPhysicalLane => Icon::ADD,
            Self::PreviousStep => Icon::PREVIOUS,
            Self::NextStep => Icon::NEXT,
            Self::ToggleLook => Icon::LOOK,
            Self::ShowPalette => Icon::SEARCH,
            Self::Show(pane) => pane.icon,
            _ => return None,
        })
    }

    /// The shortcut as text, such as "Ctrl+O"; empty when it has none.
    pub fn shortcut_text(self, ctx: &egui::Context) -> String {
        self.shortcuts()
            .first()
            .map(|shortcut| Self::key_text(ctx, shortcut))
            .unwrap_or_default()
    }

    /// All its shortcuts as text, such as "Ctrl+Enter or Space".
    pub fn all_shortcuts_text(self, ctx: &egui::Context) -> String {
        let texts: Vec<String> = self
            .shortcuts()
            .iter()
            .map(|shortcut| Self::key_text(ctx, shortcut))
            .collect();
        texts.join(" or ")
    }

    /// A shortcut as it is printed on the keys: "Ctrl+," rather than "Ctrl+Comma".
    pub fn key_text(ctx: &egui::Context, shortcut: &egui::KeyboardShortcut) -> String {
        let text = ctx.format_shortcut(shortcut);
        let name = shortcut.logical_key.name();
        let symbol = match shortcut.logical_key {
            egui::Key::ArrowLeft => "←",
            egui::Key::ArrowRight => "→",
            egui::Key::ArrowUp => "↑",
            egui::Key::ArrowDown => "↓",
            egui::Key::Escape => "Esc",
            key => key.symbol_or_name(),
        };
        text.strip_suffix(name)
            .map_or_else(|| text.clone(), |modifiers| format!("{modifiers}{symbol}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortcuts_read_as_the_keys_are_printed() {
        let ctx = egui::Context::default();
        ctx.set_os(egui::os::OperatingSystem::Nix);
        assert_eq!(Command::ShowPreferences.shortcut_text(&ctx), "Ctrl+,");
        assert_eq!(Command::NextStep.shortcut_text(&ctx), "→");
        assert_eq!(Command::ZoomIn.all_shortcuts_text(&ctx), "+ or =");
        assert_eq!(Command::Redo.all_shortcuts_text(&ctx), "Ctrl+Shift+Z or Ctrl+Y");
    }

    #[test]
    fn every_command_is_in_the_menu_once_and_has_words() {
        let all: Vec<Command> = Command::all().collect();
        let distinct: std::collections::HashSet<Command> = all.iter().copied().collect();
        assert_eq!(all.len(), distinct.len());
        let labels: std::collections::HashSet<&str> = all.iter().map(|command| command.label()).collect();
        assert_eq!(labels.len(), all.len(), "two commands have the same words");
        assert!(
            all.iter()
                .all(|command| !command.label().is_empty() && !command.group().is_empty())
        );
    }
}
