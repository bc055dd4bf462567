/** `attune critique` from prompts to rows and pages: a local model, a server, a judge beside it, and runs that were killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { openRows } from '../src/data/openRows.node.ts'
import { type CritiqueEvent, critique } from '../src/labs/critique/critique.ts'
import { critiqueSchema } from '../src/labs/critique/settings.ts'
import { type Asked, answered, type FakeEndpoint, fakeEndpoint, type Reply, send } from './support/fakeEndpoint.ts'
import { fixture } from './support/golden.ts'

let root: string
const at = (...names: string[]) => join(root, ...names)
const linesOf = (...names: string[]) =>
  readFileSync(at(...names), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

const template =
  "{% for message in messages %}{{ message.content }}{% if message.role == 'assistant' %}{{ eos_token }}{% else %}\n{% endif %}{% endfor %}"
const principles = `
principles:
  - {id: kind, critique: Is it unkind?, revision: Be kind., comparison: Which is kinder?}
  - {id: short, kind: style, critique: Is it long?, revision: Be short., comparison: Which is shorter?}
frames: {critique: "{request}", revision: "{request}", comparison: "{conversation} {request} (A) {a} (B) {b}"}
`

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'attune-critique-'))
  vi.stubEnv('ATTUNE_CACHE', at('cache'))
  cpSync(fixture('models/stories260K'), at('plain'), { recursive: true })
  cpSync(at('plain'), at('chat'), { recursive: true })
  writeFileSync(at('chat', 'chat_template.jinja'), template)
  writeFileSync(at('mine.yaml'), principles)
  const prompts = ['Once upon a time', 'The old man', 'Lily had a', 'Tom saw', 'so '.repeat(600)]
  writeFileSync(at('prompts.jsonl'), prompts.map((prompt) => `${JSON.stringify({ prompt })}\n`).join(''))
  writeFileSync(at('few.jsonl'), '{"prompt": "one"}\n{"prompt": "two"}\n{"prompt": "three"}\n{"prompt": "four"}\n')
})
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true, force: true })
})

let server: FakeEndpoint | undefined
afterEach(async () => {
  await server?.close()
  server = undefined
})

const run = async (
  settings: Record<string, unknown>,
  signal?: AbortSignal,
  each: (event: CritiqueEvent) => void = () => {},
): Promise<CritiqueEvent[]> => {
  const events: CritiqueEvent[] = []
  const parsed = critiqueSchema.parse({ constitution: at('mine.yaml'), threads: 1, maxNewTokens: 12, ...settings })
  for await (const event of critique(
    { retries: 0, concurrency: 2, judgeModel: settings.judgeModel as string | undefined, ...parsed },
    { signal, command: ['attune', 'critique'] },
  )) {
    events.push(event)
    each(event)
  }
  return events
}
const result = (events: readonly CritiqueEvent[]) => {
  const last = events.at(-1)!
  if (last.event !== 'result') throw new Error(last.event)
  return last
}
const progressCount = (events: readonly CritiqueEvent[]) => events.filter(({ event }) => event === 'progress').length

describe('with a local model', () => {
  const filesIn = (folder: string) =>
    ['sft.jsonl', 'transcripts.jsonl'].map((name) => readFileSync(at(folder, name), 'utf8'))
  let whole: string[]
  const settings = { data: ['prompts.jsonl'], keep: ['cut'], rounds: 2 }
  const local = (more: Record<string, unknown> = {}) => ({
    ...settings,
    model: at('chat'),
    data: [at('prompts.jsonl')],
    ...more,
  })

  it('responds, criticises and revises, and keeps all that was written', async () => {
    const events = await run(local({ output: at('local') }))
    expect(events[0]).toMatchObject({ event: 'plan', phase: 'revisions', prompts: 5, rounds: 2, principles: 2 })
    const { counts, words, files } = result(events)
    expect(counts).toMatchObject({ rows: 5, kept: 4, dropped: { 'too-long': 1 } })
    expect(words[0]).toMatch(/4 of 5 prompts gave a row.*1 because the prompt/)
    whole = filesIn('local')
    const transcripts = linesOf('local', 'transcripts.jsonl')
    expect(transcripts.map(({ rounds }) => rounds.length)).toEqual([2, 2, 2, 2, 0])
    const rows = linesOf('local', 'sft.jsonl')
    expect(rows[0]).toEqual({
      prompt: [{ role: 'user', content: 'Once upon a time' }],
      completion: transcripts[0].rounds[1].revision.text,
    })
    const page = readFileSync(files.report, 'utf8')
    for (const part of ['before', 'critique: ', 'revision', 'Dropped: ']) expect(page).toContain(part)
    expect(page).not.toMatch(/src=|https?:\/\//)
  })

  it('asks for nothing twice, and for the new prompts alone where there are more', async () => {
    const again = await run(local({ output: at('local') }))
    // The call that failed, of the prompt that is too long
    expect(progressCount(again)).toBe(1)
    expect(filesIn('local')).toEqual(whole)
    const fewer = await run(local({ output: at('local'), maxSamples: 2, rounds: 1 }))
    expect(progressCount(fewer)).toBe(0)
    expect(result(fewer).counts).toMatchObject({ rows: 2, kept: 2 })
  })

  it('continues where it was stopped, with the same rows', async () => {
    const controller = new AbortController()
    let seen = 0
    const stopped = await run(local({ output: at('stopped') }), controller.signal, ({ event }) => {
      if (event === 'progress' && ++seen === 8) controller.abort()
    })
    expect(stopped.at(-1)).toEqual({ event: 'stopped', output: at('stopped') })
    expect(existsSync(at('stopped', 'sft.jsonl'))).toBe(false)
    const rest = await run(local({ output: at('stopped') }))
    expect(progressCount(rest)).toBeLessThan(21 - 6)
    expect(filesIn('stopped')).toEqual(whole)
  })

  it('prefers one of each pair, with a probability that training reads', async () => {
    const events = await run(local({ output: at('local'), preferences: true, pairs: 2 }))
    expect(result(events).counts).toMatchObject({ pairs: 10, kept: 8, dropped: { 'too-long': 2 }, compared: 8 })
    const rows = await openRows([at('local', 'preferences.jsonl')], { as: 'ranking' })
    expect([rows.length, rows.probable]).toEqual([8, true])
    const { responses, ranks, prob } = await rows.row(0)
    await rows.close()
    expect(prob).toBeGreaterThan(0.5)
    const [pair] = linesOf('local', 'pairs.jsonl')
    const p = (pair.comparison.asA + pair.comparison.asB) / 2
    const texts = pair.replies.map(({ text }: { text: string }) => text)
    expect([responses, ranks, prob]).toEqual([p > 0.5 ? texts : texts.reverse(), [1, 2], Math.max(p, 1 - p)])
    expect(readFileSync(at('local', 'preferences.html'), 'utf8')).toContain('better with probability')
  })

  it('asks a model without a chat template by plain text', async () => {
    writeFileSync(at('gap.jsonl'), '{"prompt": "one"}\n{"prompt": [{"role": "user", "content": ""}]}\n')
    const events = await run({
      model: at('plain'),
      data: [at('gap.jsonl')],
      output: at('text'),
      keep: ['cut', 'unchanged'],
    })
    expect(result(events).words.at(-1)).toBe('1 record of the files gave no prompt (empty-prompt 1).')
    const [row] = linesOf('text', 'sft.jsonl')
    expect(row.prompt).toBe('\n\nHuman: one\n\nAssistant:')
    expect(row.completion).toMatch(/^ \S/)
  })
})

const said = ({ body }: Asked) => (body.messages as { role: string; content: string }[]).map(({ content }) => content)

/** Says what it was asked for, and prefers the shorter reply by 0.8, whatever its place. */
const assistant: Reply = (asked, response) => {
  if (asked.path.endsWith('/models')) return send(response, { data: [{ id: 'stub' }] })
  const texts = said(asked)
  const last = texts.at(-1)!
  const pair = /\(A\) (.*) \(B\) (.*)$/.exec(last)
  if (pair) {
    const p = pair[1].length < pair[2].length ? 0.8 : 0.2
    const tops = [
      { token: 'A', logprob: Math.log(p) },
      { token: 'B', logprob: Math.log(1 - p) },
    ]
    const choice = {
      index: 0,
      message: { content: 'A' },
      finish_reason: 'stop',
      logprobs: { content: [{ top_logprobs: tops }] },
    }
    return send(response, answered('A', { choices: [choice] }))
  }
  const about = texts[0]
  if (/unkind|long/.test(last)) return send(response, answered(`Critique: it is ${last}`))
  if (/^Be/.test(last))
    return send(response, answered(about === 'two' ? 'Response to two' : `Revision: ${about} ${last}`))
  send(
    response,
    answered(
      `Response to ${about}${asked.body.seed === undefined ? '' : ` ${'!'.repeat(Number(asked.body.seed) % 7)}`}`.trim(),
    ),
  )
}

