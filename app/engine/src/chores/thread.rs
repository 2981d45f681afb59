//! The thread that does chores.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use mdsd3_render::RenderError;
use mdsd3_render::inspect;
use mdsd3_render::metadata;
use mdsd3_render::{device, memory};
use mdsd3_study::figure::table::{Cell, Kind};
use mdsd3_study::figure::{self, Table};
use mdsd3_words::error::panic_message;
use mdsd3_words::{ModelSettings, RenderRequest};

use super::keep::{keep, rectangle};
use super::{Chore, ChoreEvent, Inspection, StepImage, identify};
use crate::error::EngineError;
use crate::events::EventSink;
use crate::protocol::Event;

/// Chores that may wait.
const CAPACITY: usize = 16;

/// The sending end: chores down, and what was sent so far cancelled.
pub(crate) struct Chores {
    queue: Sender<(u64, Chore)>,
    sent: AtomicU64,
    /// Chores up to this number are cancelled.
    cancelled: Arc<AtomicU64>,
}

/// What the thread owns.
pub(crate) struct ChoreThread {
    queue: Receiver<(u64, Chore)>,
    cancelled: Arc<AtomicU64>,
    events: EventSink,
}

impl Chores {
    /// Both ends.
    pub(crate) fn new(events: EventSink) -> (Self, ChoreThread) {
        let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
        let cancelled = Arc::new(AtomicU64::new(0));
        let thread = ChoreThread {
            queue: receiver,
            cancelled: Arc::clone(&cancelled),
            events,
        };
        let chores = Self {
            queue: sender,
            sent: AtomicU64::new(0),
            cancelled,
        };
        (chores, thread)
    }

    /// Queues a chore; never waits.
    pub(crate) fn send(&self, chore: Chore) -> Result<(), EngineError> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        self.queue.try_send((number, chore)).map_err(|error| match error {
            TrySendError::Full(_) => EngineError::Busy { waiting: CAPACITY },
            TrySendError::Disconnected(_) => EngineError::Stopped,
        })
    }

    /// Cancels every chore sent so far.
    pub(crate) fn cancel(&self) {
        self.cancelled
            .store(self.sent.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl ChoreThread {
    /// The thread's body: returns when the sending end is dropped.
    pub(crate) fn run(self) {
        while let Ok((number, chore)) = self.queue.recv() {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.handle(number, chore)));
            let event = match outcome {
                Ok(Ok(event)) => event,
                Ok(Err(error)) => ChoreEvent::Failed {
                    message: error.one_line(),
                },
                Err(payload) => panicked(payload.as_ref()),
            };
            self.events.send(Event::Chore(event));
        }
    }

    fn handle(&self, number: u64, chore: Chore) -> Result<ChoreEvent, EngineError> {
        match chore {
            Chore::InspectModel(key) => Ok(inspected(*key)),
            Chore::ListDevices => Ok(ChoreEvent::Devices(device::available())),
            Chore::Identify { path } => Ok(ChoreEvent::Identified {
                kind: identify(&path)?,
                path,
            }),
            Chore::CompareModel { image, key, sha256 } => {
                let is_same = inspect::quick_sha256(&key).map(|here| here == sha256);
                Ok(ChoreEvent::ModelCompared { image, is_same })
            }
            Chore::KeepImage { image, folder } => Ok(ChoreEvent::Kept {
                path: keep("pasted", &image, &folder)?,
            }),
            Chore::DrawMask {
                class,
                size_px,
                corners,
                folder,
            } => {
                let path = keep("mask", &rectangle(size_px, corners), &folder)?;
                Ok(ChoreEvent::MaskDrawn { class, path })
            }
            Chore::WriteSteps {
                folder,
                images,
                request,
            } => self.write(number, folder, &images, &request),
        }
    }

    fn write(
        &self,
        number: u64,
        folder: PathBuf,
        images: &[StepImage],
        request: &RenderRequest,
    ) -> Result<ChoreEvent, EngineError> {
        make_folder(&folder)?;
        let mut count = 0;
        for one in images {
            if self.cancelled.load(Ordering::Relaxed) >= number {
                break;
            }
            metadata::write_png_with_parameters(&folder.join(&one.name), &one.image, one.words.clone())?;
            count += 1;
            self.events.send(Event::Chore(ChoreEvent::Progress {
                done: count,
                total: images.len(),
            }));
        }
        figure::write_table(&folder.join("steps.csv"), &table_of(&images[..count]))?;
        let settings =
            serde_json::to_string_pretty(request).map_err(|error| EngineError::bad_input(error.to_string()))?;
        metadata::write_file(&folder.join("settings.json"), settings.as_bytes())?;
        Ok(ChoreEvent::Written {
            folder,
            count,
            cancelled: count < images.len(),
        })
    }
}

/// One row per image.
fn table_of(images: &[StepImage]) -> Table {
    let columns = [
        ("file", Kind::Text),
        ("step", Kind::Whole),
        ("view", Kind::Text),
        ("sigma", Kind::Number),
        ("step_secs", Kind::Number),
    ];
    let mut table = Table::new(&columns);
    for one in images {
        table.rows.push(vec![
            Cell::from(one.name.as_str()),
            Cell::whole(one.step),
            Cell::from(one.view),
            Cell::number(one.sigma),
            one.step_secs.map_or(Cell::Missing, Cell::number),
        ]);
    }
    table
}

