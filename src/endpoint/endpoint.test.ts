/** The client of OpenAI-compatible servers, with servers that are rate-limited, slow, broken or wrong. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { collect } from '../../test/support/collect.ts'
import { answered, type FakeEndpoint, fakeEndpoint, type Reply, send } from '../../test/support/fakeEndpoint.ts'
import { type RemotePrompt, type RemoteSettings, remoteCompletions } from './completions.ts'
import { type EndpointOptions, openEndpoint } from './open.node.ts'

let root: string
let server: FakeEndpoint
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'attune-remote-'))
  vi.stubEnv('ATTUNE_CACHE', root)
  vi.stubEnv('OPENAI_API_KEY', 'sk-secret-of-the-test')
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await server?.close()
  rmSync(root, { recursive: true })
})

const echo: Reply = ({ body }, response) =>
  send(response, answered(`to ${body.prompt ?? (body.messages as { content: string }[])[0].content} ${body.seed}`))

/** A response without an end. */
const flood = (response: ServerResponse, status: number) => {
  response.writeHead(status, { 'content-type': 'application/json' })
  const piece = Buffer.alloc(1 << 20, 'x')
  const pour = () => {
    while (!response.destroyed && response.write(piece)) {}
    if (!response.destroyed) response.once('drain', pour)
  }
  pour()
}

const serve = async (reply: Reply) => {
  server = await fakeEndpoint(reply)
}
const open = (options: Partial<EndpointOptions> = {}) => openEndpoint({ url: server.url, model: 'm', ...options })
const prompts = (...texts: string[]): RemotePrompt[] => texts.map((prompt) => ({ prompt }))
const all = async (
  asked: RemotePrompt[],
  settings: Partial<RemoteSettings> = {},
  options: Partial<EndpointOptions> = {},
) => {
  const found = await collect(remoteCompletions(await open(options), asked, { maxNewTokens: 8, seed: 1, ...settings }))
  return found.sort((a, b) => a.row - b.row || a.sample - b.sample)
}

describe('completions', () => {
  it('come keyed by row and sample, for texts and for conversations, with their cost', async () => {
    await serve(echo)
    const endpoint = await open({ price: { prompt: 2, completion: 4 } })
    const asked = [{ prompt: 'a' }, { messages: [{ role: 'user', content: 'b' }] }]
    const found = await collect(remoteCompletions(endpoint, asked, { maxNewTokens: 8, samples: 2, seed: 1, topK: 3 }))
    expect(found.map(({ row, sample }) => `${row} ${sample}`).sort()).toEqual(['0 0', '0 1', '1 0', '1 1'])
    expect(new Set(found.map(({ text }) => text)).size).toBe(4)
    expect(found[0]).toMatchObject({ finishReason: 'stop', cached: false, usage: { promptTokens: 10 } })
    expect(server.asked.map(({ path }) => path).sort()).toEqual([
      '/v1/chat/completions',
      '/v1/chat/completions',
      '/v1/completions',
      '/v1/completions',
    ])
    expect(server.asked[0].body).toMatchObject({ model: 'm', max_tokens: 8, top_k: 3 })
    expect(server.asked[0].body).not.toHaveProperty('temperature')
    expect(endpoint.spent).toMatchObject({ asked: 4, cached: 0, promptTokens: 40, completionTokens: 20 })
    expect(endpoint.spent.cost).toBeCloseTo((40 * 2 + 20 * 4) / 1e6, 12)
  })

  it('are never requested twice: not by an equal prompt, a later run, or more samples', async () => {
    await serve(echo)
    const first = await all(prompts('a', 'b', 'a'))
    expect(server.asked).toHaveLength(2)
    expect(first[2].text).toBe(first[0].text)
    const second = await all(prompts('b', 'a'), { samples: 2 })
    expect(server.asked).toHaveLength(4)
    expect(second.filter(({ cached }) => cached).map(({ text }) => text)).toEqual([first[1].text, first[0].text])
    await all(prompts('a'), { seed: 2 })
    expect(server.asked).toHaveLength(5)
    await all(prompts('a'), { seed: undefined, samples: 3 })
    expect(server.asked).toHaveLength(8)
  })

  it('are cached in whole files without the key; a torn file is requested again', async () => {
    await serve(echo)
    await all(prompts('a'))
    const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    expect(files.map(({ name }) => name.replace(/^\w{64}/, ''))).toEqual(['.json'])
    const path = join(files[0].parentPath, files[0].name)
    const text = readFileSync(path, 'utf8')
    expect(text).not.toContain('sk-secret')
    writeFileSync(path, text.slice(0, 20))
    expect((await all(prompts('a')))[0]).toMatchObject({ text: expect.stringContaining('to a'), cached: false })
    expect((await all(prompts('a')))[0].cached).toBe(true)
  })

  it('come from the only model of the server, with the key of the environment or without one', async () => {
    await serve(({ path, body }, response) =>
      send(response, path === '/v1/models' ? { data: [{ id: 'one' }] } : answered(`${body.model}`)),
    )
    expect((await all(prompts('a'), {}, { model: undefined, url: server.url.replace('/v1', '') }))[0].text).toBe('one')
    expect(server.asked[1].headers.authorization).toBe('Bearer sk-secret-of-the-test')
    vi.stubEnv('OPENAI_API_KEY', undefined)
    await all(prompts('b'))
    expect(server.asked[2].headers.authorization).toBeUndefined()
    vi.stubEnv('OTHER_KEY', 'other')
    await all(prompts('c'), {}, { keyEnv: 'OTHER_KEY' })
    expect(server.asked[3].headers.authorization).toBe('Bearer other')
    await expect(open({ keyEnv: 'NO_SUCH_KEY' })).rejects.toThrow('NO_SUCH_KEY')
  })
})

