//! How much memory the process and the machine have.

/// The most resident memory this process ever had, in bytes; where the system doesn't record it, what it has now.
pub fn peak_resident_bytes() -> Option<u64> {
    proc_field_bytes("/proc/self/status", "VmHWM:").or_else(resident_bytes)
}

/// Resident memory of this process now, in bytes.
pub fn resident_bytes() -> Option<u64> {
    memory_stats::memory_stats().map(|stats| stats.physical_mem as u64)
}

/// Memory of the machine in bytes: (total, available without swapping). `None` where the system has no `/proc/meminfo`.
pub fn machine_bytes() -> Option<(u64, u64)> {
    let total = proc_field_bytes("/proc/meminfo", "MemTotal:")?;
    let available = proc_field_bytes("/proc/meminfo", "MemAvailable:")?;
    Some((total, available))
}

/// Has all threads allocate from one arena, for programs that stay open; to be called before any other thread starts.
///
/// glibc opens an arena for every thread until there are eight a core, keeps what was freed in each, and its trimming leaves out
/// what lies on top of any but the first: after ten minutes of random input, datasets among it, there were 150 MB of free memory
/// beside 50 MB in use, and 20 MB with one arena. Nothing here allocates often enough to wait for another thread.
pub fn use_one_arena() {
    // SAFETY: sets one number under the allocator's own lock; a refusal (the return value) leaves everything as it was.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Hands back to the system what was freed, when work has ended and none waits. A few milliseconds; allocators other than glibc's
/// do so on their own.
pub fn release_unused() {
    // SAFETY: looks only at memory that is free, under the allocator's own locks; any thread may call it at any time.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Reads a line such as `VmHWM:  123 kB`.
fn proc_field_bytes(file: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_some_memory() {
        assert!(peak_resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
