//! Undo and redo, as the studio does them, and which commands can do anything now.

use mdsd3_engine::protocol::Request;

use super::history::Undoable;
use super::{Document, Effect, Outstanding, State};
use crate::commands::Command;
use crate::lane::Lane;
use crate::notice::Level;

impl State {
    /// To be called once per frame: makes an undo entry of settings that have come to rest. `held` says that a button is
    /// down or text is being edited.
    pub fn observe_history(&mut self, held: bool) {
        let current = self.undoable();
        self.history.observe(self.now_secs, &current, held);
    }

    /// Takes the last change of a setting back.
    pub fn undo(&mut self) {
        let current = self.undoable();
        if let Some((label, before)) = self.history.undo(&current) {
            self.log.push(self.now_secs, Level::Info, format!("Undone: {label}"));
            self.restore(before);
        }
    }

    /// Makes the change again that was taken back.
    pub fn redo(&mut self) {
        let current = self.undoable();
        if let Some((label, after)) = self.history.redo(&current) {
            self.log
                .push(self.now_secs, Level::Info, format!("Made again: {label}"));
            self.restore(after);
        }
    }

    /// What undo looks after.
    pub fn undoable(&self) -> Undoable {
        let Document { shared, lanes, .. } = self.document();
        Undoable {
            settings: shared,
            lanes,
            seed_locked: self.seed_locked,
        }
    }

    /// Takes the settings as they are for granted: the engine changed them, not the user.
    pub(super) fn accept_settings(&mut self) {
        let current = self.undoable();
        self.history.accept(&current);
    }

    fn restore(&mut self, to: Undoable) {
        let before = self.settings.clone();
        self.set_document(Document {
            shared: to.settings,
            lanes: to.lanes,
            selected: self.selected_lane(),
        });
        self.seed_locked = to.seed_locked;
        if self.settings.scene != before.scene || self.settings.size != before.size {
            self.open_scene(self.settings.scene.clone());
        }
        if self.settings.model != before.model {
            self.outstanding.push_back(Outstanding::Model);
            let path = self.settings.model.clone();
            self.effects.push(Effect::Send(Request::LoadModel { path }));
        }
        self.settings_changed();
    }

    /// Whether a command can do anything now.
    pub fn can(&self, command: Command) -> bool {
        let has_images = || self.lead().is_some_and(Lane::has_frames);
        match command {
            Command::Mix => self.mix_blocker().is_none(),
            Command::Stop => self.is_busy(),
            Command::SaveImage => self.finished_run().is_some(),
            Command::CopyImage => self.shown_frame().is_some() || self.scene.is_some(),
            Command::Undo => self.history.can_undo(&self.undoable()),
            Command::Redo => self.history.can_redo(),
            Command::PreviousStep
            | Command::NextStep
            | Command::FirstStep
            | Command::LatestStep
            | Command::PlaySteps
            | Command::ToggleView => has_images(),
            Command::BranchHere => {
                let lead = self.lead().zip(self.shown_step());
                lead.is_some_and(|(lane, step)| step < lane.steps())
            }
            Command::RemoveLane | Command::NextLane => self.lanes().len() > 1,
            Command::ClearMix => !self.settings.mix.is_clean(),
            _ => true,
        }
    }
}
