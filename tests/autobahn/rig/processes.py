"""Child processes that log to files, are watched from outside, and are always ended."""

import os
import signal
import socket
import subprocess
import time


class Failure(Exception):
    """The rig itself cannot go on: one clause that says why."""


class LogReader:
    """The lines that a process has added to its log file since the last look."""

    def __init__(self, path):
        self.file = open(path, encoding="utf-8", errors="replace")
        self.partial = ""

    def lines(self):
        text = self.partial + self.file.read()
        *whole, self.partial = text.split("\n")
        return whole

    def close(self):
        self.file.close()


class Child:
    """A process in a session of its own, so that `end` reaches what a wrapper command has started too."""

    def __init__(self, label, argv, log_path):
        self.label = label
        self.argv = argv
        self.log_path = log_path
        self.cpu_s = None
        self.peak_rss_kib = None
        with open(log_path, "wb") as log:
            try:
                self.process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise Failure(f"cannot start the {label}: {error}") from error
        self.log = LogReader(log_path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def exit_status(self):
        """None while it runs."""
        return self.process.poll()

    def measure(self):
        """Notes CPU time and peak memory so far, where /proc tells."""
        try:
            with open(f"/proc/{self.process.pid}/stat", encoding="ascii", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
            with open(f"/proc/{self.process.pid}/status", encoding="ascii", errors="replace") as status:
                peaks = [line.split()[1] for line in status if line.startswith("VmHWM:")]
        except OSError:
            return
        self.cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if peaks:
            self.peak_rss_kib = int(peaks[0])

    def end(self):
        """Ends it politely, then by force."""
        # One that has ended already is not signalled: its id may be another's by now.
        for sign, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
            if self.exit_status() is not None:
                break
            os.killpg(self.process.pid, sign)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                pass
        self.log.close()

    def last_words(self, count=8):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            tail = "".join(f"\n    {line.rstrip()}" for line in log.readlines()[-count:])
        return f", its last lines:{tail}" if tail else " and printed nothing"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts_connections(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def wait_until(child, ready, timeout):
    """Waits for `ready(new_lines)` to hold for what the child printed, while the child runs."""
    deadline = time.monotonic() + timeout
    while not ready(child.log.lines()):
        if child.exit_status() is not None:
            raise Failure(f"the {child.label} ended before it was ready{child.last_words()}")
        if time.monotonic() > deadline:
            raise Failure(f"the {child.label} was not ready after {timeout} s{child.last_words()}")
        time.sleep(0.02)
