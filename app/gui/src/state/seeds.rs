//! The strip of seeds: a few noises beside each other, each with what the present settings make of it.

use std::collections::{HashMap, VecDeque};

use mdsd3_words::RenderRequest;
use mdsd3_words::image::Rgba8;

use super::State;

/// Seeds in the strip.
pub const SEEDS: usize = 6;

/// Images kept; those that fall out of the strip may come back by undo.
const KEPT_IMAGES: usize = 64;

/// The strip.
#[derive(Debug, Default)]
pub struct SeedStrip {
    seeds: Vec<u64>,
    /// What was made of a seed, and of which settings.
    images: HashMap<u64, (RenderRequest, Rgba8)>,
    /// Seeds that wait for their run, and the seed to return to afterwards.
    waiting: VecDeque<u64>,
    return_to: Option<u64>,
}

/// What the strip shows of a seed.
#[derive(Debug, Clone)]
pub struct SeedImage {
    /// The seed.
    pub seed: u64,
    /// What was made of it.
    pub image: Option<Rgba8>,
    /// Whether that was with the present settings.
    pub is_current: bool,
}

impl State {
    /// The strip, the present seed always among it.
    pub fn seed_strip(&mut self) -> Vec<SeedImage> {
        let seed = self.settings.sampling.seed;
        let strip = &mut self.seeds.seeds;
        if strip.is_empty() {
            strip.extend((0..SEEDS as u64).map(|offset| seed.wrapping_add(offset)));
        } else if !strip.contains(&seed) {
            strip.insert(0, seed);
            strip.truncate(SEEDS);
        }
        let seeds = self.seeds.seeds.clone();
        seeds.into_iter().map(|seed| self.seed_image(seed)).collect()
    }

    fn seed_image(&self, seed: u64) -> SeedImage {
        let made = self.seeds.images.get(&seed);
        let present = with_seed(self.request(), seed);
        SeedImage {
            seed,
            image: made.map(|(_, image)| image.clone()),
            is_current: made.is_some_and(|(request, _)| *request == present),
        }
    }

    /// Uses a seed of the strip.
    pub fn choose_seed(&mut self, seed: u64) {
        self.abandon_strip();
        self.edit(|settings| settings.sampling.seed = seed);
    }

    /// Renders every seed of the strip that has no image of the present settings.
    pub fn fill_seed_strip(&mut self) {
        let missing = self.seed_strip().into_iter().filter(|one| !one.is_current);
        self.seeds.waiting = missing.map(|one| one.seed).collect();
        if !self.seeds.waiting.is_empty() {
            self.seeds.return_to.get_or_insert(self.settings.sampling.seed);
            self.next_of_strip();
        }
    }

    /// How many seeds of the strip still wait for their run, the one that is going on included.
    pub fn seeds_to_do(&self) -> usize {
        self.seeds.waiting.len() + usize::from(self.seeds.return_to.is_some())
    }

    /// Gives up on the rest of the strip and stays with the seed it is at.
    pub(super) fn abandon_strip(&mut self) {
        self.seeds.waiting.clear();
        self.seeds.return_to = None;
    }

    /// Gives up on the rest of the strip and goes back to the seed it began with.
    pub(super) fn end_strip(&mut self) {
        self.seeds.waiting.clear();
        if let Some(seed) = self.seeds.return_to.take() {
            self.settings.sampling.seed = seed;
            self.accept_settings();
        }
    }

    /// Starts the next run of the strip when nothing else goes on.
    pub(super) fn next_of_strip(&mut self) {
        if self.seeds.return_to.is_none() || self.is_busy() {
            return;
        }
        match self.seeds.waiting.pop_front() {
            Some(seed) => {
                self.settings.sampling.seed = seed;
                self.accept_settings();
                self.start_run();
                if self.runs.active.is_none() {
                    self.end_strip();
                }
            }
            None => self.end_strip(),
        }
    }

    /// Forgets the images: they are of another photo.
    pub(super) fn forget_seed_images(&mut self) {
        self.seeds.images.clear();
    }

    /// Keeps a result for the strip.
    pub(super) fn keep_seed_image(&mut self, request: &RenderRequest, image: &Rgba8) {
        if self.seeds.images.len() >= KEPT_IMAGES {
            let strip = self.seeds.seeds.clone();
            self.seeds.images.retain(|seed, _| strip.contains(seed));
        }
        self.seeds
            .images
            .insert(request.sampling.seed, (request.clone(), image.clone()));
    }
}

fn with_seed(mut request: RenderRequest, seed: u64) -> RenderRequest {
    request.sampling.seed = seed;
    request
}
