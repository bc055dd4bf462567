/** The short form of `npm run attack`: the same attacks, on a server in this process, in a few seconds. */
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { threadEncoder } from '../src/serve/promptEncoder.ts'
import { loadTokenizerFolder } from '../src/text/tokenizer.node.ts'
import { accessMatrix, bodies, malformed, sendRaw, sleep, slow, type Target } from './support/attackServe.ts'
import { fixture } from './support/golden.ts'
import { openServed } from './support/served.ts'

let engine: Awaited<ReturnType<typeof openServed>>
beforeAll(async () => {
  engine = await openServed()
})
afterAll(() => engine.close())

const model = 'stories'
const portOf = ({ url }: { url: string }) => Number(new URL(url).port)
const corsOrigin = 'https://allowed.example'

/** Makes a tokenizer folder with a chat template. */
const withTemplate = () => {
  const folder = mkdtempSync(join(tmpdir(), 'attune-attack-'))
  cpSync(fixture('models/stories260K'), folder, { recursive: true })
  const turn = "{% for m in messages %}{{ '<s>' + m.role + ': ' + m.content | trim + '</s>' }}{% endfor %}"
  writeFileSync(join(folder, 'chat_template.jinja'), turn)
  return folder
}

describe('the server accepts requests', () => {
  it.each([
    ['only with a Host header that names this machine', {}],
    ['only with the right token, whatever the Host header', { token: 'right' }],
    ['from pages of the allowed CORS origin and of no other', { corsOrigins: [corsOrigin] }],
  ])('%s', async (_, options) => {
    const server = await engine.start(options)
    const target: Target = {
      port: portOf(server),
      model,
      ...options,
      corsOrigin: 'corsOrigins' in options ? corsOrigin : undefined,
    }
    const { accepted } = await accessMatrix(target, 7, 150)
    expect(accepted).toBeGreaterThan(0)
    expect(server.errors).toEqual([])
    await server.close()
  })

  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
  it.skipIf(!existsSync(executablePath))('in a browser, not from a page of another origin', async () => {
    const page = createServer((_, response) =>
      response.setHeader('content-type', 'text/html').end('<title>elsewhere</title>'),
    )
    await once(page.listen(0, '127.0.0.1'), 'listening')
    const origin = `http://127.0.0.1:${(page.address() as AddressInfo).port}`
    const [closed, open] = [await engine.start(), await engine.start({ corsOrigins: [origin] })]
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
    try {
      const tab = await browser.newPage()
      await tab.goto(origin)
      const tryAll = (url: string) =>
        tab.evaluate(async (url) => {
          const body = JSON.stringify({ model: 'stories', prompt: 'a', max_tokens: 1 })
          const ask = (path: string, init: RequestInit) =>
            fetch(`${url}/v1/${path}`, init).then(
              async (response) => `${response.type} ${response.status} ${(await response.text()).length > 0}`,
              () => 'refused',
            )
          const json = { 'content-type': 'application/json' }
          return [
            await ask('models', {}),
            await ask('models', { mode: 'no-cors' }),
            await ask('completions', { method: 'POST', body, headers: json }),
            await ask('completions', {
              method: 'POST',
              body,
              mode: 'no-cors',
              headers: { 'content-type': 'text/plain' },
            }),
          ]
        }, url)
      expect(await tryAll(closed.url)).toEqual(['refused', 'opaque 0 false', 'refused', 'opaque 0 false'])
      expect(await tryAll(open.url)).toEqual(['cors 200 true', 'opaque 0 false', 'cors 200 true', 'opaque 0 false'])
    } finally {
      await browser.close()
      await Promise.all([closed.close(), open.close()])
      page.close()
    }
  })
})

describe('the server keeps serving others', () => {
  it('during large, deeply nested or malformed bodies', async () => {
    const folder = withTemplate()
    const tokenizer = (await loadTokenizerFolder(folder))!
    const encoder = threadEncoder(tokenizer, { dir: folder }, { seconds: 3 })
    const server = await engine.start({ served: { ...engine.served, tokenizer, encoder } })
    const quick = (name: string) => !/MB|900,000|100,000 messages|1,000,000/.test(name)
    const { slowestOther } = await bodies({ port: portOf(server), model }, 30, quick)
    expect(slowestOther).toBeLessThan(3000)
    expect(server.errors).toEqual([])
    await server.close()
    await encoder.close()
    rmSync(folder, { recursive: true })
  })

  it('after malformed HTTP requests', async () => {
    const server = await engine.start()
    await malformed({ port: portOf(server), model }, 5, 20)
    expect(server.errors).toEqual([])
    await server.close()
  })

  it('while clients send slowly or do not read, and closes without waiting for them', async () => {
    const server = await engine.start({ maxRequests: 40 }, { closingSeconds: 1 })
    const { status, sockets } = await slow({ port: portOf(server), model }, 60)
    expect(status).toBe(200)
    const began = Date.now()
    await server.close()
    expect(Date.now() - began).toBeLessThan(3000)
    for (const socket of sockets) socket.destroy()
    expect(server.errors).toEqual([])
  })

  it('and times out on a request body that never arrives', async () => {
    const server = await engine.start({}, { requestSeconds: 0.6, readerSeconds: 0.6 })
    const port = portOf(server)
    const began = Date.now()
    const head =
      'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{'
    expect(await sendRaw(port, [head], { wait: 10_000 })).toMatch(/^HTTP\/1\.1 408/)
    expect(Date.now() - began).toBeLessThan(5000)
    await sleep(10)
    await server.close()
  })
})
