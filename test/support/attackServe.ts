/**
 * Attacks on a server: forbidden requests, bodies at their limits, malformed requests, and slow clients.
 * Each attack throws if the server fails, and returns how many requests it made.
 */
import { connect, type Socket } from 'node:net'
import { expect } from 'vitest'
import { philox } from '../../src/util/rng.ts'

export type Target = { port: number; model: string; token?: string; corsOrigin?: string }

/** Random numbers below a bound, by seed and count. */
export const dice = (seed: number) => {
  let count = 0
  return (below: number) => philox(seed, 0, [count++, 0, 0, 0])[0] % below
}

/** Sends raw bytes. @returns what came back until the server closed the connection or the time was up */
export const sendRaw = async (port: number, parts: readonly string[], { pause = 0, wait = 2000, end = false } = {}) => {
  const socket = connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.on('error', () => {})
  const closed = new Promise((done) => socket.once('close', done))
  await Promise.race([new Promise<void>((done) => socket.once('connect', done)), closed])
  for (const part of parts) {
    socket.write(part, 'latin1')
    if (pause) await sleep(pause)
  }
  if (end) socket.end()
  await Promise.race([closed, sleep(wait)])
  socket.destroy()
  return Buffer.concat(chunks).toString('latin1')
}

export const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))
const statusOf = (response: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(response)?.[1] ?? 0)

// Access

const hosts = [
  '127.0.0.1',
  'localhost',
  'LOCALHOST',
  '[::1]',
  '127.9.9.9',
  'evil.example',
  'localhost.evil.example',
  'evil.example@localhost',
  'localhost@evil.example',
  'localhost:80:80',
  '0.0.0.0',
  '',
  undefined,
]
const loopback = new Set(['127.0.0.1', 'localhost', 'LOCALHOST', '[::1]', '127.9.9.9'])
const origins = [
  undefined,
  'null',
  'https://evil.example',
  'http://localhost',
  'http://127.0.0.1:3000',
  'https://allowed.example',
  'https://allowed.example.evil.example',
]
const tokens = [undefined, 'Bearer right', 'Bearer wrong', 'Basic right', 'right']
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']
const paths = ['/v1/models', '/v1/models/NAME', '/v1/completions', '/v1/chat/completions', '/v1//models']
const sites = [undefined, 'cross-site']

/**
 * Tries every combination of host, origin, token, method and path, or `most` of them. Throws if a forbidden request is accepted or
 * an allowed one refused. @returns how many were tried and accepted
 */
export const accessMatrix = async (target: Target, seed: number, most = Number.POSITIVE_INFINITY) => {
  const all = hosts.flatMap((host) =>
    origins.flatMap((origin) =>
      tokens.flatMap((token) =>
        methods.flatMap((method) =>
          paths.flatMap((path) => sites.map((site) => ({ host, origin, token, method, path, site }))),
        ),
      ),
    ),
  )
  const random = dice(seed)
  // Allowed requests are rare among them, so some are always added
  const honest = { host: 'localhost', origin: target.corsOrigin, token: target.token && `Bearer ${target.token}` }
  const asking = paths.slice(0, 2).map((path) => ({ ...honest, method: 'GET', path, site: undefined }))
  const chosen = most >= all.length ? all : [...asking, ...Array.from({ length: most }, () => all[random(all.length)])]
  let [accepted, next] = [0, 0]
  const visit = async () => {
    for (let i = next++; i < chosen.length; i = next++) if (await request(target, chosen[i])) accepted++
  }
  await Promise.all(Array.from({ length: 8 }, visit))
  return { tried: chosen.length, accepted }
}

type Attempt = { [K in 'host' | 'origin' | 'token' | 'site']: string | undefined } & { method: string; path: string }

