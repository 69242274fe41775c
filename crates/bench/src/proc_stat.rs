//! Memory and processor time of a process, as Linux tells them in `/proc`.

use std::path::PathBuf;
use std::time::Duration;

/// Linux counts processor time for user space in hundredths of a second on every architecture Rust knows.
const TICK: Duration = Duration::from_millis(10);

/// A process to look at.
#[derive(Debug, Clone)]
pub(crate) struct Process(PathBuf);

impl Process {
    pub(crate) fn own() -> Self {
        Self("/proc/self".into())
    }

    pub(crate) fn of(pid: u32) -> Self {
        Self(format!("/proc/{pid}").into())
    }

    /// User and system time of all its threads so far, ended ones too; `None` where there is no `/proc`.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        cpu(&std::fs::read_to_string(self.0.join("stat")).ok()?)
    }

    /// Resident memory in MiB.
    pub(crate) fn rss_mib(&self) -> Option<f64> {
        kib(&std::fs::read_to_string(self.0.join("status")).ok()?, "VmRSS:")
    }

    /// Its proportional share of resident memory in MiB: pages shared with others count in parts.
    pub(crate) fn pss_mib(&self) -> Option<f64> {
        kib(&std::fs::read_to_string(self.0.join("smaps_rollup")).ok()?, "Pss:")
    }
}

fn cpu(stat: &str) -> Option<Duration> {
    // The second field is the program's name in brackets and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<u32>().ok()?, fields.next()?.parse::<u32>().ok()?);
    Some(TICK * user.saturating_add(system))
}

fn kib(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: f64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 0 0 0 0 250 50 0 0 20 0 5 0 100 0 0";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu("7 (a)"), None);
        assert_eq!(kib("VmPeak: 9 kB\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2.0));
        assert_eq!(kib("", "VmRSS:"), None);
    }
}
