// node client_undici.mjs URL: undici's WebSocket as a client; whom it trusts is in NODE_EXTRA_CA_CERTS.
import { createRequire } from 'node:module'
import { run } from './cases.mjs'

const { WebSocket } = createRequire(process.env.NODE_PACKAGES + '/')('undici')
await run(process.argv[2], (url) => new WebSocket(url), console.log)
