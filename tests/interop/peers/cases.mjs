// What every client with the browsers' WebSocket interface does; `say` takes the lines that the driver judges.

const SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]

function text(size) {
  return 'aé€𝄞'.repeat(Math.floor(size / 10)) + 'x'.repeat(size % 10)
}

function binary(size) {
  const bytes = new Uint8Array(size)
  let state = 1
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 69069) + 1) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}

function open(url, create) {
  const ws = create(url)
  ws.binaryType = 'arraybuffer'
  const waiting = []
  ws.next = () => new Promise((resolve) => waiting.push(resolve))
  ws.ended = new Promise((resolve) => ws.addEventListener('close', resolve))
  ws.addEventListener('message', (event) => waiting.shift()(event.data))
  ws.ended.then(() => waiting.forEach((resolve) => resolve(null)))
  const opened = new Promise((resolve, reject) => {
    ws.addEventListener('open', () => resolve(ws))
    ws.addEventListener('error', (event) => reject(new Error(`not opened: ${event.message ?? ''}`)))
  })
  return opened
}

function same(sent, received) {
  if (typeof sent === 'string') return received === sent
  if (!(received instanceof ArrayBuffer) || received.byteLength !== sent.length) return false
  const bytes = new Uint8Array(received)
  return bytes.every((byte, at) => byte === sent[at])
}

function report(began, event, say) {
  say(event.wasClean ? `closed ${began} ${event.code} ${event.reason}` : `error closed ${began} ${event.code}, not clean`)
}

export async function run(url, create, say) {
  try {
    let ws = await open(url, create)
    say(`extensions ${ws.extensions}`)
    for (const size of SIZES) {
      for (const [name, message] of [[`text ${size}`, text(size)], [`binary ${size}`, binary(size)]]) {
        const answer = ws.next()
        ws.send(message)
        say(same(message, await answer) ? `ok ${name}` : `error ${name} came back different`)
      }
    }
    ws.close(4001, 'à bientôt')
    report('client', await ws.ended, say)

    ws = await open(url, create)
    ws.send('close 4002 à plus tard')
    report('server', await ws.ended, say)
  } catch (error) {
    say(`error ${error}`)
  }
}
