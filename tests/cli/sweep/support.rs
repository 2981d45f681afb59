//! Small projects for sweeps.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use image::RgbImage;

use crate::program::{Ended, mdsd3};

/// A folder with three photos and a plan.
pub struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// A plan for the physical engine.
    pub fn new(plan: &str) -> Self {
        Self::with_engine("physical", plan)
    }

    pub fn with_engine(engine: &str, plan: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (index, name) in ["a.png", "b.png", "c.png"].into_iter().enumerate() {
            let wave = |x: u32, y: u32| 128.0 + 100.0 * (x as f32 * 0.2 + (y * index as u32) as f32 * 0.1).sin();
            let image = RgbImage::from_fn(80, 70, |x, y| {
                image::Rgb([wave(x, y) as u8, (x * 3) as u8, (y * 3) as u8])
            });
            image.save(folder.path().join(name)).expect("saved");
        }
        let text = format!("engine = \"{engine}\"\nscenes = [\"*.png\"]\nsize = 64\n{plan}\n");
        fs::write(folder.path().join("plan.toml"), text).expect("written");
        Self { folder }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Runs `mdsd3 sweep plan.toml` with further arguments.
    pub fn sweep(&self, args: &[&str]) -> Ended {
        mdsd3(
            &self.root(),
            ["sweep", "plan.toml"].into_iter().chain(args.iter().copied()),
        )
    }
}

/// Every file below a folder with its content, hidden ones and links included.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(here) = folders.pop() {
        for entry in fs::read_dir(&here).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").to_owned();
                files.insert(name, fs::read(&path).expect("readable"));
            }
        }
    }
    files
}
