/**
 * From the hidden states of a batch to each row's next token and its log-probability under the model's own
 * distribution, whatever sampling makes of it. Peculiar: the greedy choice and the log-sum-exp are made in the graph;
 * logits cross to JavaScript only where there is something to sample.
 */
import { logits } from '../nn/head.ts'
import { compileProgram } from '../onnx/model.ts'
import { executable, outerPart, scopeOf } from '../passes/model.ts'
import type { Handle } from '../runtime/backend.ts'
import { input, type Tensor } from '../tensor/tensor.ts'
import { runFailure } from '../util/fault.ts'
import type { Decoder } from './decode.ts'
import { fitsProgram } from './programs.ts'
import { candidates, chosen, reshapes } from './sampling.ts'
import type { Sequence } from './sequence.ts'

export type Choice = { id: number; logp: number }

/**
 * One token for each that asks, or why there is none. Frees `h`.
 * @param h [R, C] normed   @param from row of `h` that each reads
 */
export const choose = async (
  decoder: Decoder,
  h: Handle,
  asking: readonly Sequence[],
  from: readonly number[],
): Promise<(Choice | Error)[]> => {
  const { model } = decoder
  const { backend } = model
  const greedy = asking.every(({ options }) => options.temperature === 0 && !reshapes(options))
  const made = backend.run(greedy ? greedyProgram(decoder) : logitsProgram(decoder), {
    ...outerPart(model).handles,
    h,
  })
  const read = Promise.all(Object.values(made).map((handle) => backend.read(handle)))
  backend.free([h, ...Object.values(made)])
  const [first, second, third] = await read
  const V = model.config.vocab_size
  return asking.map((each, i) => {
    const r = from[i]
    if (greedy) return finite({ id: first[r], logp: second[r] })
    const row = first.subarray(r * V, (r + 1) * V)
    const left = candidates(row, each.options, { ...each, eosIds: each.options.eosIds })
    const id = chosen(left, each.options, drawOf(each))
    if (id === undefined) return runFailure('no-token', 'every token is banned; ban fewer')
    return finite({ id, logp: row[id] - second[r] - third[r] })
  })
}

const drawOf = ({ row, sample, seen, promptLength, options: { seed } }: Sequence) => ({
  seed,
  row,
  sample,
  position: seen.length - promptLength,
})

const finite = (choice: Choice): Choice | Error =>
  Number.isFinite(choice.logp)
    ? choice
    : runFailure('not-finite', "the model's scores are not finite; its weights may be damaged")

const headProgram =
  (name: string, outputs: (l: Tensor) => Record<string, Tensor>) =>
  ({ model, packed }: Decoder) => {
    const outer = outerPart(model)
    const { weight, ...options } = model.architecture.head(model.config)
    const isConstant = (input: string) => packed && input === weight && fitsProgram(outer.handles[weight].shape)
    const build = () => {
      const h = input('h', ['R', model.config.hidden_size])
      return compileProgram(name, outputs(logits(scopeOf(outer), h, { weight, ...options })), isConstant)
    }
    return executable(model, `${name} ${packed} ${outer.signature}`, build, outer.handles)
  }

/** log sum exp(l - max l), so that rounding is that of the difference and not of the logits. */
const spread = (l: Tensor) => l.sub(l.amax(-1, true)).exp().sum(-1).log()

/** The likeliest token of each row, [R], and its log-probability. */
const greedyProgram = headProgram('greedy', (l) => ({ id: l.argmax(), logp: spread(l).neg() }))

/** Logits [R, V], the largest of each row and what its log-sum-exp is above that, [R]. */
const logitsProgram = headProgram('sampled', (l) => ({ logits: l, top: l.amax(-1), spread: spread(l) }))
