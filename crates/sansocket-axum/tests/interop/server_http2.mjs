// An echo server for WebSockets over HTTP/2 with Node's `http2`; frames of less than 64 KiB.
// usage: node server_http2.mjs [CERT KEY]     prints `listening on PORT`
import { readFileSync } from "node:fs";
import http2 from "node:http2";

const [cert, key] = process.argv.slice(2);
const settings = { enableConnectProtocol: process.env.NO_CONNECT === undefined };
const server = cert
  ? http2.createSecureServer({ cert: readFileSync(cert), key: readFileSync(key), settings })
  : http2.createServer({ settings });

server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  if (headers[":protocol"] !== "websocket" || headers["sec-websocket-version"] !== "13") {
    stream.respond({ ":status": 501 });
    stream.end("not a websocket");
    return;
  }
  if (headers[":path"] === "/refuse") {
    stream.respond({ ":status": 403, "x-reason": "because" });
    stream.end("refused");
    return;
  }
  stream.respond({ ":status": 200 });
  let received = Buffer.alloc(0);
  stream.on("data", data => {
    received = Buffer.concat([received, data]);
    for (;;) {
      let length = received[1] & 127, at = 2;
      if (received.length < 4) return;
      if (length === 126) { length = received.readUInt16BE(2); at = 4; }
      if (received.length < at + 4 + length) return;
      const mask = received.subarray(at, at + 4);
      const payload = received.subarray(at + 4, at + 4 + length).map((byte, at) => byte ^ mask[at % 4]);
      const opcode = received[0] & 15;
      stream.write(Buffer.concat([Buffer.from([received[0]]), received[1] === (128 | 126)
        ? Buffer.from([126, length >> 8, length & 255]) : Buffer.from([length]), payload]));
      received = received.subarray(at + 4 + length);
      if (opcode === 8) stream.end();
    }
  });
});
server.listen(0, "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
