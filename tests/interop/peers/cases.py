"""What every client in Python does; each brings the five calls of `Peer` and prints what the driver judges."""

import ssl
import sys

SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]


class Peer:
    """One connection. A close is `(code, reason)`."""

    def send(self, message):
        raise NotImplementedError

    def recv(self):
        """A str or bytes."""
        raise NotImplementedError

    def close(self, code, reason):
        """Closes and returns what the server answered."""
        raise NotImplementedError

    def closed(self):
        """Waits for the server's close and returns it."""
        raise NotImplementedError

    def answer(self, code, reason):
        """Answers the server's close; most have done so by themselves."""

    def extensions(self):
        return ""


def text(size):
    return "aé€𝄞" * (size // 10) + "x" * (size % 10)


def binary(size):
    message, state = bytearray(size), 1
    for at in range(size):
        state = (state * 69069 + 1) & 0xFFFFFFFF
        message[at] = state >> 24
    return bytes(message)


def trust(ca):
    return ssl.create_default_context(cafile=ca)


def report(began, close):
    code, reason = close
    print(f"closed {began} {code} {reason}")


def run(connect, sizes=SIZES):
    """`connect(url, ca)` gives a `Peer`; `ca` is None for plain URLs."""
    url, ca = sys.argv[1], sys.argv[2]
    ca = ca if url.startswith("wss:") else None
    try:
        peer = connect(url, ca)
        print(f"extensions {peer.extensions()}")
        for size in sizes:
            for name, message in (f"text {size}", text(size)), (f"binary {size}", binary(size)):
                peer.send(message)
                print(f"ok {name}" if peer.recv() == message else f"error {name} came back different")
        report("client", peer.close(4001, "à bientôt"))

        peer = connect(url, ca)
        peer.send("close 4002 à plus tard")
        close = peer.closed()
        report("server", close)
        peer.answer(*close)
    except Exception as error:
        print(f"error {type(error).__name__} {error}")
