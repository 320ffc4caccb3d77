"""The package `websockets` as a client: client_websockets.py URL CA-FILE."""

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import cases


class Peer(cases.Peer):
    def __init__(self, url, ca):
        tls = cases.trust(ca) if ca else None
        self.ws = connect(url, ssl=tls, max_size=2 << 20, proxy=None, legacy=True)

    def extensions(self):
        return self.ws.response.headers.get("Sec-WebSocket-Extensions", "")

    def send(self, message):
        self.ws.send(message)

    def recv(self):
        return self.ws.recv(timeout=10)

    def close(self, code, reason):
        self.ws.close(code, reason)
        return self.closed()

    def closed(self):
        try:
            return "open", self.ws.recv(timeout=10)
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")


cases.run(Peer)
