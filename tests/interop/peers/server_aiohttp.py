"""An echo server with the package `aiohttp`: server_aiohttp.py DEFLATE [CERTIFICATES KEY]; DEFLATE is on or off."""

import asyncio

from aiohttp import WSMsgType, web

import servers


async def echo(request):
    ws = web.WebSocketResponse(compress=servers.DEFLATE, max_msg_size=2 << 20, autoclose=False)
    await ws.prepare(request)
    while True:
        message = await ws.receive()
        if message.type == WSMsgType.BINARY:
            await ws.send_bytes(message.data)
        elif message.type == WSMsgType.TEXT:
            if not (close := servers.requested_close(message.data)):
                await ws.send_str(message.data)
                continue
            # close() reads the answer itself and keeps only its code.
            await ws.close(code=close[0], message=close[1].encode())
            servers.report((ws.close_code, ""))
            return ws
        elif message.type == WSMsgType.CLOSE:
            await ws.close(code=message.data, message=message.extra.encode())
            servers.report((message.data, message.extra))
            return ws
        else:
            print(f"error {message}")
            return ws


async def main():
    app = web.Application()
    app.router.add_get("/{tail:.*}", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=servers.tls())
    await site.start()
    print(f"listening on 127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


asyncio.run(main())
