"""Tornado as a client: client_tornado.py URL CA-FILE."""

import asyncio

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

import cases

loop = asyncio.new_event_loop()


class Peer(cases.Peer):
    def __init__(self, url, ca):
        self.ws = loop.run_until_complete(self.connect(HTTPRequest(url, ca_certs=ca)))

    async def connect(self, request):
        return await websocket_connect(request, compression_options={}, max_message_size=2 << 20)

    def send(self, message):
        loop.run_until_complete(self.write(message))

    async def write(self, message):
        await self.ws.write_message(message, binary=isinstance(message, bytes))

    def recv(self):
        return loop.run_until_complete(self.read())

    async def read(self):
        return await asyncio.wait_for(self.ws.read_message(), 10)

    def close(self, code, reason):
        loop.call_soon(self.ws.close, code, reason)
        return self.closed()

    def closed(self):
        assert self.recv() is None
        return self.ws.close_code, self.ws.close_reason


cases.run(Peer)
