//! Libraries that panic on hostile files: their panic becomes an error of that file.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use mdsd3_words::error::panic_message;

thread_local! {
    /// Whether this thread is inside [`guarded`], where a panic is reported by the caller.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, and returns what it panicked with as an error, in one line and without the usual report on stderr.
///
/// `work` must keep nothing that a panic could leave half done: give it what it reads, and take what it returns.
///
/// # Errors
/// The panic's message.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    silence_guarded_panics();
    let outer = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    outcome.map_err(|panic| panic_message(panic.as_ref()))
}

/// Keeps the panic hook of the program from reporting what [`guarded`] reports.
fn silence_guarded_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                usual(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_of_one_line_and_the_thread_goes_on() {
        assert_eq!(guarded(|| 3), Ok(3));
        let failed: Result<(), String> = guarded(|| panic!("index 7\nof {}", 3));
        assert_eq!(failed, Err("index 7; of 3".to_owned()));
        assert!(!GUARDED.get());
    }
}
