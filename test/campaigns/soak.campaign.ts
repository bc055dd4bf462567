/**
 * Many clients of `attune serve` at once: `npm run soak`.
 * CLIENTS (100) make REQUESTS (2,500) of every kind, and some disconnect in the middle. No request may fail, and the memory of
 * the server must not grow. Prints the measurements.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import OpenAI from 'openai'
import { expect, it } from 'vitest'
import { fixture } from '../support/golden.ts'
import { root } from '../support/project.ts'

const clients = Number(process.env.CLIENTS ?? 100)
const requests = Number(process.env.REQUESTS ?? 2500)
const model = 'stories260K'
const prompts = ['Once upon a time', 'The dog', 'Lily saw a big', 'One day, Tom and his mother went to the park']

/** MiB. */
const memoryOf = (pid: number) =>
  Number(execFileSync('ps', ['-o', 'rss=', '-p', `${pid}`], { encoding: 'utf8' })) / 1024

type Count = { tokens: number; hungUp: number }

const kinds: ((client: OpenAI, i: number, count: Count) => Promise<void>)[] = [
  async (client, i, count) => {
    const prompt = prompts[i % prompts.length]
    const { usage } = await client.completions.create({ model, prompt, max_tokens: 8 + (i % 40), seed: i })
    count.tokens += usage!.completion_tokens
  },
  async (client, i, count) => {
    const prompt = prompts[i % prompts.length].repeat(1 + (i % 3))
    const asked = { model, prompt, max_tokens: 8 + (i % 40), stream: true as const }
    const stream = await client.completions.create({ ...asked, stream_options: { include_usage: true } })
    for await (const { usage } of stream) count.tokens += usage?.completion_tokens ?? 0
  },
  async (client, i, count) => {
    const prompt = prompts[i % prompts.length]
    const { choices, usage } = await client.completions.create({ model, prompt, n: 2, max_tokens: 12, logprobs: 3 })
    expect(choices).toHaveLength(2)
    count.tokens += usage!.completion_tokens
  },
  async (client, i, count) => {
    const asked = { model, prompt: prompts[i % prompts.length], max_tokens: 400, stream: true as const }
    let chunks = 0
    for await (const _ of await client.completions.create(asked)) if (++chunks > 4) break
    count.hungUp++
  },
]

it(`the server answers ${requests} requests from ${clients} concurrent clients, and its memory stays bounded`, async () => {
  const argv = ['bin/attune.js', 'serve', '--model', fixture(`models/${model}`), '--port', '0', '--json']
  const server = spawn(process.execPath, argv, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  let complaints = ''
  server.stderr.on('data', (text) => {
    complaints += text
  })
  try {
    const [line] = await once(createInterface({ input: server.stdout }), 'line')
    const { url } = JSON.parse(line)
    const [count, errors] = [{ tokens: 0, hungUp: 0 }, [] as string[]]
    const table: object[] = []
    let [next, done] = [0, 0]
    const began = performance.now()
    const visitor = async () => {
      const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0, timeout: 600_000 })
      while (next < requests) {
        const i = next++
        await kinds[i % kinds.length](client, i, count).catch((error) => errors.push(`${i}: ${error}`))
        if (++done % Math.ceil(requests / 10) === 0) {
          const seconds = ((performance.now() - began) / 1000).toFixed(1)
          table.push({ requests: done, seconds, 'memory, MiB': Math.round(memoryOf(server.pid!)) })
        }
      }
    }
    await Promise.all(Array.from({ length: clients }, visitor))
    const seconds = (performance.now() - began) / 1000
    console.table(table)
    console.log({ ...count, seconds, tokensPerSecond: count.tokens / seconds, errors: errors.length })
    expect(errors).toEqual([])
    const memory = table.map((row) => Number((row as Record<string, number>)['memory, MiB']))
    const half = memory.length / 2
    // Caches fill in the first half
    expect(Math.max(...memory.slice(half))).toBeLessThan(1.1 * Math.max(...memory.slice(0, half)))
  } finally {
    server.kill('SIGINT')
    const [code] = await once(server, 'exit')
    expect([code, complaints.replace(/^closing.*\n/m, '')]).toEqual([0, ''])
  }
})