describe('with a server', () => {
  it('makes rows, counts a revision that changed nothing, and what was spent', async () => {
    server = await fakeEndpoint((asked, response, count) => {
      if (asked.body.seed) asked.body.seed = undefined
      assistant(asked, response, count)
    })
    const events = await run({ model: server.url, data: [at('few.jsonl')], rounds: 3, output: at('remote') })
    expect(result(events)).toMatchObject({
      counts: { rows: 4, kept: 3, dropped: { unchanged: 1 } },
      spent: { asked: 28, cached: 0, promptTokens: 280 },
    })
    const rows = linesOf('remote', 'sft.jsonl')
    expect(rows.map(({ completion }) => completion)).toEqual(
      ['one', 'three', 'four'].map((name) => expect.stringMatching(new RegExp(`^${name} Be (kind|short)\\.$`))),
    )
    const [{ rounds }] = linesOf('remote', 'transcripts.jsonl')
    expect(rounds).toHaveLength(3)
    expect(rounds[0].critique.text).toMatch(/^it is Is it/)
    // The critique and its request stand before the request for a revision
    const revisions = server.asked.filter((asked) => asked.body.messages && /^Be/.test(said(asked).at(-1)!))
    expect(said(revisions[0])).toHaveLength(5)
  })

  it('asks another judge for critiques and comparisons alone', async () => {
    server = await fakeEndpoint(assistant)
    const judge = await fakeEndpoint(assistant)
    try {
      const settings = { model: server.url, judge: judge.url, data: [at('few.jsonl')], keep: ['cut'] }
      await run({ ...settings, output: at('two'), keep: ['unchanged'] })
      const asks = (of: FakeEndpoint) => of.asked.filter(({ body }) => body.messages).map((each) => said(each).length)
      expect(new Set(asks(judge))).toEqual(new Set([3]))
      expect(new Set(asks(server))).toEqual(new Set([1, 5]))
      judge.asked.length = 0
      const events = await run({ ...settings, output: at('two'), preferences: true })
      const { counts } = result(events)
      expect(counts).toMatchObject({ pairs: 4, consistent: (counts as { compared: number }).compared, longer: 0 })
      for (const { prob, chosen, rejected } of linesOf('two', 'preferences.jsonl')) {
        expect(prob).toBeCloseTo(0.8)
        expect(chosen.length).toBeLessThan(rejected.length)
      }
      expect(judge.asked.filter(({ body }) => body.logprobs).length).toBe(2 * (counts as { compared: number }).compared)
    } finally {
      await judge.close()
    }
  })

  it('counts calls that failed, and asks again for these alone', async () => {
    let broken = true
    server = await fakeEndpoint((asked, response, count) => {
      const isHit = asked.body.messages && said(asked).at(-1)!.startsWith('Be') && said(asked)[0] === 'three'
      if (broken && isHit) send(response, { error: { message: 'not today' } }, 400)
      else assistant(asked, response, count)
    })
    const settings = { model: server.url, data: [at('few.jsonl')], output: at('failing'), keep: ['unchanged'] }
    const events = await run(settings)
    expect(result(events)).toMatchObject({
      counts: { kept: 3, dropped: { failed: 1 }, failures: { 'endpoint-refused': 1 } },
      words: expect.arrayContaining([expect.stringMatching(/endpoint-refused 1.*asks again/)]),
    })
    broken = false
    server.asked.length = 0
    const again = await run(settings)
    expect(result(again).counts).toMatchObject({ kept: 4, dropped: {} })
    expect(server.asked.filter(({ body }) => body.messages)).toHaveLength(1)
  })

  it('makes no call twice after kill -9, even without the cache of completions', async () => {
    const bin = fileURLToPath(new URL('../bin/attune.js', import.meta.url))
    const start = (url: string, cache: string): ChildProcess =>
      spawn(
        process.execPath,
        [bin, 'critique', '--model', url, '--data', at('few.jsonl'), '--constitution', at('mine.yaml')].concat([
          '--output',
          at('killed'),
          '--concurrency',
          '1',
          '--keep',
          'unchanged',
          '--json',
        ]),
        { env: { ...process.env, ATTUNE_CACHE: at(cache) }, stdio: 'ignore' },
      )
    const ended = (child: ChildProcess) =>
      new Promise((resolve) => child.on('exit', (code, signal) => resolve(signal ?? code)))
    const callsKept = () => (existsSync(at('killed', 'calls.jsonl')) ? linesOf('killed', 'calls.jsonl').length : 0)
    const served: string[] = []
    const held: ServerResponse[] = []
    let limit = 7
    server = await fakeEndpoint((asked, response, count) => {
      if (asked.body.messages) {
        // The call that is under way when the process is killed
        if (served.length >= limit) return void held.push(response)
        served.push(JSON.stringify(asked.body))
      }
      assistant(asked, response, count)
    })
    const first = start(server.url, 'cache-1')
    await vi.waitFor(() => expect([held.length, callsKept()]).toEqual([1, 7]), { timeout: 20_000, interval: 20 })
    const firstEnd = ended(first)
    first.kill('SIGKILL')
    expect(await firstEnd).toBe('SIGKILL')
    limit = 100
    expect(await ended(start(server.url, 'cache-2'))).toBe(0)
    expect(served).toHaveLength(12)
    expect(new Set(served).size).toBe(12)
    expect(linesOf('killed', 'sft.jsonl')).toHaveLength(4)
  }, 30_000)
})

