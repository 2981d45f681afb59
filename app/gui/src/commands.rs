//! Every action of the studio, once: the menu, the shortcuts and the buttons all read this list.

use egui::{Key, KeyboardShortcut, Modifiers};

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
    /// Save the finished image.
    SaveImage,
    /// Draw another seed.
    NewSeed,
    /// Turn every class off.
    ClearMix,
    /// Show the step before.
    PreviousStep,
    /// Show the next step.
    NextStep,
    /// Show the first step.
    FirstStep,
    /// Show the newest step and follow it.
    LatestStep,
    /// Switch between the clean-data prediction and the noisy latents.
    ToggleView,
    /// Magnify the images.
    ZoomIn,
    /// Make the images smaller.
    ZoomOut,
    /// Show the images as large as fits.
    ZoomFit,
    /// Show one image pixel per screen pixel.
    ZoomOriginal,
    /// Bring the log to the front.
    ShowLog,
    /// Switch between the dark and the light look.
    ToggleLook,
    /// Put the panes back where they were on the first start.
    ResetLayout,
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

const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

const fn key(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::NONE, key)
}

const fn ctrl(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(Modifiers::COMMAND, key)
}

const fn ctrl_shift(key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(CTRL_SHIFT, key)
}

impl Command {
    /// All of them, by menu heading.
    pub const GROUPS: [Group; 4] = [
        Group {
            title: "File",
            commands: &[
                Self::OpenPhoto,
                Self::OpenPath,
                Self::OpenDemo,
                Self::SaveImage,
                Self::Quit,
            ],
        },
        Group {
            title: "Mix",
            commands: &[Self::Mix, Self::Stop, Self::NewSeed, Self::ClearMix],
        },
        Group {
            title: "Steps",
            commands: &[
                Self::PreviousStep,
                Self::NextStep,
                Self::FirstStep,
                Self::LatestStep,
                Self::ToggleView,
            ],
        },
        Group {
            title: "View",
            commands: &[
                Self::ZoomIn,
                Self::ZoomOut,
                Self::ZoomFit,
                Self::ZoomOriginal,
                Self::ShowLog,
                Self::ToggleLook,
                Self::ResetLayout,
            ],
        },
    ];

