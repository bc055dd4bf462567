import { expect, it } from 'vitest'
import { openRewards } from './open.ts'
import { programSpec } from './programReward.ts'
import type { CompletionToScore, ProgramFunction, RewardContext } from './rewards.ts'

const completions = ['a', 'bb', 'ccc'].map(
  (text): CompletionToScore => ({
    prompt: 'p',
    promptIds: [],
    record: { wanted: text.length, prompt: 'p' },
    sample: { prompt: 0, sample: 0, ids: [7], logps: [], text, finish_reason: 'eos' },
  }),
)

const settings = { device: 'cpu', rewardTimeout: 0.2 } as const
const open = (functions: [string, ProgramFunction][]) =>
  openRewards({ ...settings, reward: functions.map(([spec]) => spec) }, {
    functions: new Map(functions),
  } as unknown as RewardContext)

const rewarded = async (reward: ProgramFunction) => {
  const { sources } = await open([[programSpec('mine', reward), reward]])
  expect(sources[0].name).toBe('mine')
  return sources[0].score(completions)
}

it('gets the columns of the row beside prompt and completion, all rows at once', async () => {
  const calls: unknown[] = []
  const rewards = await rewarded((rows) => {
    calls.push(rows)
    return rows.map(({ completion, wanted }) => completion.length - Number(wanted))
  })
  expect(rewards).toEqual([{ value: 0 }, { value: 0 }, { value: 0 }])
  expect(calls).toHaveLength(1)
  expect((calls[0] as unknown[])[1]).toEqual({
    prompt: 'p',
    completion: 'bb',
    wanted: 2,
    ids: [7],
    finish_reason: 'eos',
  })
})

it('may be asynchronous, abstain with null, and fail with NaN', async () => {
  const [one, two, three] = await rewarded(async () => [1, null, Number.NaN])
  expect([one, two]).toEqual([{ value: 1 }, expect.objectContaining({ abstains: true })])
  expect(three.trouble).toBe('mine gave NaN')
})

it('costs a row its reward and no more where it throws, and all of them where it is late', async () => {
  const thrown = await rewarded((rows) => {
    if (rows.some(({ completion }) => completion === 'bb')) throw new Error('no idea')
    return rows.map(() => 2)
  })
  expect(thrown.map(({ value }) => value)).toEqual([2, Number.NaN, 2])
  expect(thrown[1].trouble).toBe('mine threw: no idea')
  const late = await rewarded(() => new Promise(() => {}))
  expect(late.map(({ trouble }) => trouble?.includes('took more than 0.2 s'))).toEqual([true, true, true])
})

it('refuses what is no number for each row', async () => {
  await expect(rewarded(() => [1])).rejects.toThrow('gave 1 rewards for 3 rows')
  await expect(rewarded((() => 1) as never)).rejects.toThrow('gave number, not a list of numbers')
})

it('has a setting that changes with its text, and cannot be opened without it', async () => {
  const spec = programSpec('a', () => [1])
  expect(spec).toMatch(/^a=function:[0-9a-f]{16}$/)
  expect(programSpec('a', () => [2])).not.toBe(spec)
  const opened = openRewards({ ...settings, reward: [spec] }, {} as RewardContext)
  await expect(opened).rejects.toThrow(/function of the program/)
})
