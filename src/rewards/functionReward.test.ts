import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { functionReward } from './functionReward.ts'
import type { CompletionToScore } from './rewards.ts'

const dir = mkdtempSync(join(tmpdir(), 'attune-function-'))
afterAll(() => rmSync(dir, { recursive: true }))

const completions = ['a', 'b', 'c'].map(
  (text): CompletionToScore => ({
    prompt: '',
    promptIds: [],
    record: {},
    sample: { prompt: 0, sample: 0, ids: [], logps: [], text, finish_reason: 'eos' },
  }),
)

let files = 0
/** What the function's body gives for three completions, called twice. */
const rewarded = async (body: string, seconds = 5) => {
  const file = join(dir, `${files++}.mjs`)
  writeFileSync(file, `export default (rows) => { ${body} }`)
  const source = await functionReward(file, seconds)
  try {
    return [await source.score(completions), await source.score(completions)]
  } finally {
    await source.close()
  }
}

it('abstains where the function gives null, and fails where it gives no number', async () => {
  const [rewards] = await rewarded('return [1, null, NaN]')
  expect(rewards[0]).toEqual({ value: 1 })
  expect(rewards[1]).toMatchObject({ abstains: true })
  expect(rewards[2].trouble).toContain('gave NaN')
  await expect(rewarded('return rows.map(() => undefined)')).rejects.toThrow(/type undefined, not a number or null/)
})

it('says what a prompt is where a chat is taken for a text', async () => {
  const file = join(dir, `${files++}.mjs`)
  writeFileSync(file, 'export default (rows) => rows.map(({ prompt }) => prompt.toLowerCase().length)')
  const source = await functionReward(file, 5)
  const [, ...texts] = completions
  const chat = { ...completions[0], prompt: [{ role: 'user', content: 'Hi' }] }
  const [{ trouble }, ...others] = await source.score([chat, ...texts])
  expect(trouble).toContain('threw: prompt.toLowerCase is not a function (here a prompt is a list of messages')
  expect(others.map(({ value }) => value)).toEqual([0, 0])
  await source.close()
})

it('costs a row its reward and no more where the function throws, or ends its process', async () => {
  for (const end of ['throw new Error("no\\nidea")', 'process.exit(0)']) {
    const began = performance.now()
    const twice = await rewarded(`if (rows.some((row) => row.completion === 'b')) ${end}; return rows.map(() => 2)`)
    for (const rewards of twice) {
      expect(rewards.map(({ value }) => value)).toEqual([2, Number.NaN, 2])
      expect(rewards[1].trouble).toMatch(/threw: no|process\.exit/)
    }
    expect(performance.now() - began).toBeLessThan(5000)
  }
})

it('loses no reward by what is thrown between calls', async () => {
  for (const later of [
    'setTimeout(() => { throw new Error("later") }, 0)',
    'void Promise.reject(new Error("later"))',
  ]) {
    const body = `${later}; return rows.map(() => 2)`
    for (const rewards of await rewarded(body)) for (const { value, trouble } of rewards) expect(value, trouble).toBe(2)
  }
})

it('fails a call that waits when something is thrown beside it', async () => {
  const body = 'setTimeout(() => { throw new Error("beside") }, 0); return new Promise(() => {})'
  for (const rewards of await rewarded(body))
    for (const { trouble } of rewards) expect(trouble).toContain('threw: beside')
})

it('goes on with a new worker where the process was ended between calls', async () => {
  const body = 'if (rows.length > 1) setTimeout(() => process.exit(0), 0); return rows.map(() => 2)'
  for (const rewards of await rewarded(body)) for (const { value, trouble } of rewards) expect(value, trouble).toBe(2)
})

it('keeps what the function prints out of stdout', async () => {
  const written: string[] = []
  const [out, err] = [process.stdout.write, process.stderr.write]
  process.stdout.write = (() => expect.fail('stdout was written')) as never
  process.stderr.write = ((text: Buffer) => Boolean(written.push(text.toString()))) as never
  try {
    await rewarded('console.log("seen"); return [1, 1, 1]')
  } finally {
    process.stdout.write = out
    process.stderr.write = err
  }
  expect(written.join('')).toContain('seen')
})

it('fails where the function takes too long', async () => {
  const [late] = await rewarded('for (;;) {}', 2)
  expect(late[0].trouble).toContain('--reward-timeout')
})
