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
