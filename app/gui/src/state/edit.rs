//! Undo and redo, as the studio does them, and which commands can do anything now.

use mdsd3_words::RenderRequest;
use mdsd3_words::lane::LaneKind;

use super::history::Undoable;
use super::model::ModelDraft;
use super::{Document, LanePreset, LaneSetup, State};
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
            self.messages.record(Level::Info, format!("Undone: {label}"));
            self.restore(before);
        }
    }

    /// Makes the change again that was taken back.
    pub fn redo(&mut self) {
        let current = self.undoable();
        if let Some((label, after)) = self.history.redo(&current) {
            self.messages.record(Level::Info, format!("Made again: {label}"));
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

    /// Sets everything at once, in a single lane, as one change that can be taken back.
    pub(super) fn replace_settings(&mut self, settings: RenderRequest, kind: LaneKind) {
        let before = self.undoable();
        self.history.complete(&before);
        let lanes = before.lanes.first().map(|lane| LaneSetup {
            kind,
            ..LaneSetup::new(lane.id)
        });
        self.restore(Undoable {
            settings,
            lanes: lanes.into_iter().collect(),
            ..before
        });
        let after = self.undoable();
        self.history.complete(&after);
    }

    /// Puts the settings of a first start back; photo and model stay.
    pub fn reset_settings(&mut self) {
        let mut settings = RenderRequest {
            model: self.settings.model.clone(),
            ..RenderRequest::default()
        };
        settings.scene.path.clone_from(&self.settings.scene.path);
        self.seed_locked = true;
        self.replace_settings(settings, LaneKind::Sampled);
    }

    fn restore(&mut self, to: Undoable) {
        let before = self.settings.clone();
        self.set_document(Document {
            shared: to.settings,
            lanes: to.lanes,
            selected: self.selected_lane(),
        });
        self.seed_locked = to.seed_locked;
        if self.settings.scene.path != before.scene.path || self.settings.scene.size != before.scene.size {
            self.open_scene(self.settings.scene.path.clone());
        }
        let key = self.settings.model.clone();
        if key != before.model {
            self.desk.draft = ModelDraft::of(&key);
            self.load_model(key);
        }
        self.rerun_when_rested();
    }

    /// Does what a command asks of the state; what the window does is left to it.
    pub fn carry_out(&mut self, command: Command) {
        match command {
            Command::Mix => self.mix(),
            Command::Stop => self.stop(),
            Command::OpenDemo => self.open_scene(None),
            Command::Undo => self.undo(),
            Command::Redo => self.redo(),
            Command::NewSeed => self.new_seed(),
            Command::ToggleSeedLock => self.seed_locked = !self.seed_locked,
            Command::ReleaseHeads => self.release_heads(),
            Command::ClearCurves => self.clear_curves(),
            Command::FillSeedStrip => self.fill_seed_strip(),
            Command::ClearMix => self.clear_mix(),
            Command::SingleLane => self.apply_preset(LanePreset::Single),
            Command::CompareLanes => self.apply_preset(LanePreset::Compare),
            Command::AddLane => self.add_lane(),
            Command::AddPhysicalLane => self.add_physical_lane(),
            Command::RemoveDepth => self.set_depth(None),
            Command::RemoveDepthNetwork => self.edit(|settings| settings.weather.depth_model = None),
            Command::ClearRegions => self.edit(|settings| settings.weather.regions.clear()),
            Command::RemoveLane => self.remove_lane(self.selected_lane()),
            Command::NextLane => self.select_lane((self.selected_lane() + 1) % self.lanes().len()),
            Command::BranchHere => self.branch(),
            Command::PreviousStep => self.step_by(-1),
            Command::NextStep => self.step_by(1),
            Command::FirstStep => self.show_step(0),
            Command::LatestStep => self.show_step(usize::MAX),
            Command::PlaySteps => self.toggle_play(),
            Command::ToggleView => self.shown.view = self.shown.view.other(),
            Command::QueueMix => self.queue_mix(),
            Command::QueueOffered => self.queue_offered(),
            Command::ForgetRecent => self.recent.clear(),
            Command::LoadModel => self.load_draft(),
            Command::LoadBundledModel => self.load_bundled_model(),
            // The window's, listed so that a new command isn't forgotten.
            Command::OpenPhoto
            | Command::OpenPath
            | Command::Paste
            | Command::SaveImage
            | Command::SaveSteps
            | Command::SaveLayers
            | Command::SaveFigure
            | Command::CopyImage
            | Command::ToggleDepth
            | Command::ToggleLayers
            | Command::NextLayer
            | Command::OpenDepth
            | Command::OpenDepthNetwork
            | Command::NextCompare
            | Command::ZoomIn
            | Command::ZoomOut
            | Command::ZoomFit
            | Command::ZoomOriginal
            | Command::Show(_)
            | Command::OpenPlan
            | Command::ToggleLook
            | Command::ShowPalette
            | Command::ShowShortcuts
            | Command::ShowPreferences
            | Command::ResetLayout
            | Command::ResetPreferences
            | Command::ChooseModelFolder
            | Command::ChooseModelFile
            | Command::Quit => {}
        }
    }

    /// Whether a command can do anything now.
    pub fn can(&self, command: Command) -> bool {
        let has_images = || self.lead().is_some_and(Lane::has_frames);
        match command {
            Command::Mix => self.mix_blocker().is_none(),
            Command::Stop => self.is_busy() || self.is_loading_model() || self.writing.is_some(),
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
            Command::BranchHere => self.branch_blocker().is_none(),
            Command::RemoveLane | Command::NextLane => self.lanes().len() > 1,
            Command::SaveSteps => has_images() && self.writing.is_none(),
            Command::ToggleDepth | Command::OpenDepth => self.scene.is_some(),
            Command::RemoveDepth => self.settings.weather.depth.is_some(),
            Command::RemoveDepthNetwork => self.settings.weather.depth_model.is_some(),
            Command::ClearRegions => !self.settings.weather.regions.is_empty(),
            Command::ToggleLayers | Command::NextLayer | Command::SaveLayers => self.layered_result().is_some(),
            Command::QueueOffered => !self.queue.offered.is_empty(),
            Command::ForgetRecent => !self.recent.is_empty(),
            Command::ReleaseHeads => !self.settings.sampling.head_ratios.is_empty(),
            Command::ClearCurves => !self.settings.sampling.curves.is_empty(),
            Command::FillSeedStrip => self.mix_blocker().is_none() && !self.is_busy(),
            Command::LoadModel => !self.draft_is_loaded() && !self.is_loading_model(),
            Command::LoadBundledModel => !self.is_loading_model(),
            Command::ClearMix => !self.settings.sampling.mix.is_clean(),
            _ => true,
        }
    }
}
