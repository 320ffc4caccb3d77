"""The package `websocket-client` as a client: client_websocket_client.py URL CA-FILE."""

import websocket

import cases


class Peer(cases.Peer):
    def __init__(self, url, ca):
        options = {"ca_certs": ca} if ca else {}
        self.ws = websocket.create_connection(url, timeout=10, sslopt=options)

    def send(self, message):
        is_text = isinstance(message, str)
        self.ws.send(message, websocket.ABNF.OPCODE_TEXT if is_text else websocket.ABNF.OPCODE_BINARY)

    def recv(self):
        return self.ws.recv()

    def close(self, code, reason):
        self.ws.send_close(code, reason.encode())
        return self.closed()

    def closed(self):
        opcode, data = self.ws.recv_data(control_frame=True)
        if opcode != websocket.ABNF.OPCODE_CLOSE:
            return "open", opcode
        self.ws.shutdown()
        return int.from_bytes(data[:2], "big"), data[2:].decode()


cases.run(Peer)
