// node --experimental-websocket client_node.mjs URL: Node's own WebSocket as a client.
import { run } from './cases.mjs'

await run(process.argv[2], (url) => new WebSocket(url), console.log)
