import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { CompletionToScore } from '../../rewards/rewards.ts'
import { openLines } from '../../store/lines.node.ts'
import { meansOf, openScoreOptions, parseCounts, readScores, rewardJudge } from './judges.ts'

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-judges-'))
})
afterAll(() => rm(root, { recursive: true }))

const tokenization = {
  encoder: { eosId: 0, addsEos: false, size: 256, encode: (text: string) => ({ ids: [...Buffer.from(text)] }) },
} as unknown as Tokenization

/** Scores are shares of the longest answer to a prompt, so they depend on what stands beside it; the empty one fails. */
const relative = () => {
  const asked: string[][] = []
  const score = async (completions: readonly CompletionToScore[]) => {
    asked.push(completions.map(({ sample }) => sample.text!))
    return completions.map(({ sample }) => {
      const beside = completions.filter((other) => other.sample.prompt === sample.prompt)
      const longest = Math.max(...beside.map((other) => other.sample.text!.length))
      return sample.text ? { value: sample.text.length / longest } : { value: Number.NaN, trouble: 'empty' }
    })
  }
  return { asked, score }
}

const answers = [
  { prompt: 'a', responses: ['1', '4444', '22'] },
  { prompt: 'b', responses: ['55555', ''] },
]
const signal = new AbortController().signal

it('scores the answers to a prompt together, and makes only what a killed process left out', async () => {
  const { asked, score } = relative()
  const judge = rewardJudge({ score }, tokenization)
  const options = openScoreOptions(judge, answers)
  const first = await openLines(join(root, 'scores.jsonl'), options)
  // Two of three answers to the first prompt
  await first.append([{ score: 0.25 }, { score: 1 }])
  await first.close()
  const file = await openLines(join(root, 'scores.jsonl'), options)
  for await (const _ of judge.score(answers, file, { seed: 1, signal })) expect(file.length).toBe(5)
  const judged = await readScores(file, answers, judge.draws)
  await file.close()
  expect(judged.map(meansOf)).toEqual([
    [0.25, 1, 0.5],
    [1, undefined],
  ])
  expect(judged[1][1]).toEqual([{ text: '', score: undefined, dropped: 'empty' }])
  expect(parseCounts(judged)).toEqual({ judgements: 5, parsed: 4 })
  expect(asked).toEqual([['1', '4444', '22', '55555', '']])
})

it('asks nothing where all scores are there', async () => {
  const { asked, score } = relative()
  const judge = rewardJudge({ score }, tokenization)
  const file = await openLines(join(root, 'scores.jsonl'), openScoreOptions(judge, answers))
  for await (const _ of judge.score(answers, file, { seed: 1, signal })) expect.unreachable()
  await file.close()
  expect(asked).toEqual([])
})
