// Opens the page of echo_axum in headless Chromium and prints what it shows once the echo is there.
// usage: node --experimental-websocket chromium.mjs URL WANTED      WANTED: the protocol of the WebSocket, HTTP/2 or HTTP/1.1
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [url, wanted] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "chromium-"));
const browser = spawn("chromium", ["--headless=new", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors",
  `--user-data-dir=${profile}`, "--remote-debugging-port=0", "about:blank"]);
const end = (code, text) => {
  console.log(text);
  browser.once("exit", () => { rmSync(profile, { recursive: true, force: true, maxRetries: 5 }); process.exit(code); });
  browser.kill();
};
setTimeout(() => end(1, "timed out"), 60_000).unref();

const port = await new Promise(resolve => {
  let output = "";
  browser.stderr.on("data", data => {
    output += data;
    const found = output.match(/DevTools listening on ws:\/\/[^:]+:(\d+)\//);
    if (found) resolve(found[1]);
  });
});
const target = await (await fetch(`http://127.0.0.1:${port}/json/new?${encodeURIComponent(url)}`, { method: "PUT" })).json();
const devtools = new WebSocket(target.webSocketDebuggerUrl);
await new Promise(resolve => { devtools.onopen = resolve; });
let last = 0;
function evaluate(expression) {
  const id = ++last;
  devtools.send(JSON.stringify({ id, method: "Runtime.evaluate", params: { expression } }));
  return new Promise(resolve => {
    devtools.addEventListener("message", function take({ data }) {
      const message = JSON.parse(data);
      if (message.id !== id) return;
      devtools.removeEventListener("message", take);
      resolve(message.result?.result?.value ?? "");
    });
  });
}
for (;;) {
  const text = String(await evaluate("document.body ? document.body.innerText : ''"));
  if (text.includes("received: hello") || text.includes("closed:")) {
    end(text.includes(`its WebSocket runs over ${wanted}.`) && text.includes("received: hello") ? 0 : 1, text);
    break;
  }
  await new Promise(resolve => setTimeout(resolve, 100));
}
