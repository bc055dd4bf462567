/** Agreement with people and position bias against the figures published for real judges. */
import { describe, expect, it } from 'vitest'
import { agreementFigures, votedPairs } from '../../src/feedback/bias/agreement.ts'
import { markOrderFigures } from '../../src/feedback/bias/markOrder.ts'
import { type Orders, positionFigures } from '../../src/feedback/bias/position.ts'
import { selfFigures } from '../../src/feedback/bias/selfEnhancement.ts'
import { readJudgements } from '../../src/feedback/winRate/readJudgements.ts'
import { feedbackFile, feedbackJson, jsonRows } from '../support/feedback.ts'

const judgedIn = async (name: string) => (await readJudgements([feedbackFile(name)])).judgements

describe('MT-bench', async () => {
  const published = feedbackJson('mtbench.json')
  const [gpt4, human] = await Promise.all(['mtbench-gpt4.jsonl.gz', 'mtbench-human.jsonl.gz'].map(judgedIn))

  it('GPT-4 and people agree as table 5 of the paper has it, on the same number of votes', () => {
    const ofTurn = (pairs: typeof gpt4) => pairs.filter(({ turn }) => turn === 1)
    const experts = ofTurn(human).filter(({ judge }) => judge?.startsWith('expert_'))
    const figures = agreementFigures(votedPairs(ofTurn(gpt4), experts))
    const { turn1 } = published.recomputed_table_5
    const names = {
      judge_human_with_ties: 'gpt4_human_with_ties',
      judge_human_no_ties: 'gpt4_human_no_ties',
      human_human_with_ties: 'human_human_with_ties',
      human_human_no_ties: 'human_human_no_ties',
    } as const
    for (const [key, name] of Object.entries(names) as [keyof typeof names, string][]) {
      const { value, low, high, n } = figures[key]!
      expect([n, Math.round(value * n)], key).toEqual([turn1[name].n, turn1[name].agree])
      expect(Math.round(100 * value)).toBe(published.paper_table_5.turn1[name].percent)
      expect(low < value && value < high && high - low < 0.15, key).toBe(true)
    }
  })
})

describe('GPT-4 on MT-bench', async () => {
  const [gpt4, human] = await Promise.all(['mtbench-gpt4.jsonl.gz', 'mtbench-human.jsonl.gz'].map(judgedIn))
  const first = (pairs: typeof gpt4) => pairs.filter(({ turn }) => turn === 1)

  it('agrees with the majority of people beyond chance as reported', () => {
    const { kappa } = agreementFigures(votedPairs(first(gpt4), first(human)))
    const { n, kappa: reported } = feedbackJson('mtbench.json').report.turn1
    expect([kappa!.n, Number(kappa!.value.toFixed(3))]).toEqual([n, reported])
  })

  it('favours its own answers by the 10 points of section 3.3 of the paper, over both turns', () => {
    const { difference } = selfFigures(gpt4, human, 'gpt-4')!
    expect(Math.round(100 * difference.value)).toBe(10)
    expect(difference.low).toBeGreaterThan(0)
  })
})

describe('QLoRA', () => {
  it.each(jsonRows(feedbackFile('qlora-marks.jsonl.gz')))(
    'the order in which $system and ChatGPT are shown moves the marks as published',
    ({ chatgpt_first, system_first, published }) => {
      type Marks = [number, number] | null
      const figures = markOrderFigures(
        (chatgpt_first as Marks[]).map((first, i) => ({ item: String(i), first, second: system_first[i] })),
      )!
      expect(Math.abs(100 * figures.a_first.value - published.chatgpt_first)).toBeLessThan(0.05)
      expect(Math.abs(100 * figures.b_first.value - published.system_first)).toBeLessThan(0.05)
      expect(Math.abs(100 * figures.mean.value - published.mean)).toBeLessThan(0.05)
      expect(figures.effect.low).toBeGreaterThan(-0.01)
    },
  )
})

describe('LLMBar', () => {
  const verdictOf = (character: string) => (character === '1' ? 'A' : character === '2' ? 'B' : 'error')

  it.each(jsonRows(feedbackFile('llmbar-orders.jsonl.gz')))(
    '$set, $judge, $prompt',
    ({ original, swapped, published, computed }) => {
      const pairs = [...(original as string)].map(
        (character, i): Orders => ({ item: String(i), orders: [verdictOf(character), verdictOf(swapped[i])] }),
      )
      const figures = positionFigures(pairs)!
      const bothUnreadable = [...(original as string)].filter((character, i) => character === '-' && swapped[i] === '-')
      expect(100 * figures.consistent.value + bothUnreadable.length).toBeCloseTo(published.equal, 9)
      expect(figures.prefers_first!.value).toBeCloseTo(computed.prefers_first, 9)
      const shares = ['consistent', 'first', 'second', 'error'] as const
      expect(shares.reduce((sum, name) => sum + figures[name].value, 0)).toBeCloseTo(1, 12)
    },
  )
})
