//! Who writes a dataset: shards side by side, or one process alone that begins, packs, merges or repairs it.
//!
//! `.mdsd3/lock` is locked for as long as a process writes. Its name stays when the dataset is finished: whoever waits for a file
//! that another removes holds a lock on nothing. Some network file systems have no locks; a second process there is the user's care.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use mdsd3_render::RenderError;

use crate::check::bad;
use crate::files::STATE;

/// The file that is locked.
const LOCK: &str = "lock";
/// How long a lock is waited for that is only passing from one process to another: beginning takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// A lock on a dataset; it ends with the value, or with the process.
#[derive(Debug)]
pub(super) struct Hold {
    file: File,
    folder: PathBuf,
}

impl Hold {
    /// Begins to write in `folder`, which has its state folder: alone when nobody else writes, else beside other shards.
    ///
    /// # Errors
    /// Bad input when another process has it alone.
    pub fn begin(folder: &Path) -> Result<Self, RenderError> {
        let hold = Self::open(folder)?;
        match hold.file.try_lock() {
            Err(TryLockError::WouldBlock) => hold.share()?,
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        Ok(hold)
    }

    /// Begins to write alone.
    ///
    /// # Errors
    /// Bad input when another process writes.
    pub fn begin_alone(folder: &Path) -> Result<Self, RenderError> {
        let hold = Self::open(folder)?;
        hold.alone()?;
        Ok(hold)
    }

    fn open(folder: &Path) -> Result<Self, RenderError> {
        let path = folder.join(STATE).join(LOCK);
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        Ok(Self {
            file: opened.map_err(|source| RenderError::Io { path, source })?,
            folder: folder.to_owned(),
        })
    }

    /// From now on alone.
    ///
    /// # Errors
    /// Bad input when other shards are at work.
    pub fn alone(&self) -> Result<(), RenderError> {
        wait(|| self.file.try_lock()).map_err(|()| {
            bad(format!(
                "{}: a shard is still being made; go on when all have ended",
                self.folder.display()
            ))
        })
    }

    /// From now on beside other shards.
    ///
    /// # Errors
    /// Bad input when another process came between and has it alone.
    pub fn share(&self) -> Result<(), RenderError> {
        wait(|| self.file.try_lock_shared()).map_err(|()| in_use(&self.folder))
    }
}

/// What to say of a dataset that another process has.
pub(super) fn in_use(folder: &Path) -> RenderError {
    bad(format!(
        "{}: another mdsd3 is writing this dataset; wait for it, or choose another folder",
        folder.display()
    ))
}

/// Tries to lock until it works or others have had it for too long.
fn wait(lock: impl Fn() -> Result<(), TryLockError>) -> Result<(), ()> {
    let start = Instant::now();
    loop {
        match lock() {
            Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Err(()),
            Err(TryLockError::Error(_)) | Ok(()) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_and_who_is_alone_shuts_others_out() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join(STATE)).expect("created");
        let first = Hold::begin(folder.path()).expect("nobody else");
        let second = thread::scope(|scope| {
            let second = scope.spawn(|| Hold::begin(folder.path()));
            thread::sleep(3 * PAUSE);
            first.share().expect("nobody has it alone");
            second.join().expect("no panic")
        });
        let second = second.expect("beside the first");
        let refused = first.alone().expect_err("the second is at work");
        assert!(
            refused.is_bad_input() && refused.to_string().contains("still being made"),
            "{refused}"
        );
        drop(second);
        first.alone().expect("nobody else");
        let refused = Hold::begin(folder.path()).expect_err("the first is alone");
        assert!(refused.to_string().contains("another mdsd3"), "{refused}");
    }
}
