/** The token sequences that a method makes of a row, with the tokens that its loss counts: what `attune check` looks at. */
import type { TextOptions } from '../../data/examples.ts'
import type { Prompt, Row } from '../../data/rows.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { RewardKind } from '../../rewards/notes.ts'
import { promptExample, promptSequence } from '../rl/context.ts'
import { checkedRule, type ExampleRule } from '../trainer/dataset.ts'
import { preferenceRule, rewardRule, textRule, unpairedRule } from '../trainer/exampleRules.ts'
import type { Made } from './rowChecks.ts'
import type { CheckedMethod } from './rowSigns.ts'

/** How a method reads rows. */
export type Method = {
  as: 'sft' | 'ranking' | 'unpaired' | 'prompt'
  /** The sequences of a row, or the reason why it is dropped. */
  read(row: Row, tokenization: Tokenization, count: (what: string) => void): Made | string
}

export type MethodOptions = TextOptions & {
  /** Whether the loss of dpo takes lists. */
  listwise: boolean
  /** The objective of a reward model. */
  kind: RewardKind
}

export const rowsAs = { sft: 'sft', dpo: 'ranking', kto: 'unpaired', reward: 'ranking', grpo: 'prompt' } as const

export const methodOf = (method: CheckedMethod, options: MethodOptions): Method => {
  const by =
    <R extends Row, E extends { truncated: boolean }>(
      ruleOf: (tokenization: Tokenization) => ExampleRule<R, E>,
    ): Method['read'] =>
    (row, tokenization, count) => {
      const { example, sequences } = checkedRule(ruleOf(tokenization), tokenization)
      const made = example(row as R, count)
      if (typeof made === 'string') return made
      if (made.truncated) count('truncated')
      return { truncated: made.truncated, sequences: () => sequences(made) }
    }
  const how = { oneBest: options.kind === 'best-of-n', byRatings: false }
  const reads: Record<CheckedMethod, Method['read']> = {
    sft: by((tokenization) => textRule(tokenization, options)),
    dpo: by((tokenization) => preferenceRule(tokenization, options.listwise)),
    kto: by(unpairedRule),
    reward: by((tokenization) => rewardRule(tokenization, how)),
    grpo: (row, tokenization) => {
      const example = promptExample(tokenization, row as Prompt)
      return typeof example === 'string' ? example : promptSequence(example)
    },
  }
  return { as: rowsAs[method], read: reads[method] }
}
