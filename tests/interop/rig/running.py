"""Processes that end with the run, and a relay that counts what passes."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

# Nobody's proxy and everybody's UTF-8.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
    "PYTHONUTF8": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "LC_ALL": "C.UTF-8",
}


class Failed(Exception):
    pass


class Processes:
    """Whatever is started ends with this, all by their process group."""

    def __init__(self, folder):
        self.folder, self.running, self.count = Path(folder), [], 0

    def start(self, command, **environment):
        self.count += 1
        log = self.folder / f"{self.count}-{Path(command[0]).name}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**ENVIRONMENT, **environment},
                start_new_session=True,
            )
        self.running.append(process)
        return process, Log(log, process)

    def stop(self, process):
        for sign, patience in (signal.SIGTERM, 3), (signal.SIGKILL, 3):
            try:
                os.killpg(process.pid, sign)
            except ProcessLookupError:
                break
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                pass
        if process in self.running:
            self.running.remove(process)

    def stop_all(self):
        for process in list(self.running):
            self.stop(process)


class Log:
    """What a process has said."""

    def __init__(self, path, process):
        self.path, self.process = path, process

    def lines(self, skipped=0):
        return self.path.read_text(errors="replace").splitlines()[skipped:]

    def wait(self, found, seconds, skipped=0):
        """The lines as soon as `found(lines)`, or whatever is there after `seconds`."""
        end = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None
            lines = self.lines(skipped)
            if found(lines) or ended or time.monotonic() > end:
                return lines
            time.sleep(0.02)

    def port(self):
        """The port of a server that says `listening on 127.0.0.1:PORT`."""
        pattern = re.compile(r"listening on \S+:(\d+)")
        for line in self.wait(lambda lines: any(map(pattern.search, lines)), 15):
            if match := pattern.search(line):
                return int(match[1])
        raise Failed("does not listen: " + " | ".join(self.lines()[-5:]))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until_listening(port, log):
    for _ in range(150):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        if log.process.poll() is not None:
            break
        time.sleep(0.1)
    raise Failed("does not listen: " + " | ".join(log.lines()[-5:]))


class Tap:
    """Relays to a port; counts the bytes of each direction and reads the extensions in plain responses."""

    def __init__(self, target):
        self.target, self.to_server, self.to_client, self.extensions = target, 0, 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                return
            server.settimeout(None)
            for stream in client, server:
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.relay, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.relay, args=(server, client, True), daemon=True).start()

    def relay(self, source, sink, is_answer):
        head = bytearray()
        try:
            while data := source.recv(1 << 16):
                if is_answer:
                    self.to_client += len(data)
                    if b"\r\n\r\n" not in head:
                        head += data
                        self.read_head(head)
                else:
                    self.to_server += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for stream in source, sink:
                try:
                    stream.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def read_head(self, head):
        if b"\r\n\r\n" in head:
            pattern = rb"(?i)\r\nsec-websocket-extensions: *([^\r]*)"
            match = re.search(pattern, head.split(b"\r\n\r\n")[0])
            self.extensions.append(match[1].decode() if match else "")

    def close(self):
        # A thread that waits in accept() is woken by this, and not by close().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