describe('is refused', () => {
  const message = async (settings: Record<string, unknown>) => {
    try {
      await run({ model: at('chat'), data: [at('few.jsonl')], output: at('refused'), ...settings })
    } catch (error) {
      return (error as Error).message
    }
    return 'no error'
  }
  it('bad input, before anything is asked', async () => {
    writeFileSync(at('none.yaml'), 'principles: [{id: a, critique: b, revision: c}]')
    writeFileSync(
      at('tools.jsonl'),
      '{"messages": [{"role": "user", "content": "a"}], "tools": [{"type": "function"}]}\n',
    )
    writeFileSync(at('empty.jsonl'), '{"prompt": [{"role": "user", "content": ""}]}\n')
    expect(await message({ constitution: at('missing.yaml') })).toMatch(/missing\.yaml/)
    expect(await message({ constitution: at('few.jsonl') })).toMatch(/few\.jsonl: is not YAML/)
    expect(await message({ constitution: at('none.yaml'), preferences: true })).toMatch(/has a "comparison"/)
    expect(await message({ data: [at('tools.jsonl')] })).toMatch(/tools\.jsonl.*tools/)
    expect(await message({ data: [at('empty.jsonl')] })).toMatch(/every prompt is empty/)
    expect(await message({ preferences: true, keep: ['unchanged'] })).toMatch(/--keep: unchanged is of revisions/)
    expect(await message({ judgeModel: 'x' })).toMatch(/--judge-model: names the model of a judge/)
    expect(await message({ model: at('plain'), chat: true })).toMatch(/--chat: needs a chat template/)
    expect(existsSync(at('refused')) ? readdirSync(at('refused')) : []).toEqual([])
    expect(await message({ output: at('chat') })).toMatch(/no folder of attune critique/)
  })
})
