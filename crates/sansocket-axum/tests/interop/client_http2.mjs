// Opens WebSockets over one HTTP/2 connection of Node's `http2` and checks the echoes.
// usage: node client_http2.mjs URL [CA]     https://HOST:PORT or http://HOST:PORT
import { readFileSync } from "node:fs";
import http2 from "node:http2";

const [url, ca] = process.argv.slice(2);
const session = http2.connect(url, ca ? { ca: readFileSync(ca) } : {});
const fail = why => { console.error(why); process.exit(1); };
session.on("error", fail);
setTimeout(() => fail("timed out"), 20_000).unref();

const settings = session.remoteSettings.enableConnectProtocol !== undefined ? session.remoteSettings
  : await new Promise(resolve => session.once("remoteSettings", resolve));
if (!settings.enableConnectProtocol) fail("no extended CONNECT in the settings");

function ask(headers) {
  const stream = session.request({
    ":method": "CONNECT", ":protocol": "websocket", ":path": "/", ":scheme": url.split(":")[0],
    "sec-websocket-version": "13", ...headers,
  });
  return new Promise(resolve => stream.once("response", response => resolve([stream, response])));
}

/// A masked frame with FIN.
function frame(opcode, payload) {
  const mask = Buffer.from([1, 2, 3, 4]);
  const head = payload.length < 126 ? Buffer.from([0x80 | opcode, 0x80 | payload.length])
    : Buffer.from([0x80 | opcode, 0xfe, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([head, mask, payload.map((byte, at) => byte ^ mask[at % 4])]);
}

function read(stream, length) {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const take = data => {
      received = Buffer.concat([received, data]);
      if (received.length >= length) { stream.off("data", take); resolve(received); }
    };
    stream.on("data", take);
    stream.once("error", reject);
  });
}

const equal = (got, wanted, what) => {
  if (Buffer.compare(Buffer.from(got), Buffer.from(wanted)) !== 0) fail(`${what}: ${JSON.stringify(got)}`);
};

let [, response] = await ask({ "sec-websocket-version": "8" });
if (response[":status"] !== 400 || response["sec-websocket-version"] !== "13") fail(response);
[, response] = await ask({ ":protocol": "connect-udp" });
if (response[":status"] !== 501) fail(response);

const opened = await Promise.all(Array.from({ length: 50 }, () => ask({})));
await Promise.all(opened.map(async ([stream, response], number) => {
  if (response[":status"] !== 200) fail(response);
  const ended = new Promise(resolve => stream.once("end", resolve));
  const text = Buffer.from(`number ${number}`);
  stream.write(frame(1, text));
  equal(await read(stream, 2 + text.length), Buffer.concat([Buffer.from([0x81, text.length]), text]), "text");
  const large = Buffer.alloc(60_000, number);
  stream.write(frame(2, large));
  equal(await read(stream, 4 + large.length), Buffer.concat([Buffer.from([0x82, 126, 0xea, 0x60]), large]), "large");
  stream.write(frame(8, Buffer.from([0x03, 0xe8])));
  equal(await read(stream, 4), [0x88, 2, 0x03, 0xe8], "close");
  stream.end();
  stream.resume();
  await ended;
}));
session.close();
console.log(`${opened.length} WebSockets over one connection`);
