/**
 * Log-probabilities of option tokens after prompts, in one pass and without generating. Prompts of a question are branches of
 * one tree, so what they begin with in common passes once (data/batch.ts), and only the last state of each reaches the head.
 */
import { type PackedBatch, packs, type Tree } from '../../data/batch.ts'
import { targetStates, tokenPass } from '../../passes/head.ts'
import { place } from '../../passes/layout.ts'
import type { Model } from '../../passes/model.ts'
import { forward } from '../../passes/stack.ts'

export type TokenizedQuestion = {
  /** Token ids of each prompt, and the token that stands for each option after it. */
  prompts: readonly { ids: readonly number[]; labels: readonly number[] }[]
}

export type NormalizedLogps = {
  /** [prompts][options] in nats, normalised over the options */
  logps: number[][]
  /** [prompts] probability of all options together */
  mass: number[]
}

/** Tokens of questions that share a pass; a longer question has one of its own. */
const passTokens = 4096

/** In the order of the questions. What is no question (a failure) is handed on in its place. */
export async function* optionLogps<F extends { code: string }>(
  model: Model,
  questions: AsyncIterable<TokenizedQuestion | F>,
): AsyncGenerator<NormalizedLogps | F> {
  let pending: (TokenizedQuestion | F)[] = []
  let tokens = 0
  const flush = async () => {
    const asked = pending.filter((each): each is TokenizedQuestion => 'prompts' in each)
    const results = asked.length ? await passOf(model, asked) : []
    const handed = pending.map((each) => ('prompts' in each ? results.shift()! : each))
    pending = []
    tokens = 0
    return handed
  }
  for await (const question of questions) {
    const length = 'prompts' in question ? lengthOf(treeOf(question)) : 0
    if (pending.length && tokens + length > passTokens) yield* await flush()
    pending.push(question)
    tokens += length
  }
  if (pending.length) yield* await flush()
}

/** The beginning that all prompts share is the trunk. A branch keeps one token at least, whose state is read. */
const treeOf = ({ prompts }: TokenizedQuestion): Tree => {
  const [{ ids: first }, ...others] = prompts
  const limit = Math.min(...prompts.map(({ ids }) => ids.length)) - 1
  let shared = 0
  while (shared < limit && others.every(({ ids }) => ids[shared] === first[shared])) shared++
  return { trunk: first.slice(0, shared), branches: prompts.map(({ ids }) => ids.slice(shared)) }
}

const lengthOf = ({ trunk, branches }: Tree) => branches.reduce((n, branch) => n + branch.length, trunk.length)

const passOf = async (model: Model, questions: readonly TokenizedQuestion[]): Promise<NormalizedLogps[]> => {
  const K = Math.max(...questions.map(({ prompts }) => prompts.length))
  /** [questions][prompts][options] raw log-probabilities */
  const raw = questions.map(({ prompts }) => prompts.map((): number[] => []))
  for (const batch of packs(questions.map(treeOf), K, 'last')) {
    const { index, sequence } = batch.targets
    const targets = { index: [] as number[], label: [] as number[], sequence: [] as number[] }
    for (let m = 0; m < sequence.length; m++)
      for (const label of questions[Math.floor(sequence[m] / K)].prompts[sequence[m] % K].labels) {
        targets.index.push(index[m])
        targets.label.push(label)
        targets.sequence.push(sequence[m])
      }
    const logps = await logpsOf(model, { ...batch, targets })
    for (const [m, s] of targets.sequence.entries()) raw[Math.floor(s / K)][s % K].push(logps[m])
  }
  return raw.map((prompts) => {
    const normalized = prompts.map(normalize)
    return { logps: normalized.map(({ logps }) => logps), mass: normalized.map(({ mass }) => mass) }
  })
}

/** @returns [M] the log-probability of each target's label */
const logpsOf = async (model: Model, batch: PackedBatch): Promise<Float32Array> => {
  const { backend } = model
  const placed = place(model, batch)
  const { hidden } = forward(model, placed, 'none')
  const h = targetStates(model, hidden, placed)
  const { logps } = tokenPass(model, h, placed, ['logps'])
  const reading = backend.read(logps)
  backend.free([hidden, h, logps, ...placed.handles])
  return reading
}

/** Log-probabilities less the log of their sum, and that sum. */
export const normalize = (logps: readonly number[]): { logps: number[]; mass: number } => {
  const most = Math.max(...logps)
  const total = most + Math.log(logps.reduce((sum, logp) => sum + Math.exp(logp - most), 0))
  return { logps: logps.map((logp) => logp - total), mass: Math.exp(total) }
}