describe('a rate-limited server', () => {
  it('holds back all requests for as long as it asks', async () => {
    let refused = 0
    const times: number[] = []
    await serve((asked, response, count) => {
      times.push(performance.now())
      if (count > 3) return echo(asked, response, count)
      refused++
      send(response, { error: { message: 'slow down' } }, 429, { 'retry-after': '0.3' })
    })
    const endpoint = await open({ concurrency: 3, retries: 0 })
    const found = await collect(
      remoteCompletions(endpoint, prompts('a', 'b', 'c', 'd', 'e', 'f'), { maxNewTokens: 8, seed: 1 }),
    )
    expect([found.length, refused, endpoint.spent.retries]).toEqual([6, 3, 3])
    expect(times[3] - times[0]).toBeGreaterThan(290)
  })

  it('is given time before it refuses, by its x-ratelimit headers', async () => {
    const times: number[] = []
    await serve((_, response, count) => {
      times.push(performance.now())
      const headers: Record<string, string> =
        count === 1 ? { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '250ms' } : {}
      send(response, answered('x'), 200, headers)
    })
    await all(prompts('a', 'b'), {}, { concurrency: 1 })
    expect(times[1] - times[0]).toBeGreaterThan(240)
  })

  it('that asks to wait for an hour ends the run, which another run can continue', async () => {
    await serve((_, response) => send(response, { error: { message: 'quota' } }, 429, { 'retry-after': '3600' }))
    await expect(all(prompts('a'))).rejects.toThrow(
      /^row 0: m at http:.* answered 429 \(quota\); .*run again .*to go on/,
    )
  })

  it('never gets more requests at once than `concurrency`', async () => {
    // Nothing is answered before three requests are there, and then only after a moment in which a fourth could come
    const waiting: (() => void)[] = []
    let most = 0
    const answerAll = () => {
      for (const answer of waiting.splice(0)) answer()
    }
    await serve((asked, response, count) => {
      waiting.push(() => echo(asked, response, count))
      most = Math.max(most, waiting.length)
      if (waiting.length === 3) setTimeout(answerAll, 20)
    })
    await all(prompts(...'abcdefghijkl'), {}, { concurrency: 3 })
    expect(most).toBe(3)
  })
})

