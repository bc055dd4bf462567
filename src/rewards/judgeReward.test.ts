/** A judge as a source of rewards: grades, comparisons within a prompt, comparisons with other completions, failures. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { type JudgeStub, judgeStub } from '../../test/support/judgeStub.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { judgeIn, judgeReward } from './judgeReward.ts'
import type { CompletionToScore } from './rewards.ts'

let root: string
let stub: JudgeStub | undefined
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'attune-judge-reward-'))
  vi.stubEnv('ATTUNE_CACHE', root)
})
afterEach(() => stub?.close())
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

const context = {
  tokenization: { tokenizer: {} as Tokenizer },
  own: <T>(opened: T) => opened,
}
const open = (more: object = {}) => judgeReward(`${stub!.url}#m`, { device: 'cpu', ...more }, context)
const [first, second] = [[1], [2]]
const completion = (promptIds: readonly number[], text: string): CompletionToScore => ({
  prompt: `prompt ${promptIds[0]}`,
  promptIds,
  record: {},
  sample: { text, ids: [], finish_reason: 'eos' } as unknown as CompletionToScore['sample'],
})
/** Better the more of x there is. */
const quality = (answer: string) => (answer.split('x').length - 1) / 10

it.each([
  ['judge:model', 'model'],
  ['judge:http://h/v1#m', 'http://h/v1#m'],
  ['http://h/v1#m', 'http://h/v1#m'],
  ['runs/reward', undefined],
  ['judged', undefined],
])('the spec %s names the judge %s', (spec, judge) => {
  expect(judgeIn(spec)).toBe(judge)
})

it('grades, by a prompt of the user where there is one', async () => {
  stub = await judgeStub({ quality })
  const judgePrompt = join(root, 'mine.md')
  writeFileSync(judgePrompt, '# user\nMine: {question}\n<answer>\n{answer}\n</answer>\n{format}')
  const { score, files } = await open({ judgePrompt })
  expect(await score([completion(first, 'x'), completion(first, 'xxxx')])).toEqual([{ value: 2 }, { value: 5 }])
  expect(JSON.stringify(stub.asked[0].body)).toContain('Mine: prompt 1')
  expect(files?.map(({ path }) => path)).toEqual([judgePrompt])
})

it('has no reward where there is no grade', async () => {
  stub = await judgeStub({ garbage: 1 })
  const [reward] = await (await open()).score([completion(first, 'x')])
  expect(reward.value).toBeNaN()
  expect(reward.trouble).toMatch(/no grade/)
})

it('compares the completions of each prompt, each pair in both orders', async () => {
  stub = await judgeStub({ quality })
  const { score } = await open({ judgeMode: 'pairwise' })
  const texts = ['xx', 'x', 'x', 'xxx']
  const rewards = await score([
    ...texts.map((text) => completion(first, text)),
    completion(second, 'y'),
    completion(second, 'x'),
  ])
  expect(rewards.map(({ value }) => value)).toEqual([2 / 3, 0.5 / 3, 0.5 / 3, 1, 0, 1])
  // Of 6 + 1 pairs one has equal texts; three requests are the same for both of the equal texts
  expect(stub.calls()).toBe(2 * (3 + 1))
})

it('compares with other completions of the prompts, and a judge that likes places decides nothing', async () => {
  stub = await judgeStub({ quality })
  const { scoreAgainst } = await open({ judgeMode: 'pairwise' })
  const rewards = await scoreAgainst!([completion(first, 'xx'), completion(second, 'x')], ['x', 'xx'])
  expect(rewards).toEqual([{ value: 1 }, { value: 0 }])
  await stub.close()
  stub = await judgeStub({ first: 1 })
  const biased = await open({ judgeMode: 'pairwise' })
  expect(await biased.score([completion(first, 'xx'), completion(first, 'x')])).toEqual([
    { value: 0.5 },
    { value: 0.5 },
  ])
})
