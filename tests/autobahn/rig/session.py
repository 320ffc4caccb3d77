"""One run of the suite in either role: start both sides, show progress, end both sides."""

import json
import re
import socket
import time
from dataclasses import dataclass, field

from .processes import Child, Failure, accepts_connections, free_port, wait_until

READY_TIMEOUT_S = 15
CASE_LINE = re.compile(r"Running test case ID (\S+) for agent ")
REPORTS_LINE = re.compile(r"Updating reports, requested by peer ")


@dataclass
class Run:
    """What to run and how long to wait for it; filled with what happened."""

    name: str
    peer_argv: list  # with {addr}, {port}, {url} and {agent} to be filled in
    announces: bool  # the server prints `listening on ADDR`
    wstest: str
    cases: list
    out: object  # pathlib.Path
    stall_s: float
    limit_s: float
    problems: list = field(default_factory=list)
    wall_s: float = 0.0
    peer_cpu_s: float = None
    peer_peak_rss_kib: int = None

    def peer(self, label, port):
        addr = f"127.0.0.1:{port}"
        words = {"addr": addr, "port": port, "url": f"ws://{addr}", "agent": self.name}
        return Child(label, [fill(word, words) for word in self.peer_argv], self.out / "peer.log")

    def suite(self, mode, endpoint):
        spec_path = self.out / "spec.json"
        spec = {"outdir": str(self.out), "cases": self.cases, **endpoint}
        spec_path.write_text(json.dumps(spec, indent=1))
        argv = [self.wstest, "--mode", mode, "--spec", str(spec_path), "--webport", "0"]
        return Child("suite", argv, self.out / "wstest.log")

    def note_peer(self, peer):
        self.peer_cpu_s, self.peer_peak_rss_kib = peer.cpu_s, peer.peak_rss_kib


def fill(word, words):
    for name, value in words.items():
        word = word.replace(f"{{{name}}}", str(value))
    return word


def run_server(run):
    """The peer is a server, the suite its client, which connects once for each case."""
    port = free_port()
    with run.peer("server under test", port) as peer:
        if run.announces:
            wait_until(peer, lambda lines: any("listening on " in line for line in lines), READY_TIMEOUT_S)
        else:
            wait_until(peer, lambda _: accepts_connections(port), READY_TIMEOUT_S)
        servers = [{"agent": run.name, "url": f"ws://127.0.0.1:{port}"}]
        with run.suite("fuzzingclient", {"servers": servers}) as suite:
            watch(run, suite, peer, finished=suite)
        if peer.exit_status() is not None:
            run.problems.append(f"the server ended with status {peer.exit_status()} in the middle of the run")
        run.note_peer(peer)


def run_client(run):
    """The peer is a client, which asks the suite's server for the number of cases and connects for each."""
    port = free_port()
    with run.suite("fuzzingserver", {"url": f"ws://127.0.0.1:{port}"}) as suite:
        wait_until(suite, lambda _: accepts_connections(port), READY_TIMEOUT_S)
        with run.peer("client under test", port) as peer:
            reports_asked = watch(run, suite, peer, finished=peer)
            if peer.exit_status():
                run.problems.append(f"the client ended with status {peer.exit_status()}")
        if not reports_asked:
            run.problems.append("the client never had the report written (/updateReports)")
        request_reports(port, run.name)
        run.note_peer(peer)


def watch(run, suite, peer, finished):
    """Shows each case as it starts until `finished` has ended; true if the peer had the report written."""
    begin = last_news = time.monotonic()
    started = 0
    reports_asked = False
    while True:
        over = finished.exit_status() is not None
        peer.measure()
        for line in suite.log.lines():
            last_news = time.monotonic()
            reports_asked |= bool(REPORTS_LINE.search(line))
            if case := CASE_LINE.search(line):
                started += 1
                elapsed = time.monotonic() - begin
                print(f"  [{started:3d} of {len(run.cases)}] {elapsed:6.1f} s  {case[1]}", flush=True)
        run.wall_s = time.monotonic() - begin
        if over:
            return reports_asked
        if problem := overdue(run, time.monotonic() - last_news):
            run.problems.append(problem)
            return reports_asked
        if suite is not finished and suite.exit_status() is not None:
            raise Failure(f"the suite ended with status {suite.exit_status()}{suite.last_words()}")
        time.sleep(0.05)


def overdue(run, silence_s):
    if silence_s > run.stall_s:
        return f"stopped: no new case for {run.stall_s:g} s (--stall)"
    if run.wall_s > run.limit_s:
        return f"stopped: the whole run took longer than {run.limit_s:g} s (--limit)"
    return None


def request_reports(port, agent):
    """Has the suite's server write its reports, whatever became of the client."""
    request = (
        f"GET /updateReports?agent={agent} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as stream:
            stream.sendall(request.encode())
            received = b""
            # The Close frame that follows the response is sent when the reports are on disk.
            while b"\r\n\r\n\x88" not in received:
                chunk = stream.recv(4096)
                if not chunk:
                    raise OSError("connection ended early")
                received += chunk
    except OSError as error:
        raise Failure(f"the suite's server did not write its reports: {error}") from error
