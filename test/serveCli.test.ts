/** attune serve, attune chat, and attune generate with a model on a server, as processes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, describe, expect, it } from 'vitest'
import { answered, fakeEndpoint, send } from './support/fakeEndpoint.ts'
import { fixture } from './support/golden.ts'
import { root } from './support/project.ts'

const model = fixture('models/stories260K')
const dir = mkdtempSync(join(tmpdir(), 'attune-serve-'))
afterAll(() => rmSync(dir, { recursive: true }))
const secret = 'sk-a-key-of-the-test'
const env: NodeJS.ProcessEnv = { ...process.env, ATTUNE_CACHE: join(dir, 'cache'), OPENAI_API_KEY: secret }

const start = (...argv: string[]) => spawn(process.execPath, [join(root, 'bin/attune.js'), ...argv], { cwd: dir, env })

/** Runs a command to its end, with this text on stdin. */
const attune = async (argv: string[], input = '') => {
  const child = start(...argv)
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (text) => {
    stdout += text
  })
  child.stderr.on('data', (text) => {
    stderr += text
  })
  child.stdin.end(input)
  const [status] = await once(child, 'close')
  return {
    status,
    stdout,
    stderr,
    rows: () =>
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
  }
}

describe('attune generate with a model on a server', () => {
  it('prints rows in order with their cost, resumes from the cache and never prints the API key', async () => {
    let isDead = true
    const server = await fakeEndpoint(({ body }, response) => {
      const [{ content }] = body.messages as { content: string }[]
      if (isDead && content === 'c') send(response, { error: { message: `no ${secret}` } }, 400)
      else setTimeout(() => send(response, answered(`to ${content}`)), content === 'a' ? 40 : 1)
    })
    writeFileSync(
      join(dir, 'asked.jsonl'),
      ['a', 'b', 'c', 'd'].map((prompt) => `${JSON.stringify({ prompt })}\n`).join(''),
    )
    const from = ['generate', '--model', server.url, '--model-name', 'm', '--data', 'asked.jsonl', '--chat', '--json']
    const argv = [...from, '--concurrency', '2', '--price', '1,2']
    const broken = await attune(argv)
    expect(broken.status).toBe(2)
    expect(broken.stderr).toMatch(/error: row 2: m at http:\S+ answered 400 \(no \*\*\*\)/)
    expect(broken.rows().map(({ completion }) => completion)).toEqual(['to a', 'to b'])
    isDead = false
    const before = server.asked.length
    const whole = await attune(argv)
    expect(
      server.asked.slice(before).map(({ body }) => (body.messages as { content: string }[])[0].content),
    ).not.toContain('a')
    expect(whole.rows().map(({ completion, finish_reason }) => [completion, finish_reason])).toEqual(
      ['to a', 'to b', 'to c', 'to d'].map((text) => [text, 'stop']),
    )
    expect(whole.stderr).toMatch(/requested, \d from the cache, \d+ \+ \d+ tokens, \$0\.0000/)
    await server.close()
    delete env.OPENAI_API_KEY
    const again = await attune(argv)
    expect([again.status, again.rows().every(({ cached }) => cached)]).toEqual([0, true])
    expect([broken, whole, again].map(({ stdout, stderr }) => stdout + stderr).join()).not.toContain(secret)
  })

  it.each([
    [['--typical-p', '0.5'], '--typical-p: works only with local models'],
    [['--quantize', 'int4'], '--quantize: works only with local models'],
    [['--key-env', 'NO_SUCH_KEY'], 'NO_SUCH_KEY'],
  ])('%j is refused', async (more, message) => {
    const { status, stderr } = await attune(['generate', '--model', 'http://127.0.0.1:9/v1', '--prompt', 'x', ...more])
    expect([status, stderr]).toEqual([2, expect.stringContaining(message)])
  })
})

describe('attune serve', () => {
  it('names its model as --model-name says', async () => {
    const child = start('serve', '--model', model, '--model-name', 'my-model', '--port', '0', '--json')
    const [line] = await once(createInterface({ input: child.stdout }), 'line')
    const { data } = (await (await fetch(`${JSON.parse(line).url}/models`)).json()) as { data: { id: string }[] }
    expect(data.map(({ id }) => id)).toEqual(['my-model'])
    child.kill('SIGINT')
    await once(child, 'exit')
  })

  it('serves until SIGINT', async () => {
    const child = start('serve', '--model', model, '--port', '0', '--json')
    const [line] = await once(createInterface({ input: child.stdout }), 'line')
    const { url, model: name } = JSON.parse(line)
    const { data } = (await (await fetch(`${url}/models`)).json()) as { data: { id: string }[] }
    expect([data.map(({ id }) => id), name]).toEqual([['stories260K'], 'stories260K'])
    child.kill('SIGINT')
    expect((await once(child, 'exit'))[0]).toBe(0)
  })

  it('with --attached tells of loading and ends when its standard input ends', async () => {
    const child = start('serve', '--model', model, '--port', '0', '--json', '--attached')
    const events: { event: string }[] = []
    for await (const line of createInterface({ input: child.stdout })) {
      events.push(JSON.parse(line))
      if (events.at(-1)?.event === 'listening') break
    }
    expect(events[0]).toMatchObject({ event: 'progress', phase: 'load' })
    expect(events.at(-1)).toMatchObject({ event: 'listening', chat: false })
    child.stdin.end()
    expect((await once(child, 'exit'))[0]).toBe(0)
  })

  it.each([
    [['--host', '0.0.0.0'], 'can be reached from other machines; give --token-env'],
    [['--token-env', 'NO_SUCH_TOKEN'], 'there is no environment variable NO_SUCH_TOKEN'],
    [['--cors-origin', 'https://example.org/page'], '"https://example.org/page" is not an origin'],
  ])('%j is refused before the model is read', async (more, message) => {
    const { status, stderr } = await attune(['serve', '--model', 'no/such', ...more])
    expect([status, stderr]).toEqual([2, expect.stringContaining(message)])
  })
})

describe('attune chat', () => {
  it('through a pipe remembers earlier turns, and obeys /save and /reset', async () => {
    const lines = ['Once upon a time', 'And then', '/save talk.jsonl', '/reset', 'Once upon a time', '/nothing']
    const argv = ['chat', '--model', model, '--max-new-tokens', '8', '--temperature', '0', '--json']
    const { status, rows, stderr } = await attune(argv, `${lines.join('\n')}\n`)
    const [first, second, third] = rows()
    expect([status, first.content]).toEqual([0, ', there was a little girl'])
    expect(third).toEqual(first)
    const { messages } = JSON.parse(readFileSync(join(dir, 'talk.jsonl'), 'utf8'))
    expect(messages.map(({ content }: { content: string }) => content)).toEqual([
      lines[0],
      first.content,
      lines[1],
      second.content,
    ])
    expect(stderr).toContain('no chat template')
    expect(stderr).toContain('/reset      start a new conversation')
  })
})
