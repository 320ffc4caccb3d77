// node server_ws.mjs DEFLATE [CERTIFICATES KEY]: an echo server with the package `ws`; DEFLATE is on or off.
// DEFLATE_OPTIONS in the environment says how, in JSON.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { createRequire } from 'node:module'

const { WebSocketServer } = createRequire(process.env.NODE_PACKAGES + '/')('ws')
const [deflate, cert, key] = process.argv.slice(2)
const server = cert ? https.createServer({ cert: readFileSync(cert), key: readFileSync(key) }) : http.createServer()
const options = JSON.parse(process.env.DEFLATE_OPTIONS ?? 'true')
const wss = new WebSocketServer({ server, perMessageDeflate: deflate === 'on' && options })
wss.on('connection', (ws) => {
  ws.on('message', (data, isBinary) => {
    const close = isBinary ? null : /^close (\d+) (.*)$/.exec(data.toString())
    if (close) ws.close(Number(close[1]), close[2])
    else ws.send(data, { binary: isBinary })
  })
  ws.on('close', (code, reason) => console.log(`closed ${code} ${reason}`))
  ws.on('error', (error) => console.log(`error ${error}`))
})
server.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`))
