//! The memory of another process while something happens, from Linux' `/proc`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub(crate) struct Watch {
    pid: u32,
    before: u64,
    peak: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    watcher: JoinHandle<()>,
}

/// Its anonymous memory in KiB: heap and stacks, without what is mapped from files.
fn anonymous(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// The process of this machine and user that listens at a loopback address, if `/proc` shows one.
pub(crate) fn listener(address: SocketAddr) -> Option<u32> {
    if !address.ip().is_loopback() {
        return None;
    }
    let port = format!(":{:04X}", address.port());
    let tables = ["tcp", "tcp6"].map(|name| std::fs::read_to_string(format!("/proc/net/{name}")));
    let inodes: Vec<_> = tables
        .iter()
        .flatten()
        .flat_map(|table| table.lines())
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
        // Local address, remote address, state (0A: listens), and six fields on the inode.
        .filter(|line| line.len() > 9 && line[1].ends_with(&port) && line[3] == "0A")
        .map(|line| format!("socket:[{}]", line[9]))
        .collect();
    let holds = |pid: &u32| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .any(|target| inodes.iter().any(|inode| target.as_os_str() == &**inode))
    };
    let processes = std::fs::read_dir("/proc").ok()?;
    processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(holds)
}

impl Watch {
    pub(crate) fn start(pid: u32) -> Self {
        let before = anonymous(pid);
        let (peak, over) = (Arc::new(AtomicU64::new(before)), Arc::new(AtomicBool::new(false)));
        let watcher = thread::spawn({
            let (peak, over) = (peak.clone(), over.clone());
            move || {
                while !over.load(Ordering::Relaxed) {
                    peak.fetch_max(anonymous(pid), Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(3));
                }
            }
        });
        Self { pid, before, peak, over, watcher }
    }

    /// Columns for the table.
    pub(crate) fn stop(self) -> String {
        self.over.store(true, Ordering::Relaxed);
        _ = self.watcher.join();
        // What was freed late counts as freed.
        thread::sleep(Duration::from_millis(50));
        let after = anonymous(self.pid);
        let mib = |kib: u64| kib as f64 / 1024.0;
        let peak = self.peak.load(Ordering::Relaxed);
        format!("{:>8.1} {:>7.1} {:>7.1}", mib(self.before), mib(peak), mib(after))
    }
}
