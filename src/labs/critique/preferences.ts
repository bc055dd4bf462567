/** The second phase: pairs of replies, of which a model prefers one under a drawn principle. */
import { comparingPrinciples, drawPrinciple } from '../../feedback/constitution/constitution.ts'
import { comparisonQuestion, responseRequest } from '../../feedback/constitution/dialogue.ts'
import { countPairs, type Pair, pairDropReasonOf, preferenceRow } from '../../feedback/constitution/preference.ts'
import type { FailedCall, Written } from '../../feedback/constitution/transcript.ts'
import { askComparisons, askTexts, type CallProgress, stageSeed } from './calls.ts'
import type { PhaseContext } from './context.ts'
import { type WrittenPhase, writePreferences } from './output.ts'

/** Apart from the stages of the first phase. */
const replyStage = 1_000_000

/** Undefined after an abort. */
export async function* comparePairs(context: PhaseContext): AsyncGenerator<CallProgress, WrittenPhase | undefined> {
  const { settings, constitution, models, conversations, calls } = context
  const { seed, keep } = settings
  const { model, judge } = models
  const principles = comparingPrinciples(constitution)
  const { prompts } = conversations
  const replies = yield* askTexts(calls, model, {
    of: 'replies',
    seed: stageSeed(seed, replyStage),
    prompts: prompts.map((prompt) => responseRequest(model.form, prompt)),
    samples: 2 * settings.pairs,
  })
  if (!replies) return undefined
  const pairs = prompts.flatMap((prompt, row) =>
    Array.from({ length: settings.pairs }, (_, pair): Pair => {
      const principle = drawPrinciple(principles, 'comparison', { seed, row, round: pair }).id
      return { row, pair, prompt, principle, ...repliesOf(replies[row].slice(2 * pair, 2 * pair + 2)) }
    }),
  )
  const isOpen = (pair: Pair) => pairDropReasonOf(pair, keep) === undefined
  const questionOf = new Map(principles.map(({ id, comparison }) => [id, comparison]))
  const open = pairs.filter(isOpen)
  const compared = yield* askComparisons(calls, judge, {
    of: 'comparisons',
    questions: open.map(({ prompt, principle, replies }) => {
      const [first, second] = replies!
      return comparisonQuestion(judge.form, constitution, prompt, questionOf.get(principle)!, [first.text, second.text])
    }),
  })
  if (!compared) return undefined
  const results = new Map(open.map((pair, i) => [pair, compared[i]]))
  const finished = pairs.map((pair): Pair => {
    const result = results.get(pair)
    const whole: Pair = { ...pair, ...(result && ('code' in result ? { failure: result } : { comparison: result })) }
    return { ...whole, dropped: pairDropReasonOf(whole, keep) }
  })
  return writePreferences(context, {
    pairs: finished,
    rows: finished.flatMap((each) => preferenceRow(model.form, each) ?? []),
    counts: countPairs(finished, principles),
  })
}

const repliesOf = (written: readonly (Written | FailedCall)[]): Pick<Pair, 'replies' | 'failure'> => {
  const failure = written.find((each): each is FailedCall => 'code' in each)
  return failure ? { failure } : { replies: written as [Written, Written] }
}
