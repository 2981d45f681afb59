//! The queue of datasets, as the studio sees it, and what is asked of it.

use std::path::{Path, PathBuf};

use mdsd3_engine::data::{GridRequest, LayoutKind, scene_patterns};
use mdsd3_engine::queue::{QueueEntry, QueueId, QueueRequest, QueueState};
use mdsd3_words::made::EngineKind;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::{Effect, State};
use crate::notice::Level;
use crate::pane_id;

/// Factors on the ratios of a grid around a mix.
const GRID_FACTORS: [f32; 4] = [0.5, 0.75, 1.0, 1.25];

/// Seeds of one entry.
pub const MAX_SEEDS: u64 = 10_000;

/// The folder of datasets on the first start, in the user's home.
const DEFAULT_ROOT: &str = "~/mdsd3-datasets";

/// Which mixes a new entry has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Around {
    /// The Mixer's.
    #[default]
    Mix,
    /// Every ratio weaker and stronger, in all combinations.
    Grid,
}

/// Which photos a new entry has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Photos {
    /// The open one.
    #[default]
    This,
    /// All in its folder.
    Folder,
}

/// What the next entry will be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueForm {
    /// Which mixes.
    pub around: Around,
    /// Which photos.
    pub photos: Photos,
    /// What makes the degraded images.
    pub engine: EngineKind,
    /// Where files go.
    pub layout: LayoutKind,
    /// Seeds, from the Mixer's on.
    pub seeds: u64,
    /// Folder of plans and datasets, as typed.
    pub root: String,
}

impl Default for QueueForm {
    fn default() -> Self {
        Self {
            around: Around::default(),
            photos: Photos::default(),
            engine: EngineKind::default(),
            layout: LayoutKind::default(),
            seeds: 1,
            root: DEFAULT_ROOT.to_owned(),
        }
    }
}

/// An entry to go on with in the next session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// Its plan.
    pub plan: PathBuf,
    /// Its dataset.
    pub folder: PathBuf,
}

/// The queue's entries and its form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueueDesk {
    /// As the engine last told them.
    pub entries: Vec<QueueEntry>,
    /// What the next entry will be.
    pub form: QueueForm,
    /// Photos that came together last, to be queued at once.
    pub offered: Vec<PathBuf>,
}

impl QueueDesk {
    /// What a later session can go on with.
    pub fn unfinished(&self) -> Vec<Unfinished> {
        let is_open = |entry: &&QueueEntry| entry.state != QueueState::Finished;
        let found = self.entries.iter().filter(is_open);
        found
            .filter_map(|entry| {
                Some(Unfinished {
                    plan: entry.plan.clone()?,
                    folder: entry.folder.clone()?,
                })
            })
            .collect()
    }

    /// The entries as they are listed: at work, waiting in their order, to be looked after, then what is done; of the last
    /// two the newest first.
    pub fn listed(&self) -> Vec<QueueEntry> {
        let rank = |state: &QueueState| match state {
            state if state.is_active() => 0,
            QueueState::Waiting => 1,
            QueueState::Finished | QueueState::Cancelled => 3,
            _ => 2,
        };
        let mut entries = self.entries.clone();
        entries.sort_by_key(|entry| {
            let rank = rank(&entry.state);
            (rank, if rank < 2 { entry.id } else { u64::MAX - entry.id })
        });
        entries
    }

    /// Entries at work or waiting for it.
    pub fn open_entries(&self) -> usize {
        let is_open = |entry: &&QueueEntry| entry.state.is_active() || entry.state == QueueState::Waiting;
        self.entries.iter().filter(is_open).count()
    }
}

impl State {
    /// Puts the selected lane's mix, or a grid around it, into the queue: of the open photo, or of all in its folder.
    pub fn queue_mix(&mut self) {
        let whole_folder = self.queue.form.photos == Photos::Folder;
        let photo = self.request().scene.path;
        self.queue_mix_of(scene_patterns(photo.as_deref(), whole_folder));
    }

    /// What adding would make: "256 pairs of 256 × 256 px per photo, by the network".
    pub fn next_in_words(&self) -> String {
        let (form, run) = (&self.queue.form, self.request());
        let classes = run.sampling.mix.active().count() as u32;
        let mixes = match form.around {
            Around::Mix => 1,
            Around::Grid => (GRID_FACTORS.len() as u64).saturating_pow(classes),
        };
        let pairs = mixes.saturating_mul(form.seeds);
        let pairs = if pairs == 1 {
            "1 pair".to_owned()
        } else {
            format!("{pairs} pairs")
        };
        let side = run.scene.size;
        let per_photo = match form.photos {
            Photos::This => "",
            Photos::Folder => " per photo",
        };
        let engine = match form.engine {
            EngineKind::Mdsd3 => "the network",
            EngineKind::Physical => "formulas",
        };
        format!("{pairs} of {side} × {side} px{per_photo}, by {engine}")
    }

    /// Puts the same into the queue for the photos that came together last.
    pub fn queue_offered(&mut self) {
        let photos = std::mem::take(&mut self.queue.offered);
        let patterns = photos.iter().flat_map(|photo| scene_patterns(Some(photo), false));
        self.queue_mix_of(patterns.collect());
    }

    fn queue_mix_of(&mut self, scenes: Vec<String>) {
        let mut run = self.request();
        run.scene.path = None;
        if run.sampling.mix.is_clean() {
            let message = "No class is above 0, so there is nothing to export: raise one in the Mixer";
            self.messages.notify(Level::Warning, message, None);
            return;
        }
        run.branch = None;
        let form = &self.queue.form;
        let grid = GridRequest {
            scenes,
            engine: form.engine,
            layout: form.layout,
            factors: match form.around {
                Around::Mix => vec![1.0],
                Around::Grid => GRID_FACTORS.to_vec(),
            },
            seeds: form.seeds,
            run,
        };
        let root = super::typed_path(&form.root);
        self.ask_queue(QueueRequest::AddGrid {
            grid: Box::new(grid),
            root,
        });
        self.effects.push(Effect::Show(pane_id::QUEUE));
    }