const request = async ({ port, model, token, corsOrigin }: Target, attempt: Attempt): Promise<boolean> => {
  const path = attempt.path.replace('NAME', model)
  const body = JSON.stringify({
    model,
    prompt: 'a',
    max_tokens: 1,
    messages: path.includes('chat') ? [{ role: 'user', content: 'a' }] : undefined,
  })
  const own = path.includes('chat') ? body.replace('"prompt":"a",', '') : body
  const sent = attempt.method === 'POST' ? own : ''
  const headers = [
    attempt.host === undefined ? '' : `Host: ${attempt.host}${attempt.host === 'localhost' ? `:${port}` : ''}\r\n`,
    attempt.origin === undefined ? '' : `Origin: ${attempt.origin}\r\n`,
    attempt.token === undefined ? '' : `Authorization: ${attempt.token}\r\n`,
    attempt.site === undefined ? '' : `Sec-Fetch-Site: ${attempt.site}\r\n`,
    sent ? `Content-Type: application/json\r\nContent-Length: ${sent.length}\r\n` : '',
  ].join('')
  const response = await sendRaw(port, [
    `${attempt.method} ${path} HTTP/1.1\r\n${headers}Connection: close\r\n\r\n${sent}`,
  ])
  const status = statusOf(response)
  const context = `${JSON.stringify(attempt)}: ${response.slice(0, 200)}`
  expect(status, context).toBeGreaterThan(0)
  expect(status, context).toBeLessThan(500 + Number(attempt.method === 'TRACE' || attempt.method === 'BREW') * 100)
  // With a token every host name is allowed, also an empty one, but HTTP requires the header
  const named =
    token === undefined
      ? loopback.has(attempt.host ?? '')
      : attempt.host !== undefined && /^(\[::1\]|[\w.-]*)$/.test(attempt.host)
  const page = attempt.origin === undefined ? !/-site/.test(attempt.site ?? '') : attempt.origin === corsOrigin
  const known = token === undefined || /^bearer +right *$/i.test(attempt.token ?? '')
  const welcome = named && page && known
  if (status >= 200 && status < 300) {
    const preflight = attempt.method === 'OPTIONS' && status === 204 && attempt.origin !== undefined && page && named
    expect(welcome || preflight, context).toBe(true)
  }
  // Only pages of the allowed origin may read responses
  const readable = /^access-control-allow-origin: (.*)$/im.exec(response)?.[1].trim()
  if (readable !== undefined) expect([readable, attempt.origin], context).toEqual([corsOrigin, corsOrigin])
  const there = attempt.path === '/v1/models' || attempt.path === '/v1/models/NAME'
  if (welcome && attempt.method === 'GET' && there) expect(status, context).toBe(200)
  return status >= 200 && status < 300 && attempt.method !== 'OPTIONS'
}

// Bodies

const message = (content: unknown) => ({ messages: [{ role: 'user', content }] })
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

/** Bodies that are large, deeply nested or malformed; as text, since some are not JSON. */
export const hostileBodies = (model: string): [name: string, path: string, body: string][] => {
  const chat = (more: object) => JSON.stringify({ model, max_tokens: 1, ...more })
  const plain = (more: object) => JSON.stringify({ model, max_tokens: 1, prompt: 'a', ...more })
  const [c, t] = ['chat/completions', 'completions']
  const many = Array.from({ length: 100_000 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: 'x' }))
  return [
    ['100,000 control tokens', c, chat(message('</s>'.repeat(100_000)))],
    ['900,000 control tokens', c, chat(message('</s>'.repeat(900_000)))],
    ['a control token, then text', c, chat(message(`</s>${'word '.repeat(100_000)}`))],
    ['3 MB', c, chat(message('x'.repeat(3_000_000)))],
    ['3 MB of words', t, plain({ prompt: 'once upon a time '.repeat(180_000) })],
    ['3 MB of ids', t, plain({ prompt: Array.from({ length: 1_000_000 }, () => 7) })],
    ['100,000 messages', c, chat({ messages: many })],
    ['a deep message', c, `{"model":"${model}","messages":[{"role":"user","content":"a","x":${nested(100_000)}}]}`],
    ['a deep body', t, nested(1_000_000)],
    ['an open list', t, '['.repeat(1_000_000)],
    ['a deep field', t, `{"model":"${model}","prompt":${nested(99)}}`],
    ['keys without end', t, plain(Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, 1])))],
    ['a long name', t, plain({ ['n'.repeat(1_000_000)]: 1 })],
    ['__proto__', t, `{"model":"${model}","prompt":"a","max_tokens":1,"__proto__":{"n":2}}`],
    ['a broken surrogate', c, chat(message('\ud83d')).replace('\ufffd', '\\ud83d')],
    ['zero characters', c, chat(message('\0'.repeat(1000)))],
    ['unassigned characters', c, chat(message('\u{40041}'))],
    ['numbers beyond all', t, `{"model":"${model}","prompt":"a","max_tokens":1e999,"temperature":1e-999}`],
    [
      'a bias of everything',
      t,
      plain({ logit_bias: Object.fromEntries(Array.from({ length: 512 }, (_, i) => [i, -100])) }),
    ],
    ['many stops', t, plain({ stop: Array.from({ length: 17 }, (_, i) => `s${i}`) })],
    ['a long stop', t, plain({ stop: 's'.repeat(1_000_000), max_tokens: 8 })],
    ['many prompts', t, plain({ prompt: Array.from({ length: 100_000 }, () => 'a') })],
    ['a template variable', c, chat({ ...message('a'), chat_template_kwargs: { messages: [] } })],
    ['no UTF-8', t, '\xff\xfe'],
    ['nothing', t, ''],
  ]
}

