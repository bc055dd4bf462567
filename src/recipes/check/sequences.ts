/** The token sequences that a method makes of a row, with the tokens that its loss counts: what `attune check` looks at. */
import type { RankedExample, TextExample, TextOptions, UnpairedExample } from '../../data/examples.ts'
import type { Prompt, Ranking, Row, Sft, Unpaired } from '../../data/rows.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { RewardKind } from '../../rewards/notes.ts'
import { promptExample } from '../rl/context.ts'
import { checkedRule, type ExampleRule } from '../trainer/dataset.ts'
import { preferenceRule, rewardRule, textRule, unpairedRule } from '../trainer/exampleRules.ts'

export const checkedMethods = ['sft', 'dpo', 'kto', 'reward', 'grpo'] as const
export type CheckedMethod = (typeof checkedMethods)[number]

/** `targets` is 1 where a token is learnt. For a reward model these are the tokens of the response that it scores. */
export type Sequence = { name: string; ids: number[]; targets: number[] }
export type Sequences = { sequences: Sequence[]; truncated: boolean }

/** How a method reads rows. */
export type Method = {
  as: 'sft' | 'ranking' | 'unpaired' | 'prompt'
  /** The sequences of a row, or the reason why it is dropped. */
  read(row: Row, tokenization: Tokenization, count: (what: string) => void): Sequences | string
}

export type MethodOptions = TextOptions & {
  /** Whether the loss of dpo takes lists. */
  listwise: boolean
  /** The objective of a reward model. */
  kind: RewardKind
}

export const rowsAs = { sft: 'sft', dpo: 'ranking', kto: 'unpaired', reward: 'ranking', grpo: 'prompt' } as const

export const methodOf = (method: CheckedMethod, options: MethodOptions): Method => {
  const as = rowsAs[method]
  const by =
    <R extends Row, E extends { truncated: boolean }>(
      ruleOf: (tokenization: Tokenization) => ExampleRule<R, E>,
      sequencesOf: (example: E) => Sequence[],
    ): Method['read'] =>
    (row, tokenization, count) => {
      const example = checkedRule(ruleOf(tokenization), tokenization).example(row as R, count)
      if (typeof example === 'string') return example
      if (example.truncated) count('truncated')
      return { sequences: sequencesOf(example), truncated: example.truncated }
    }
  const reads: Record<CheckedMethod, Method['read']> = {
    sft: by<Sft, TextExample>((tokenization) => textRule(tokenization, options), textSequence),
    dpo: by<Ranking, RankedExample>((tokenization) => preferenceRule(tokenization, options.listwise), rankedSequences),
    kto: by<Unpaired, UnpairedExample>(unpairedRule, ({ label, prompt, completion }) => [
      answered(label ? 'good' : 'bad', prompt, completion),
    ]),
    reward: by<Ranking, RankedExample>(
      (tokenization) => rewardRule(tokenization, { oneBest: options.kind === 'best-of-n', byRatings: false }),
      rankedSequences,
    ),
    grpo: (row, tokenization) => {
      const example = promptExample(tokenization, row as Prompt)
      if (typeof example === 'string') return example
      return { sequences: [answered('prompt', example.ids, [])], truncated: false }
    },
  }
  return { as, read: reads[method] }
}

/** Nothing comes before the first token, so it is never learnt. */
const answered = (name: string, prompt: readonly number[], response: readonly number[]): Sequence => ({
  name,
  ids: [...prompt, ...response],
  targets: [...prompt.map(() => 0), ...response.map((_, t) => Number(t + prompt.length > 0))],
})

const textSequence = ({ ids, targets }: TextExample): Sequence[] => [
  { name: 'text', ids, targets: targets.map((target, t) => Number(t > 0 && target > 0)) },
]

/** Best first. */
const rankedSequences = ({ prompt, responses, ranks }: RankedExample): Sequence[] =>
  responses.map((response, k) => {
    const name = responses.length === 2 && ranks[0] !== ranks[1] ? ['chosen', 'rejected'][k] : `rank ${ranks[k] ?? '-'}`
    return answered(name, prompt, response)
  })