fn inspected(key: ModelSettings) -> ChoreEvent {
    let outcome = inspect::inspect(key.path.as_deref(), &key.parts)
        .map(|report| {
            Box::new(Inspection {
                key: key.clone(),
                report,
                memory_bytes: memory::machine_bytes(),
            })
        })
        .map_err(|error| error.one_line());
    ChoreEvent::Inspected {
        key: Box::new(key),
        outcome,
    }
}

pub(super) fn make_folder(folder: &Path) -> Result<(), EngineError> {
    std::fs::create_dir_all(folder).map_err(|source| {
        let path = folder.to_owned();
        RenderError::Io { path, source }.into()
    })
}

fn panicked(payload: &(dyn Any + Send)) -> ChoreEvent {
    ChoreEvent::Failed {
        message: EngineError::panicked(panic_message(payload)).one_line(),
    }
}

#[cfg(test)]
mod tests {

    use mdsd3_words::ModelParts;
    use mdsd3_words::image::Rgba8;

    use super::super::FileKind;
    use super::*;

    /// Does the chores on this thread and returns the answers.
    fn done(chores: Vec<Chore>, cancel: bool) -> Vec<ChoreEvent> {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let (queue, thread) = Chores::new(EventSink::new(sender, None));
        for chore in chores {
            queue.send(chore).expect("there is room");
        }
        if cancel {
            queue.cancel();
        }
        drop(queue);
        thread.run();
        let chore = |event| match event {
            Event::Chore(event) => event,
            other => panic!("{other:?} is no chore's"),
        };
        receiver.try_iter().map(chore).collect()
    }

    fn image() -> Rgba8 {
        Rgba8 {
            width: 2,
            height: 1,
            pixels: vec![1, 2, 3, 255, 4, 5, 6, 255].into(),
        }
    }

    fn two_images(folder: &Path) -> Chore {
        let image = |name: &str, view, step_secs| StepImage {
            name: name.to_owned(),
            image: image(),
            words: "step 1".to_owned(),
            step: 1,
            view,
            sigma: 0.75,
            step_secs,
        };
        Chore::WriteSteps {
            folder: folder.join("steps"),
            images: vec![image("a.png", "x0_hat", Some(0.5)), image("b.png", "x_t", None)],
            request: Box::default(),
        }
    }

    #[test]
    fn images_are_written_with_progress() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let events = done(vec![two_images(folder.path())], false);
        assert_eq!(events.len(), 3);
        assert_eq!(events[1], ChoreEvent::Progress { done: 2, total: 2 });
        let steps = folder.path().join("steps");
        assert_eq!(
            events[2],
            ChoreEvent::Written {
                folder: steps.clone(),
                count: 2,
                cancelled: false
            }
        );
        assert_eq!(image::image_dimensions(steps.join("b.png")).expect("a PNG"), (2, 1));
        let read = |name: &str| std::fs::read_to_string(steps.join(name)).expect("written");
        assert_eq!(
            read("steps.csv"),
            "file,step,view,sigma,step_secs\na.png,1,x0_hat,0.75,0.5\nb.png,1,x_t,0.75,\n"
        );
        let request: RenderRequest = serde_json::from_str(&read("settings.json")).expect("a run");
        assert_eq!(request, RenderRequest::default());
    }

    #[test]
    fn a_cancelled_chore_writes_nothing_more() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let events = done(vec![two_images(folder.path())], true);
        assert!(matches!(
            events[..],
            [ChoreEvent::Written {
                count: 0,
                cancelled: true,
                ..
            }]
        ));
    }

    #[test]
    fn the_same_image_is_kept_once_and_has_no_settings() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let keep = || Chore::KeepImage {
            image: image(),
            folder: folder.path().to_owned(),
        };
        let events = done(vec![keep(), keep()], false);
        let [ChoreEvent::Kept { path }, second] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(*second, ChoreEvent::Kept { path: path.clone() });
        let events = done(vec![Chore::Identify { path: path.clone() }], false);
        let kind = FileKind::Photo;
        assert_eq!(
            events,
            [ChoreEvent::Identified {
                path: path.clone(),
                kind
            }]
        );
    }

    fn key_of(model: &Path) -> ModelSettings {
        ModelSettings {
            path: Some(model.to_owned()),
            parts: ModelParts::default(),
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
        }
    }

    #[test]
    fn an_edited_config_makes_another_model() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("config.json"), "{\"prediction\": \"velocity\"}").expect("written");
        std::fs::write(folder.path().join("model.safetensors"), "weights").expect("written");
        let key = key_of(folder.path());
        let sha256 = inspect::sha256(key.path.as_deref(), &key.parts).expect("readable");
        let compared = || {
            let chore = Chore::CompareModel {
                image: "x.png".into(),
                key: Box::new(key.clone()),
                sha256: sha256.clone(),
            };
            match &done(vec![chore], false)[..] {
                [ChoreEvent::ModelCompared { is_same, .. }] => is_same.expect("a model of this program"),
                other => panic!("{other:?}"),
            }
        };
        assert!(compared());
        std::fs::write(
            folder.path().join("config.json"),
            "{\"prediction\": \"scene_residual\"}",
        )
        .expect("written");
        assert!(!compared());
    }

    #[test]
    fn what_is_no_model_is_said_in_one_line() {
        let key = key_of(Path::new("no/such/model"));
        let events = done(vec![Chore::InspectModel(Box::new(key))], false);
        let [
            ChoreEvent::Inspected {
                outcome: Err(message), ..
            },
        ] = &events[..]
        else {
            panic!("{events:?}");
        };
        assert!(
            message.contains("no/such/model") && message.lines().count() == 1,
            "{message}"
        );
    }
}
