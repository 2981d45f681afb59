//! The threads of a sweep, joined by bounded channels.

use std::collections::{BTreeMap, HashSet};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, Scope, ScopedJoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use mdsd3_render::RenderError;
use mdsd3_render::scene::SceneLoader;
use mdsd3_render::weather::WeatherLoader;
use mdsd3_words::RenderRequest;

use crate::check::bad;
use crate::files;
use crate::journal::{Journal, Known, Line, PairRecord};
use crate::options::{DISK_FULL_WAIT, RunOptions, SweepObserver};
use crate::pair::{Made, Maker, SceneInWork};
use crate::pair_files::Files;
use crate::plan::Extra;
use crate::sweep::{Job, Sweep};
use crate::weather;

/// Scenes that wait for the sampler; a scene is a few megabytes.
const SCENES_AHEAD: usize = 2;
/// Pairs that wait to be encoded.
const PAIRS_AHEAD: usize = 4;
/// The most encoding threads: beyond it the disk is the limit.
const MAX_ENCODERS: usize = 4;
/// Pairs of a scene that are handed on at once: a scene may have millions.
const PART: usize = 1024;

/// Counts that the threads share.
#[derive(Default)]
pub(super) struct State {
    pub made: usize,
    pub done_before: usize,
    /// Pairs of photos that could not be used.
    pub skipped: usize,
    pub failed_scenes: usize,
    /// Photos that could not be read this time.
    pub unread_scenes: usize,
    /// Pairs of this shard, once all are enumerated.
    pub pairs: Option<usize>,
    pub error: Option<RenderError>,
}

pub(super) struct Work<'a> {
    pub sweep: &'a Sweep,
    pub options: &'a RunOptions,
    pub observer: &'a dyn SweepObserver,
    pub known: &'a Known,
    /// Keys of pairs that are there.
    pub done: &'a HashSet<String>,
    pub journal: Mutex<Journal>,
    pub state: Mutex<State>,
    pub is_aborted: AtomicBool,
    pub total: usize,
    pub files: Files<'a>,
}

/// A scene with the jobs that are still to do.
type SceneJobs = (Arc<SceneInWork>, Vec<Job>);
/// A pair that is made and not yet written.
type MadePair = (Arc<SceneInWork>, Job, Made);

