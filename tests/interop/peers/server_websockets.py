"""An echo server with the package `websockets`: server_websockets.py DEFLATE [CERTIFICATES KEY]; DEFLATE is on or off."""

import asyncio

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

import servers


async def echo(ws):
    try:
        async for message in ws:
            if close := servers.requested_close(message):
                await ws.close(*close)
            else:
                await ws.send(message)
    except ConnectionClosed:
        pass  # it takes all codes but 1000 and 1001 for errors
    frame = ws.protocol.close_rcvd
    servers.report(frame and (frame.code, frame.reason))


async def main():
    compression = "deflate" if servers.DEFLATE else None
    options = {"compression": compression, "ssl": servers.tls(), "max_size": 2 << 20}
    async with serve(echo, "127.0.0.1", 0, **options) as server:
        print(f"listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await server.serve_forever()


asyncio.run(main())
