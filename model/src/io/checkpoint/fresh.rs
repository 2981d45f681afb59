//! Memory for gigabytes of weights, asked for in large pages.
//!
//! Most of the time of opening a checkpoint of gigabytes is the system handing out memory 4 KiB at a time: 12 GB are three
//! million page faults. In pages of 2 MiB they are six thousand.

/// Smallest buffer, in bytes, that is worth the call.
const LEAST_BYTES: usize = 4 << 20;

/// `len` zeros (`T::default()`), in large pages where the system has them.
pub(super) fn zeroed<T: Copy + Default>(len: usize) -> Vec<T> {
    let values = vec![T::default(); len];
    if size_of_val(values.as_slice()) >= LEAST_BYTES {
        ask_for_large_pages(&values);
    }
    values
}

#[cfg(target_os = "linux")]
fn ask_for_large_pages<T>(values: &[T]) {
    const PAGE: usize = 4096;
    let begin = (values.as_ptr() as usize).next_multiple_of(PAGE);
    let end = values.as_ptr_range().end as usize / PAGE * PAGE;
    // SAFETY: the range lies inside a live allocation of this process. MADV_HUGEPAGE changes how the range is backed, never
    // what it holds, and a refusal (the return value) only means small pages.
    #[allow(unsafe_code)]
    unsafe {
        libc::madvise(begin as *mut libc::c_void, end - begin, libc::MADV_HUGEPAGE);
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages<T>(_: &[T]) {}
