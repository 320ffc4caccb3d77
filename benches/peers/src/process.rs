//! The servers' processes, and what the operating system tells of them.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores that the two sides run on.
#[derive(Clone, Copy)]
pub struct Cores {
    pub server: usize,
    pub clients: usize,
}

impl Cores {
    /// The first two that this process may use; only the first if they are to `share` it.
    pub fn find(share: bool) -> io::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        match (cores.next(), cores.next()) {
            (Some(server), _) if share => Ok(Self { server, clients: server }),
            (Some(server), Some(clients)) => Ok(Self { server, clients }),
            _ => Err(io::Error::other("two cores are needed: one for the server, one for the clients")),
        }
    }
}

/// Has this thread, and the processes that it starts, run on one core.
pub fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Allows this process and those that it starts as many open files as they may have.
pub fn raise_file_limit() -> io::Result<u64> {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    Ok(most.unwrap_or(u64::MAX))
}

/// A server that runs until this is dropped.
pub struct Running {
    child: Child,
    pub addr: SocketAddr,
}

impl Running {
    /// Starts the server and reads its first line, which ends with its address.
    pub fn start(mut command: Command, cores: Cores) -> io::Result<Self> {
        pin(cores.server)?;
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        pin(cores.clients)?;
        let mut child = spawned?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match line.split_whitespace().last().and_then(|addr| addr.parse().ok()) {
            Some(addr) => Ok(Self { child, addr }),
            None => {
                let _ = child.kill();
                Err(io::Error::other(format!("did not start: {}", child.wait()?)))
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, which something else has brought about.
    pub fn wait(&mut self) -> io::Result<()> {
        self.child.wait().map(drop)
    }

    /// What its threads have used; those that have ended are not in it.
    pub fn usage(&self) -> io::Result<Usage> {
        let mut sum = Usage::default();
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end between the two.
            if let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) {
                let usage = Usage::parse(&text)?;
                sum.cpu_ns += usage.cpu_ns;
                sum.delay_ns += usage.delay_ns;
            }
        }
        Ok(sum)
    }

    /// CPU time of all threads, ended ones too, in steps of a clock tick, most often 10 ms.
    pub fn cpu_ns_of_all(&self) -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may hold spaces. `utime` and `stime` are fields 14 and 15, and this begins with 3.
        let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).into_iter().flatten();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(ticks * (1_000_000_000 / rustix::param::clock_ticks_per_second()))
    }

    /// Anonymous memory that is resident: the heap and the stacks.
    pub fn rss_anon(&self) -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        text.lines()
            .find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next()?.parse::<u64>().ok())
            .map(|kib| kib * 1024)
            .ok_or_else(|| io::Error::other("no RssAnon"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the scheduler has counted.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    pub cpu_ns: u64,
    /// For how long it was ready and no CPU was free: others were using it.
    pub delay_ns: u64,
}

impl Usage {
    pub fn of_this_thread() -> io::Result<Self> {
        Self::parse(&fs::read_to_string("/proc/thread-self/schedstat")?)
    }

    fn parse(text: &str) -> io::Result<Self> {
        let mut fields = text.split_whitespace().map(str::parse);
        match (fields.next(), fields.next()) {
            (Some(Ok(cpu_ns)), Some(Ok(delay_ns))) => Ok(Self { cpu_ns, delay_ns }),
            _ => Err(io::Error::other("schedstat is not readable")),
        }
    }
}
