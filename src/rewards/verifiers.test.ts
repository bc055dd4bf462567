import { describe, expect, it } from 'vitest'
import { withWritten } from '../util/jsonNotes.ts'
import type { CompletionToScore } from './rewards.ts'
import { verifier } from './verifiers.ts'

const completion = (prompt: string, text: string, record: Record<string, unknown> = {}): CompletionToScore => ({
  prompt,
  promptIds: [],
  record,
  sample: { prompt: 0, sample: 0, ids: [], logps: [], text, finish_reason: 'eos' },
})

describe('verifiers', () => {
  it.each<[string, string, string, number]>([
    ['arithmetic', '12+7=', '19', 1],
    ['arithmetic', '12+7=', '190', 0],
    ['arithmetic', '12+7=', ' 19.', 1],
    ['arithmetic', '12+7=', '', 0],
    ['arithmetic', 'What is 2 + 3 * 4 - 1?', '= 13', 1],
    ['arithmetic', '99999999999999999999+1=', '100000000000000000000', 1],
    ['arithmetic', '3+-5=', '-2', 1],
    ['arithmetic', 'no sum', '1', Number.NaN],
    ['arithmetic', '3.5+2=', '7', 0],
    ['arithmetic', '3.5+2=', '5.50', 1],
    ['arithmetic', '(2+3)*4=', '20', 1],
    ['arithmetic', '1,000+2=', '2', 0],
    ['arithmetic', '1,000+2=', '1002', 1],
    ['arithmetic', '10-4/2=', '8', 1],
    ['arithmetic', '2^3+1=', '9', 1],
    ['arithmetic', '2+3!=', '8', Number.NaN],
    ['regex:^yes$', '', 'yes', 1],
    ['regex:^yes$', '', 'yes, sir', 0],
    ['regex:(?i)dear guest', '', 'Hello, Dear Guest!', 1],
    ['regex:(?im)^DEAR$', '', 'Hello\ndear', 1],
    ['regex:dear', '', 'Dear', 0],
  ])('%s of %j and %j', async (spec, prompt, text, expected) => {
    expect((await verifier(spec))!(completion(prompt, text)).value).toBe(expected)
  })

  it('compare with the texts, numbers and lists of a column', async () => {
    const compared = (await verifier('exact:answer'))!
    const exact = (given: CompletionToScore) => compared(given).value
    expect(exact(completion('', ' 42\n', { answer: 42 }))).toBe(1)
    expect(exact(completion('', 'b', { answer: ['a', 'b'] }))).toBe(1)
    expect(exact(completion('', '4', { answer: 42 }))).toBe(0)
    const text = '{"answer": [12345678901234567890, 2.50]}'
    const kept = withWritten(JSON.parse(text), text) as Record<string, unknown>
    expect(exact(completion('', '12345678901234567890', kept))).toBe(1)
    expect(exact(completion('', '2.50', kept))).toBe(1)
    expect(exact(completion('', '2.5', kept))).toBe(0)
  })

  it.each([null, undefined, [], [null], {}, [{ a: 1 }]])('fail where a column holds %j', async (value) => {
    const compared = (await verifier('exact:answer'))!
    for (const text of ['null', 'undefined', '', '[object Object]']) {
      const reward = compared(completion('', text, { answer: value }))
      expect(reward.value).toBeNaN()
      expect(reward.trouble).toContain('holds no text or number')
    }
  })

  it('fail where a pattern backtracks for ever, and end the run the third time', async () => {
    const matches = (await verifier('regex:(\\w+\\s?)+~'))!
    const hard = completion('', 'word '.repeat(10_000))
    expect(matches(completion('', 'a ~')).value).toBe(1)
    for (let i = 0; i < 2; i++) expect(matches(hard).trouble).toContain('took more than a second')
    expect(() => matches(hard)).toThrow(/on 3 completions; write it simpler/)
  })

  it.each(['x'.repeat(100_000), '(a{1000}){1000}{1000}', '(?<', '('.repeat(9000)])(
    'refuse a pattern that does not compile or is too large',
    async (source) => {
      await expect(verifier(`regex:${source}`)).rejects.toThrow(/^"regex:.{0,250}: .*\(--reward, --judge\)$/)
    },
  )

  it('are not named by the folder of a reward model, a URL or a path of Windows', async () => {
    for (const spec of ['runs/reward', 'http://127.0.0.1:1/v1#m', 'C:\\runs\\reward'])
      expect(await verifier(spec)).toBeUndefined()
  })

  it.each(['regx:foo', 'regex:'])('are refused where there is no such kind: %s', async (spec) => {
    await expect(verifier(spec)).rejects.toThrow(/is no reward: .*regex:PATTERN/)
  })
})