/** Sends hostile bodies. Each must get a 200 or a readable 4xx, and other clients must get completions meanwhile. */
export const bodies = async ({ port, model }: Target, seconds = 30, wanted = (_name: string) => true) => {
  let slowest = 0
  const all = hostileBodies(model).filter(([name]) => wanted(name))
  for (const [name, path, body] of all) {
    const headers = { 'content-type': 'application/json' }
    const bytes = name === 'no UTF-8' ? Buffer.from(body, 'latin1') : body
    const signal = AbortSignal.timeout(seconds * 1000)
    const hostile = fetch(`http://127.0.0.1:${port}/v1/${path}`, { method: 'POST', headers, body: bytes, signal })
    const began = performance.now()
    const honest = fetch(`http://127.0.0.1:${port}/v1/completions`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ model, prompt: 'Once', max_tokens: 1 }),
    }).then(async (response) => {
      await response.text()
      slowest = Math.max(slowest, performance.now() - began)
      return response.status
    })
    const [response, status] = await Promise.all([hostile, honest])
    const text = await response.text()
    expect(status, name).toBe(200)
    expect(
      response.status === 200 || (response.status >= 400 && response.status < 500),
      `${name}: ${response.status} ${text.slice(0, 300)}`,
    ).toBe(true)
    if (response.status !== 200) expect(JSON.parse(text).error.message.length, name).toBeLessThan(1000)
  }
  return { tried: all.length, slowestOther: Math.round(slowest) }
}

// Malformed requests and slow clients

const opening = (length: number) =>
  `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`

/** Sends requests that are not HTTP or hide a second request. The hidden one must never get a 2xx, and none a 5xx. */
export const malformed = async ({ port, model }: Target, seed: number, rounds: number) => {
  const random = dice(seed)
  const body = JSON.stringify({ model, prompt: 'a', max_tokens: 1 })
  const base = `${opening(body.length)}${body}`
  const fixed = [
    'GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n',
    'GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    'GET /v1/models HTTP/1.1\nHost: localhost\n\n',
    `GET /${'a'.repeat(100_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: localhost\r\n${'x: y\r\n'.repeat(5000)}\r\n`,
    `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}\r\n0\r\n\r\n',
    'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n',
    'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{}',
    'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: -5\r\n\r\n{}',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'GET /v1/models HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    '\0\0\0\0',
  ]
  const mutated = Array.from({ length: rounds }, () => {
    const bytes = Buffer.from(base, 'latin1')
    for (let n = 1 + random(4); n > 0; n--) bytes[random(bytes.length)] = random(256)
    return bytes.toString('latin1').slice(0, 1 + random(2 * bytes.length))
  })
  const wait = 500
  for (const text of [...fixed, ...mutated]) {
    const response = await sendRaw(port, [text], { wait, end: true })
    for (const [, status] of response.matchAll(/^HTTP\/1\.1 (\d{3})/gm))
      expect(Number(status), JSON.stringify(text)).toBeLessThan(500)
    if (/evil/.test(text)) expect(response).not.toMatch(/^HTTP\/1\.1 2/m)
    expect([...response.matchAll(/^HTTP\/1\.1 2/gm)].length, JSON.stringify(text)).toBeLessThan(2)
  }
  return { tried: fixed.length + mutated.length }
}

/** Opens connections that stop in the middle of headers or bodies, never read, or disconnect. Other clients must be served. */
export const slow = async ({ port, model }: Target, count: number) => {
  const sockets: Socket[] = []
  const endless = JSON.stringify({
    model,
    prompt: 'Once upon a time',
    max_tokens: 40,
    n: 4,
    stream: true,
    logprobs: 20,
  })
  const kinds = [
    '',
    'POST /v1/completions HTTP/1.1\r\nHost: loc',
    opening(1000),
    `${opening(1000)}{"model"`,
    `${opening(endless.length)}${endless}`,
    'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"mod\r\n',
  ]
  for (let i = 0; i < count; i++) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.pause()
    socket.write(kinds[i % kinds.length])
    sockets.push(socket)
    // Some reset the connection
    if (i % 7 === 6) setTimeout(() => socket.resetAndDestroy(), 20)
  }
  await sleep(200)
  const began = performance.now()
  const answered = await fetch(`http://127.0.0.1:${port}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, prompt: 'Once', max_tokens: 2 }),
  })
  return { tried: count, status: answered.status, seconds: (performance.now() - began) / 1000, sockets }
}
