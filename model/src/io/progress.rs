//! Progress of loading: who loads a model hears of every tensor that has been read, and may stop it.
//!
//! Tensors are read deep inside the builders of the model's parts, which have no room for a callback, so the observer is
//! the thread's for as long as the loading takes.

use std::cell::RefCell;
use std::ops::ControlFlow;

/// Hears how many values a tensor had that has just been read.
type Observer<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

thread_local! {
    static OBSERVER: RefCell<Option<Box<Observer<'static>>>> = const { RefCell::new(None) };
}

/// Runs `load` on this thread; `observer` hears of every tensor that it reads and may stop it by `Break`, which makes the
/// next tensor fail.
pub fn observed<R>(observer: impl FnMut(u64) -> ControlFlow<()> + 'static, load: impl FnOnce() -> R) -> R {
    /// Takes the observer away even when `load` panics.
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            OBSERVER.with_borrow_mut(|slot| *slot = None);
        }
    }
    OBSERVER.with_borrow_mut(|slot| *slot = Some(Box::new(observer)));
    let _guard = Guard;
    load()
}

/// Tells the thread's observer, if there is one, of a tensor of `values` values.
pub(crate) fn report(values: u64) -> ControlFlow<()> {
    OBSERVER.with_borrow_mut(|slot| match slot {
        Some(observer) => observer(values),
        None => ControlFlow::Continue(()),
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn the_observer_hears_of_tensors_while_loading_only() {
        let heard = Rc::new(Cell::new(0));
        let counter = Rc::clone(&heard);
        let observer = move |values| {
            counter.set(counter.get() + values);
            if counter.get() > 5 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let flows = observed(observer, || [report(3), report(4)]);
        assert!(flows[0].is_continue() && flows[1].is_break());
        assert!(report(100).is_continue());
        assert_eq!(heard.get(), 7);
    }
}