describe('a server that fails', () => {
  it.each<[string, Reply, RegExp]>([
    ['never answers', () => {}, /gave no answer within 0.2 s/],
    [
      'stops in its headers',
      (_, r) => void r.writeHead(200, { 'content-type': 'application/json' }).write('{"c'),
      /within 0.2 s/,
    ],
    ['hangs up', (_, r) => void r.destroy(), /broke off/],
    [
      'hangs up in its answer',
      (_, r) => void r.writeHead(200, { 'content-length': '100' }).write('{', () => setTimeout(() => r.destroy(), 5)),
      /broke off/,
    ],
    ['sends no JSON', (_, r) => send(r, '<html>'), /malformed answer \(not JSON\)/],
    ['never ends an answer', (_, r) => flood(r, 200), /malformed answer \(longer than 32 MiB\)/],
    ['never ends a refusal', (_, r) => flood(r, 500), /answered 500/],
    ['sends another shape', (_, r) => send(r, { choices: [{ delta: 1 }] }), /malformed answer \(choices/],
    ['sends nothing', (_, r) => send(r, answered('')), /empty completion \(finish_reason stop\)/],
    ['sends null', (_, r) => send(r, answered(null)), /empty completion/],
    [
      'sends two',
      (_, r) => send(r, { choices: [...answered('a').choices, ...answered('b').choices] }),
      /2 completions instead of 1/,
    ],
    ['sends none', (_, r) => send(r, { choices: [] }), /0 completions instead of 1/],
    ['is broken', (_, r) => send(r, { error: { message: 'oh' } }, 500), /answered 500 \(oh\)/],
  ])('%s', async (_, reply, message) => {
    await serve(reply)
    const timeout = String(message).includes('within') ? 0.2 : 30
    const asked = all(prompts('a', 'b'), {}, { retries: 1, timeout, concurrency: 1 })
    await expect(asked).rejects.toThrow(message)
    await expect(asked).rejects.toMatchObject({
      where: { row: 0 },
      exitCode: 1,
      message: expect.stringContaining(server.url),
    })
    expect(server.asked).toHaveLength(2)
  })

  it.each<[string, number, string, RegExp]>([
    ['knows no such key', 401, 'endpoint-key', /OPENAI_API_KEY/],
    ['knows no such model', 404, 'endpoint-refused', /answered 404 \(no key \*\*\* here\)/],
    ['refuses a setting', 400, 'endpoint-refused', /answered 400/],
  ])('%s: asked once, and the key is not shown', async (_, status, code, message) => {
    await serve((_, r) => send(r, { error: { message: 'no key sk-secret-of-the-test here' } }, status))
    const asked = all(prompts('a'), {}, { concurrency: 1 })
    await expect(asked).rejects.toMatchObject({ code, exitCode: 2 })
    await expect(asked).rejects.toThrow(message)
    await expect(asked).rejects.not.toThrow(/sk-secret/)
    expect(server.asked).toHaveLength(1)
  })

  it('is down', async () => {
    await serve(echo)
    const { url } = server
    await server.close()
    await expect(all(prompts('a'), {}, { url })).rejects.toThrow(/cannot be reached \(ECONNREFUSED\); is the server/)
  })

  it('half way: requests under way are still yielded, and a second run requests only the rest', async () => {
    let isDead = false
    let underWay = () => {}
    const d = new Promise<void>((resolve) => {
      underWay = resolve
    })
    await serve(async ({ body }, r) => {
      if (body.prompt !== 'c') {
        if (body.prompt === 'd') underWay()
        return void setTimeout(() => send(r, answered('fine')), body.prompt === 'd' ? 40 : 2)
      }
      await d
      isDead = true
      send(r, { error: { message: 'dead' } }, 501, { 'x-should-retry': 'false' })
    })
    const seen: number[] = []
    const run = async () => {
      for await (const { row } of remoteCompletions(await open({ concurrency: 2 }), prompts(...'abcdef'), {
        maxNewTokens: 4,
      }))
        seen.push(row)
    }
    await expect(run()).rejects.toThrow('row 2')
    expect([isDead, seen.toSorted()]).toEqual([true, [0, 1, 3]])
    const before = server.asked.length
    server.reply = (_, r) => send(r, answered('fine'))
    await run()
    expect(server.asked.slice(before).map(({ body }) => body.prompt)).toEqual(['c', 'e', 'f'])
  })

  it('by refusing a parameter gets requests without it (newer and stricter models)', async () => {
    await serve((asked, r, count) => {
      if ('max_tokens' in asked.body) return send(r, { error: { message: "Use 'max_completion_tokens' instead" } }, 400)
      if ('seed' in asked.body) return send(r, { error: { message: 'seed: extra fields not permitted' } }, 422)
      echo(asked, r, count)
    })
    expect((await all(prompts('a', 'b'), {}, { concurrency: 1 })).map(({ text }) => text)).toHaveLength(2)
    expect(server.asked.at(-1)?.body).toEqual({ model: 'm', prompt: 'b', max_completion_tokens: 8 })
    expect(server.asked).toHaveLength(4)
  })

  it('by refusing a parameter gets all of them without it, where several requests were under way', async () => {
    let refuse = () => {}
    const allAsked = new Promise<void>((resolve) => {
      refuse = resolve
    })
    await serve(async (asked, r, count) => {
      if (server.asked.length === 3) refuse()
      await allAsked
      if ('max_tokens' in asked.body) return send(r, { error: { message: "Use 'max_completion_tokens' instead" } }, 400)
      echo(asked, r, count)
    })
    expect(await all(prompts('a', 'b', 'c'), {}, { concurrency: 3 })).toHaveLength(3)
    expect(server.asked).toHaveLength(6)
  })
})

describe('an abort signal', () => {
  it('ends the requests under way', async () => {
    await serve(() => {})
    const controller = new AbortController()
    const asked = all(prompts('a'), { signal: controller.signal })
    setTimeout(() => controller.abort(new Error('enough')), 30)
    await expect(asked).rejects.toThrow('enough')
    await expect(all(prompts('a'), { signal: controller.signal })).rejects.toThrow('enough')
  })
})

describe('addresses', () => {
  it.each([
    ['http://user:pass@localhost/v1', /password/],
    ['localhost:8000', /no address/],
    ['http://localhost/v1?key=1', /must end with its path/],
  ])('%s', async (url, message) => {
    const opened = openEndpoint({ url, model: 'm' })
    await expect(opened).rejects.toThrow(message)
    await expect(opened).rejects.not.toThrow(/pass@/)
  })
})
