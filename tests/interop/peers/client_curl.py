"""libcurl, through `curl_cffi`, as a client: client_curl.py URL CA-FILE."""

from select import select

from curl_cffi import CurlECode, CurlError, CurlInfo, CurlWsFlag, Session

import cases


class Peer(cases.Peer):
    def __init__(self, url, ca):
        self.session = Session(verify=ca or True)
        self.ws = self.session.ws_connect(url)

    def send(self, message):
        is_text = isinstance(message, str)
        message = message.encode() if is_text else message
        flag = CurlWsFlag.TEXT if is_text else CurlWsFlag.BINARY
        # send() of curl_cffi calls libcurl for as long as bytes are left, so never for an empty message.
        self.ws.send(message, flag) if message else self.ws.curl.ws_send(message, flag)

    def recv(self):
        data, flags = self.ws.recv()
        return data.decode() if flags & CurlWsFlag.TEXT else data

    def close(self, code, reason):
        self.send_close(code, reason)
        return self.closed()

    def closed(self):
        while True:
            try:
                data, frame = self.ws.curl.ws_recv()
                break
            except CurlError as error:
                if error.code != CurlECode.AGAIN:
                    raise
                select([self.ws.curl.getinfo(CurlInfo.ACTIVESOCKET)], [], [], 10)
        if not frame.flags & CurlWsFlag.CLOSE:
            return "open", frame.flags
        return int.from_bytes(data[:2], "big"), data[2:].decode()

    def answer(self, code, reason):
        self.send_close(code, reason)

    def send_close(self, code, reason):
        # Beside close() of curl_cffi, which does not wait for the answer.
        self.ws.curl.ws_send(code.to_bytes(2, "big") + reason.encode(), CurlWsFlag.CLOSE)


cases.run(Peer)
