// node client_ws.mjs URL CA-FILE: the package `ws` as a client.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { run } from './cases.mjs'

const { WebSocket } = createRequire(process.env.NODE_PACKAGES + '/')('ws')
const [url, ca] = process.argv.slice(2)
const options = url.startsWith('wss:') ? { ca: readFileSync(ca) } : {}
await run(url, (url) => new WebSocket(url, options), console.log)
