"""websocat as a client: client_websocat.py URL CA-FILE WEBSOCAT. A line of its pipes is a message, with T or B before it."""

import base64
import os
import subprocess
import sys

import cases


class Peer(cases.Peer):
    def __init__(self, url, ca):
        prefixes = ["--text-prefix", "T", "--binary-prefix", "B", "--base64"]
        closing = ["--close-status-code", "4001", "--close-reason", "à bientôt"]
        self.process = subprocess.Popen(
            [sys.argv[3], "-t", "--no-async-stdio", "-B", str(4 << 20), *prefixes, *closing, "-", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **({"SSL_CERT_FILE": ca} if ca else {})},
        )

    def send(self, message):
        is_text = isinstance(message, str)
        line = b"T" + message.encode() if is_text else b"B" + base64.b64encode(message)
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def recv(self):
        line = self.process.stdout.readline().rstrip(b"\n")
        return line[1:].decode() if line.startswith(b"T") else base64.b64decode(line[1:])

    def close(self, code, reason):
        """The end of the input closes, with what the command line says."""
        self.process.communicate(timeout=10)
        return "unknown", ""

    def closed(self):
        self.process.communicate(timeout=10)
        return "unknown", ""


# It takes an empty message for its own sign of the end.
cases.run(Peer, cases.SIZES[1:])
