//! Which keys ask for which command.

use egui::text_selection::LabelSelectionState;
use egui::{Event, Key, KeyboardShortcut, Modifiers};

use super::Command;
use crate::widgets::has_arrows_control;

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
    /// Its shortcuts; the first is the one that the menu shows.
    pub fn shortcuts(self) -> &'static [KeyboardShortcut] {
        match self {
            Self::Mix => const { &[ctrl(Key::Enter), key(Key::Space)] },
            Self::Stop => const { &[key(Key::Escape)] },
            Self::OpenPhoto => const { &[ctrl(Key::O)] },
            Self::OpenPath => const { &[ctrl_shift(Key::O)] },
            Self::OpenDemo => const { &[ctrl_shift(Key::D)] },
            Self::Paste => const { &[ctrl(Key::V)] },
            Self::SaveImage => const { &[ctrl(Key::S)] },
            Self::SaveSteps => const { &[ctrl_shift(Key::S)] },
            Self::CopyImage => const { &[ctrl(Key::C)] },
            Self::Undo => const { &[ctrl(Key::Z)] },
            Self::Redo => const { &[ctrl_shift(Key::Z), ctrl(Key::Y)] },
            Self::NewSeed => const { &[ctrl(Key::D)] },
            Self::ToggleSeedLock => const { &[ctrl(Key::K)] },
            Self::ClearMix => const { &[ctrl(Key::Backspace)] },
            Self::SingleLane => const { &[ctrl(Key::Num1)] },
            Self::CompareLanes => const { &[ctrl(Key::Num4)] },
            Self::AddLane => const { &[ctrl(Key::T)] },
            Self::RemoveLane => const { &[ctrl(Key::W)] },
            Self::NextLane => const { &[key(Key::L)] },
            Self::BranchHere => const { &[key(Key::B)] },
            Self::FillSeedStrip => const { &[ctrl_shift(Key::Enter)] },
            Self::PreviousStep => const { &[key(Key::ArrowLeft)] },
            Self::NextStep => const { &[key(Key::ArrowRight)] },
            Self::FirstStep => const { &[key(Key::Home)] },
            Self::LatestStep => const { &[key(Key::End)] },
            Self::PlaySteps => const { &[key(Key::P)] },
            Self::NextCompare => const { &[key(Key::C)] },
            Self::ToggleView => const { &[key(Key::X)] },
            Self::ToggleDepth => const { &[key(Key::D)] },
            Self::ToggleLayers => const { &[key(Key::Y)] },
            Self::NextLayer => const { &[key(Key::N)] },
            Self::ZoomIn => const { &[key(Key::Plus), key(Key::Equals)] },
            Self::ZoomOut => const { &[key(Key::Minus)] },
            Self::ZoomFit => const { &[key(Key::F)] },
            Self::ZoomOriginal => const { &[key(Key::Num1)] },
            Self::QueueMix => const { &[ctrl(Key::E)] },
            Self::OpenPlan => const { &[ctrl_shift(Key::E)] },
            Self::Show(pane) => pane.shortcuts,
            Self::ToggleLook => const { &[ctrl_shift(Key::L)] },
            Self::ShowPalette => const { &[ctrl_shift(Key::P)] },
            Self::ShowShortcuts => const { &[key(Key::F1), key(Key::Questionmark)] },
            Self::ShowPreferences => const { &[ctrl(Key::Comma)] },
            Self::ResetLayout => const { &[ctrl_shift(Key::R)] },
            Self::Quit => const { &[ctrl(Key::Q)] },
            Self::AddPhysicalLane
            | Self::OpenDepth
            | Self::RemoveDepth
            | Self::OpenDepthNetwork
            | Self::RemoveDepthNetwork
            | Self::ClearRegions
            | Self::SaveLayers
            | Self::ReleaseHeads
            | Self::ClearCurves
            | Self::SaveFigure
            | Self::QueueOffered
            | Self::ForgetRecent
            | Self::ResetPreferences
            | Self::ChooseModelFolder
            | Self::ChooseModelFile
            | Self::LoadModel
            | Self::LoadBundledModel => &[],
        }
    }

    /// The command that this frame's key presses ask for, if any; the key press is used up.
    ///
    /// Shortcuts without a modifier stand back while a control has the keyboard, which needs Space, arrows and letters
    /// itself (a slider needs the arrows alone), and all stand back where text is edited if the text needs them too.
    /// `escape_closes` says that Escape closes a menu, a list or a field; only where there is none does it stop a run.
    pub fn pressed(ctx: &egui::Context, escape_closes: bool) -> Option<Self> {
        let control_has_keyboard = ctx.memory(|memory| memory.focused().is_some());
        let needs_arrows_alone = has_arrows_control(ctx);
        let text_is_edited = ctx.text_edit_focused();
        if let Some(command) = clipboard_command(ctx, text_is_edited) {
            return Some(command);
        }
        let mut candidates: Vec<(KeyboardShortcut, Self)> = Self::all()
            .flat_map(|command| command.shortcuts().iter().map(move |shortcut| (*shortcut, command)))
            .collect();
        // egui ignores an extra Shift when it matches, so the shortcut with more modifiers is tried first.
        candidates.sort_by_key(|(shortcut, _)| std::cmp::Reverse(modifier_count(shortcut.modifiers)));
        candidates.into_iter().find_map(|(shortcut, command)| {
            let plain = shortcut.modifiers.is_none();
            let wanted_elsewhere = match shortcut.logical_key {
                Key::Escape => escape_closes,
                Key::F1 => false,
                Key::ArrowLeft | Key::ArrowRight if plain => control_has_keyboard,
                _ => plain && control_has_keyboard && !needs_arrows_alone,
            } || (text_is_edited && edits_text(shortcut));
            (!wanted_elsewhere && ctx.input_mut(|input| input.consume_shortcut(&shortcut))).then_some(command)
        })
    }
}

/// Copying arrives as an event of its own, not as a key press. (Pasted things arrive with their contents, which the app
/// takes care of.)
fn clipboard_command(ctx: &egui::Context, text_is_edited: bool) -> Option<Command> {
    let text_is_selected = ctx.plugin::<LabelSelectionState>().lock().has_selection();
    let copied = ctx.input(|input| input.events.contains(&Event::Copy));
    (copied && !text_is_edited && !text_is_selected).then_some(Command::CopyImage)
}

/// Whether a text field does something with these keys itself.
fn edits_text(shortcut: KeyboardShortcut) -> bool {
    let keys = [
        Key::Z,
        Key::Y,
        Key::C,
        Key::V,
        Key::X,
        Key::A,
        Key::Backspace,
        Key::Delete,
        Key::ArrowLeft,
        Key::ArrowRight,
    ];
    shortcut.modifiers.command && keys.contains(&shortcut.logical_key)
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
            ctrl(Key::X),
            key(Key::Tab),
            key(Key::Enter),
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
    fn keys_that_edit_text_are_left_to_it() {
        assert!(edits_text(ctrl(Key::Z)) && edits_text(ctrl_shift(Key::Z)) && edits_text(ctrl(Key::Backspace)));
        assert!(!edits_text(ctrl(Key::S)) && !edits_text(key(Key::Z)));
    }
}