impl Work<'_> {
    /// Runs all threads to their end; the sampler's share of busy time.
    pub fn run(&self, maker: Maker) -> Result<f32, RenderError> {
        let (scenes_in, scenes) = bounded::<SceneJobs>(SCENES_AHEAD);
        // Room for a batch beside the one before, or the sampler would wait for the encoders.
        let pairs_ahead = PAIRS_AHEAD.max(2 * maker.batch_size(&self.sweep.plan));
        let (pairs_in, pairs) = bounded::<MadePair>(pairs_ahead);
        let multiple_px = maker.size_multiple();
        let busy = thread::scope(|scope| {
            let mut handles = Vec::new();
            for index in 0..encoders() {
                let pairs = pairs.clone();
                handles.push(self.spawn(scope, format!("mdsd3-encode-{index}"), move || self.encode(&pairs))?);
            }
            drop(pairs);
            handles.push(self.spawn(scope, "mdsd3-scene".to_owned(), move || {
                self.load_scenes(&scenes_in, multiple_px)
            })?);
            let busy = Arc::new(Mutex::new(0.0));
            let busy_out = Arc::clone(&busy);
            handles.push(self.spawn(scope, "mdsd3-sample".to_owned(), move || {
                *busy_out.lock().unwrap_or_else(PoisonError::into_inner) = self.sample(maker, &scenes, &pairs_in)?;
                Ok(())
            })?);
            for handle in handles {
                if let Err(payload) = handle.join() {
                    panic::resume_unwind(payload);
                }
            }
            let busy = *busy.lock().unwrap_or_else(PoisonError::into_inner);
            Ok::<f32, RenderError>(busy)
        })?;
        match self.state.lock().unwrap_or_else(PoisonError::into_inner).error.take() {
            Some(error) => Err(error),
            None => Ok(busy),
        }
    }

    /// Starts a thread whose error stops the sweep.
    fn spawn<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        name: String,
        work: impl FnOnce() -> Result<(), RenderError> + Send + 'scope,
    ) -> Result<ScopedJoinHandle<'scope, ()>, RenderError> {
        let guarded = move || {
            let result = panic::catch_unwind(panic::AssertUnwindSafe(work)).unwrap_or_else(|payload| {
                let message = payload.downcast_ref::<String>().cloned();
                let message = message.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Err(RenderError::Panicked {
                    message: message.unwrap_or_default(),
                })
            });
            if let Err(error) = result {
                self.is_aborted.store(true, Ordering::SeqCst);
                self.state().error.get_or_insert(error);
            }
        };
        let spawned = Builder::new().name(name).spawn_scoped(scope, guarded);
        spawned.map_err(|source| {
            self.is_aborted.store(true, Ordering::SeqCst);
            RenderError::Thread {
                name: "mdsd3-sweep",
                source,
            }
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_aborted.load(Ordering::SeqCst) || self.observer.should_stop()
    }

    /// Decodes photos ahead of the sampler.
    fn load_scenes(&self, scenes: &Sender<SceneJobs>, multiple_px: u32) -> Result<(), RenderError> {
        let plan = &self.sweep.plan;
        let (mut pairs, mut weather) = (0, WeatherLoader::default());
        for scene in 0..plan.scenes.len() {
            let mut jobs = self.sweep.jobs_of(scene);
            let mut part = self.next_part(&mut jobs, &mut pairs)?;
            if self.is_over() {
                return Ok(());
            }
            if part.is_empty() {
                continue;
            }
            let path = plan.scene_path(scene);
            // A loader of its own: the last scene need not be kept.
            let loaded = SceneLoader::default().load_cropped(
                Some(&path),
                plan.crop_of(scene),
                plan.run.scene.size,
                plan.run.scene.fit,
                multiple_px,
            );
            let loaded = loaded.and_then(|fitted| {
                let weather = weather::of_scene(plan, scene, &fitted, &mut weather)?;
                Ok(SceneInWork::new(fitted, weather, plan.wants_layers()))
            });
            match loaded {
                Ok(loaded) => {
                    self.check_unchanged(scene, &loaded)?;
                    let scene = Arc::new(loaded);
                    while !part.is_empty() {
                        if scenes.send((Arc::clone(&scene), part)).is_err() {
                            return Ok(());
                        }
                        part = self.next_part(&mut jobs, &mut pairs)?;
                    }
                }
                Err(error) => {
                    let mut skipped = 0;
                    while !part.is_empty() {
                        skipped += part.len();
                        part = self.next_part(&mut jobs, &mut pairs)?;
                    }
                    self.scene_failed(scene, skipped, &error)?;
                }
            }
        }
        if !self.is_over() {
            self.state().pairs = Some(pairs);
        }
        Ok(())
    }

    /// The next pairs of a scene that this shard has still to make; none when there are no more, or all is over. `pairs` counts
    /// those of the shard that were passed, made or not.
    fn next_part(
        &self,
        jobs: &mut dyn Iterator<Item = Result<Job, RenderError>>,
        pairs: &mut usize,
    ) -> Result<Vec<Job>, RenderError> {
        let mut part = Vec::new();
        while part.len() < PART && !self.is_over() {
            let Some(job) = jobs.next().transpose()? else { break };
            if self.options.shard.holds(&job.key) {
                *pairs += 1;
                if !self.done.contains(&job.key) {
                    part.push(job);
                }
            }
        }
        Ok(part)
    }

    /// A photo that was replaced would give a dataset in which pairs of one name have different scenes.
    fn check_unchanged(&self, scene: usize, loaded: &SceneInWork) -> Result<(), RenderError> {
        if self.known.pairs.is_empty() {
            return Ok(());
        }
        let (sha256, weather) = (loaded.fitted.key.content_sha256(), loaded.weather_sha256());
        for job in self.sweep.jobs_of(scene).take_while(|_| !self.is_over()) {
            let Some(record) = self.known.pairs.get(&job?.key) else {
                continue;
            };
            let what = match () {
                () if record.scene_sha256 != sha256 => "the photo has",
                () if record.weather_sha256 != weather => "its depth map or a mask has",
                () => continue,
            };
            return Err(bad(format!(
                "{}: {what} changed since this dataset was begun; restore it, or begin in another folder",
                self.sweep.plan.scene_path(scene).display()
            )));
        }
        Ok(())
    }

    /// Passes over a photo. One that is bad is entered into the journal; one that can't be read just now is not, so that the next
    /// run tries it again.
    fn scene_failed(&self, scene: usize, jobs: usize, error: &RenderError) -> Result<(), RenderError> {
        let (name, message) = (self.sweep.plan.scenes[scene].clone(), error.one_line());
        let photo = self.sweep.plan.scene_path(scene);
        // Most messages begin with the photo, which is told beside the reason anyway.
        let path = format!("{}: ", photo.display());
        let reason = message.strip_prefix(&path).unwrap_or(&message).to_owned();
        // It was there when the plan was read: a photo that is gone now may be on a disk that went away.
        let is_passing = !error.is_bad_input() || !photo.exists();
        if is_passing {
            self.observer
                .scene_failed(&name, &format!("{reason}; --resume tries it again"));
        } else {
            self.observer.scene_failed(&name, &reason);
        }
        {
            let mut state = self.state();
            state.skipped += jobs;
            if is_passing {
                state.unread_scenes += 1;
                return Ok(());
            }
            state.failed_scenes += 1;
        }
        self.append(&Line::Failed { scene: name, reason }).map(|_| ())
    }

    /// Degrades scene after scene; the share of time in which it did not wait for others.
    fn sample(
        &self,
        mut maker: Maker,
        scenes: &Receiver<SceneJobs>,
        pairs: &Sender<MadePair>,
    ) -> Result<f32, RenderError> {
        let plan = &self.sweep.plan;
        let keeps_steps = plan.extras.contains(&Extra::Steps);
        let batch = maker.batch_size(plan);
        let (mut busy_secs, mut first) = (0.0, None);
        while let Ok((scene, jobs)) = scenes.recv() {
            let begun = *first.get_or_insert_with(Instant::now);
            for jobs in batches(self.sweep, jobs, batch) {
                if self.is_over() {
                    return Ok(share(busy_secs, begun));
                }
                let start = Instant::now();
                let requests: Vec<RenderRequest> = jobs.iter().map(|job| self.sweep.request(job)).collect();
                let made = maker.make_batch(&requests, &scene, keeps_steps, batch)?;
                busy_secs += start.elapsed().as_secs_f32();
                for (job, made) in jobs.iter().zip(made) {
                    if pairs.send((Arc::clone(&scene), job.clone(), made)).is_err() {
                        return Ok(share(busy_secs, begun));
                    }
                }
            }
        }
        Ok(first.map_or(0.0, |begun| share(busy_secs, begun)))
    }

    /// Writes pair after pair, and then each into the journal.
    fn encode(&self, pairs: &Receiver<MadePair>) -> Result<(), RenderError> {
        while let Ok((scene, job, made)) = pairs.recv() {
            if self.is_aborted.load(Ordering::SeqCst) {
                return Ok(());
            }
            let Some((record, lq)) = self.when_there_is_room(|| self.files.write(&job, &scene, &made))? else {
                return Ok(());
            };
            self.pair_done(record)?;
            self.observer.pair_made(&job, &lq);
        }
        Ok(())
    }

    fn pair_done(&self, record: PairRecord) -> Result<(), RenderError> {
        if !self.append(&Line::Pair(record))? {
            return Ok(());
        }
        let mut state = self.state();
        state.made += 1;
        self.observer.progress(state.done_before + state.made, self.total);
        Ok(())
    }

    /// Appends to the journal; false when the sweep was stopped while there was no room.
    fn append(&self, line: &Line) -> Result<bool, RenderError> {
        let append = || self.journal.lock().unwrap_or_else(PoisonError::into_inner).append(line);
        Ok(self.when_there_is_room(append)?.is_some())
    }

    /// Repeats `write` while the disk is full; `None` when the sweep is stopped meanwhile.
    fn when_there_is_room<T>(&self, write: impl Fn() -> Result<T, RenderError>) -> Result<Option<T>, RenderError> {
        loop {
            match write() {
                Err(error) if files::is_disk_full(&error) => {
                    if self.is_over() {
                        return Ok(None);
                    }
                    self.observer.disk_full(&error.one_line());
                    thread::sleep(DISK_FULL_WAIT);
                }
                result => return result.map(Some),
            }
        }
    }
}

/// The noise level at which a job begins, as bits: jobs of one batch share it, as a batch has one schedule.
pub(super) fn start_of(sweep: &Sweep, job: &Job) -> u32 {
    sweep.request(job).first_sigma().to_bits()
}

/// Jobs of a scene that are sampled together, at most `size` of them; those that begin alike keep their order.
pub(super) fn batches(sweep: &Sweep, jobs: Vec<Job>, size: usize) -> Vec<Vec<Job>> {
    let mut alike: BTreeMap<u32, Vec<Job>> = BTreeMap::new();
    for job in jobs {
        alike.entry(start_of(sweep, &job)).or_default().push(job);
    }
    let batches = alike.values().flat_map(|jobs| jobs.chunks(size));
    batches.map(<[Job]>::to_vec).collect()
}

/// Encoding threads of this machine.
pub(super) fn encoders() -> usize {
    thread::available_parallelism()
        .map_or(1, usize::from)
        .clamp(1, MAX_ENCODERS)
}

fn share(busy_secs: f32, begun: Instant) -> f32 {
    busy_secs / begun.elapsed().as_secs_f32().max(f32::EPSILON)
}