    /// Puts a plan file into the queue, and shows it.
    pub fn queue_plan(&mut self, plan: PathBuf) {
        self.ask_queue(QueueRequest::AddPlan {
            plan,
            folder: None,
            is_paused: false,
        });
        self.effects.push(Effect::Show(pane_id::QUEUE));
    }

    /// Puts the unfinished entries of the last session back, paused.
    pub fn restore_queue(&mut self, unfinished: Vec<Unfinished>) {
        for Unfinished { plan, folder } in unfinished {
            self.ask_queue(QueueRequest::AddPlan {
                plan,
                folder: Some(folder),
                is_paused: true,
            });
        }
    }

    /// Asks the engine's queue for something.
    pub fn ask_queue(&mut self, request: QueueRequest) {
        self.effects.push(Effect::Queue(request));
    }

    /// Takes the engine's word on its queue, and tells of what ended.
    pub(super) fn apply_queue(&mut self, entries: Vec<QueueEntry>) {
        for entry in &entries {
            if self.state_before(entry.id) == Some(&entry.state) {
                continue;
            }
            let name = &entry.name;
            match &entry.state {
                QueueState::Finished => {
                    let pairs = if entry.done == 1 { "pair is" } else { "pairs are" };
                    let message = format!("{name}: {} {pairs} ready", entry.done);
                    self.messages.notify(Level::Success, message, None);
                }
                QueueState::Failed(reason) => self.messages.notify(Level::Error, format!("{name}: {reason}"), None),
                QueueState::NoRoom(reason) => {
                    let message = format!("{name} waits for room on the disk, then goes on: {reason}");
                    self.messages.notify(Level::Warning, message, None);
                }
                _ => {}
            }
        }
        self.queue.entries = entries;
    }

    fn state_before(&self, id: QueueId) -> Option<&QueueState> {
        let before = self.queue.entries.iter().find(|entry| entry.id == id);
        before.map(|entry| &entry.state)
    }
}

/// A `file:` address that the desktop opens a folder by.
pub fn folder_address(folder: &Path) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b':');
    format!("file://{}", utf8_percent_encode(&folder.to_string_lossy(), ESCAPED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(state: QueueState) -> QueueEntry {
        QueueEntry {
            id: 3,
            name: "rain".to_owned(),
            plan: Some("rain.toml".into()),
            folder: Some("rain-1a2b3c4d".into()),
            state,
            done: 4,
            total: 8,
            pairs_per_sec: Some(2.0),
            sampler_busy: None,
            failures: Vec::new(),
            thumbnails: Vec::new(),
        }
    }

    #[test]
    fn a_grid_is_asked_for_around_the_selected_mix() {
        let mut state = State::default();
        state.settings.sampling.mix = "rain=0.8".parse().expect("a mix");
        state.queue.form.around = Around::Grid;
        state.queue.form.root = "/data/sets".to_owned();
        state.queue_mix();
        let effects = state.take_effects();
        let [Effect::Queue(QueueRequest::AddGrid { grid, root }), Effect::Show(_)] = &effects[..] else {
            panic!("{effects:?}");
        };
        assert_eq!((grid.factors.len(), root.as_path()), (4, Path::new("/data/sets")));
        assert_eq!(state.next_in_words(), "4 pairs of 256 × 256 px, by the network");
        state.settings.sampling.mix = "rain=0.8,haze=0.5".parse().expect("a mix");
        state.queue.form.seeds = 3;
        state.queue.form.photos = Photos::Folder;
        assert_eq!(
            state.next_in_words(),
            "48 pairs of 256 × 256 px per photo, by the network"
        );
        assert!(grid.scenes.is_empty(), "the demo photo is written by the engine");
        state.settings.sampling.mix = "rain=0".parse().expect("a mix");
        state.queue_mix();
        assert!(state.take_effects().is_empty() && state.messages.notices[0].message.contains("Mixer"));
    }

    #[test]
    fn endings_are_told_once_and_unfinished_entries_are_remembered() {
        let mut state = State::default();
        for _ in 0..2 {
            state.apply_queue(vec![entry(QueueState::Failed("the photo is gone".to_owned()))]);
        }
        assert_eq!(state.messages.notices.len(), 1);
        assert_eq!(state.queue.unfinished().len(), 1);
        state.apply_queue(vec![entry(QueueState::Finished)]);
        assert!(state.queue.unfinished().is_empty());
        assert!(
            state
                .messages
                .notices
                .iter()
                .any(|notice| notice.message.contains("4 pairs are ready"))
        );
    }

    #[test]
    fn what_is_at_work_is_listed_first_and_what_is_done_last() {
        let states = [
            QueueState::Finished,
            QueueState::Running,
            QueueState::Paused,
            QueueState::Waiting,
            QueueState::Finished,
            QueueState::Waiting,
        ];
        let entries = states.into_iter().zip(0..);
        let desk = QueueDesk {
            entries: entries.map(|(state, id)| QueueEntry { id, ..entry(state) }).collect(),
            ..QueueDesk::default()
        };
        let ids: Vec<QueueId> = desk.listed().iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [1, 3, 5, 2, 4, 0]);
    }

    #[test]
    fn folders_with_any_name_have_an_address() {
        assert_eq!(folder_address(Path::new("/a b/é")), "file:///a%20b/%C3%A9");
    }
}