    /// All of them, in menu order.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::GROUPS
            .into_iter()
            .flat_map(|group| group.commands.iter().copied())
    }

    /// What the menu and the buttons call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Mix => "Mix",
            Self::Stop => "Stop",
            Self::OpenPhoto => "Open photo…",
            Self::OpenPath => "Open by path…",
            Self::OpenDemo => "Open the demo photo",
            Self::SaveImage => "Save image…",
            Self::NewSeed => "New seed",
            Self::ClearMix => "Turn all classes off",
            Self::PreviousStep => "Previous step",
            Self::NextStep => "Next step",
            Self::FirstStep => "First step",
            Self::LatestStep => "Newest step",
            Self::ToggleView => "Switch x̂0 and x_t",
            Self::ZoomIn => "Magnify images",
            Self::ZoomOut => "Shrink images",
            Self::ZoomFit => "Fit images",
            Self::ZoomOriginal => "Images at 100 %",
            Self::ShowLog => "Show the log",
            Self::ToggleLook => "Dark or light",
            Self::ResetLayout => "Reset the layout",
            Self::Quit => "Quit",
        }
    }

    /// Its shortcuts; the first is the one that the menu shows.
    pub fn shortcuts(self) -> &'static [KeyboardShortcut] {
        match self {
            Self::Mix => const { &[ctrl(Key::Enter), key(Key::Space)] },
            Self::Stop => const { &[key(Key::Escape)] },
            Self::OpenPhoto => const { &[ctrl(Key::O)] },
            Self::OpenPath => const { &[ctrl_shift(Key::O)] },
            Self::OpenDemo => const { &[ctrl_shift(Key::D)] },
            Self::SaveImage => const { &[ctrl(Key::S)] },
            Self::NewSeed => const { &[ctrl(Key::D)] },
            Self::ClearMix => const { &[ctrl(Key::Backspace)] },
            Self::PreviousStep => const { &[key(Key::ArrowLeft)] },
            Self::NextStep => const { &[key(Key::ArrowRight)] },
            Self::FirstStep => const { &[key(Key::Home)] },
            Self::LatestStep => const { &[key(Key::End)] },
            Self::ToggleView => const { &[key(Key::X)] },
            Self::ZoomIn => const { &[key(Key::Plus), key(Key::Equals)] },
            Self::ZoomOut => const { &[key(Key::Minus)] },
            Self::ZoomFit => const { &[key(Key::F)] },
            Self::ZoomOriginal => const { &[key(Key::Num1)] },
            Self::ShowLog => const { &[ctrl(Key::L)] },
            Self::ToggleLook => const { &[ctrl_shift(Key::L)] },
            Self::ResetLayout => const { &[ctrl_shift(Key::R)] },
            Self::Quit => const { &[ctrl(Key::Q)] },
        }
    }

    /// The command that this frame's key presses ask for, if any; the key press is used up.
    ///
    /// Shortcuts without a modifier stand back while a control has the keyboard, which needs Space, arrows and letters
    /// itself. Escape does not: Stop must always work.
    pub fn pressed(ctx: &egui::Context) -> Option<Self> {
        let control_has_keyboard = ctx.memory(|memory| memory.focused().is_some());
        let mut candidates: Vec<(KeyboardShortcut, Self)> = Self::all()
            .flat_map(|command| command.shortcuts().iter().map(move |shortcut| (*shortcut, command)))
            .collect();
        // egui ignores an extra Shift when it matches, so the shortcut with more modifiers is tried first.
        candidates.sort_by_key(|(shortcut, _)| std::cmp::Reverse(modifier_count(shortcut.modifiers)));
        candidates.into_iter().find_map(|(shortcut, command)| {
            let plain = shortcut.modifiers.is_none() && shortcut.logical_key != Key::Escape;
            let allowed = !(plain && control_has_keyboard);
            (allowed && ctx.input_mut(|input| input.consume_shortcut(&shortcut))).then_some(command)
        })
    }

    /// The shortcut as text, such as "Ctrl+O".
    pub fn shortcut_text(self, ctx: &egui::Context) -> String {
        self.shortcuts()
            .first()
            .map(|shortcut| ctx.format_shortcut(shortcut))
            .unwrap_or_default()
    }
}

fn modifier_count(modifiers: Modifiers) -> u8 {
    u8::from(modifiers.alt)
        + u8::from(modifiers.shift)
        + u8::from(modifiers.ctrl || modifiers.command || modifiers.mac_cmd)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn no_two_commands_share_a_shortcut_with_each_other_or_with_egui() {
        let taken_by_egui = [
            ctrl(Key::Plus),
            ctrl(Key::Equals),
            ctrl(Key::Minus),
            ctrl(Key::Num0),
            ctrl(Key::A),
            ctrl(Key::C),
            ctrl(Key::V),
            ctrl(Key::X),
            ctrl(Key::Z),
            key(Key::Tab),
        ];
        let mut owners: HashMap<(Modifiers, Key), String> = taken_by_egui
            .into_iter()
            .map(|s| ((s.modifiers, s.logical_key), "egui".to_owned()))
            .collect();
        for command in Command::all() {
            for shortcut in command.shortcuts() {
                let earlier = owners.insert((shortcut.modifiers, shortcut.logical_key), format!("{command:?}"));
                assert_eq!(earlier, None, "{command:?} clashes at {shortcut:?}");
            }
        }
    }

    #[test]
    fn every_command_is_in_the_menu_once_and_has_words() {
        let all: Vec<Command> = Command::all().collect();
        let distinct: std::collections::HashSet<Command> = all.iter().copied().collect();
        assert_eq!(all.len(), distinct.len());
        assert!(all.iter().all(|command| !command.label().is_empty()));
    }
}
