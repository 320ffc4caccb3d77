"""An echo server with Tornado: server_tornado.py DEFLATE [CERTIFICATES KEY]; DEFLATE is on or off."""

import asyncio

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler

import servers


class Echo(WebSocketHandler):
    def get_compression_options(self):
        return {} if servers.DEFLATE else None

    def on_message(self, message):
        if close := servers.requested_close(message):
            self.close(*close)
        else:
            return self.write_message(message, binary=isinstance(message, bytes))

    def on_close(self):
        servers.report((self.close_code, self.close_reason))


async def main():
    application = Application([(r"/.*", Echo)], websocket_max_message_size=2 << 20)
    server = HTTPServer(application, ssl_options=servers.tls())
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    print(f"listening on 127.0.0.1:{sockets[0].getsockname()[1]}")
    await asyncio.Event().wait()


asyncio.run(main())
