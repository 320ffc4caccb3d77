"""The package `aiohttp` as a client: client_aiohttp.py URL CA-FILE."""

import asyncio

import aiohttp

import cases

loop = asyncio.new_event_loop()


class Peer(cases.Peer):
    def __init__(self, url, ca):
        self.close_frame = (1006, "")
        loop.run_until_complete(self.connect(url, ca))

    async def connect(self, url, ca):
        self.session = aiohttp.ClientSession()
        options = {"ssl": cases.trust(ca)} if ca else {}
        self.ws = await self.session.ws_connect(
            url, compress=15, max_msg_size=2 << 20, autoclose=False, **options
        )

    def extensions(self):
        return f"permessage-deflate ({self.ws.compress} bits)" if self.ws.compress else ""

    def send(self, message):
        send = self.ws.send_str if isinstance(message, str) else self.ws.send_bytes
        loop.run_until_complete(send(message))

    def recv(self):
        return loop.run_until_complete(self.ws.receive(timeout=10)).data

    def close(self, code, reason):
        # What the server answers is read by close() itself; of it only the code is kept.
        loop.run_until_complete(self.ws.close(code=code, message=reason.encode()))
        self.end()
        return self.ws.close_code, ""

    def closed(self):
        message = loop.run_until_complete(self.ws.receive(timeout=10))
        assert message.type == aiohttp.WSMsgType.CLOSE, message
        loop.run_until_complete(self.ws.close(code=message.data, message=message.extra.encode()))
        self.end()
        return message.data, message.extra

    def end(self):
        loop.run_until_complete(self.session.close())


cases.run(Peer)
