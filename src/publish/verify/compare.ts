/** Compares an export, as another program reads it, with what the model says: what drifts, and where. */

import { toGguf, writtenTypes } from '../../checkpoint/ggufBlocks.ts'
import { dequantize } from '../../checkpoint/ggufDequantize.ts'
import { quoted } from '../../util/quote.ts'
import { numel } from '../../util/shape.ts'
import type { Conversation, ExportReader } from './reader.ts'

/** One comparison: what it found, and what is wrong where something is. */
export type Check = { name: string; found: string; wrong: readonly string[] }

/** What the model itself says. */
export type Expected = {
  /** Undefined for a model of ids alone. */
  text?: {
    encode(text: string): readonly number[]
    addsBos: boolean
    bosId?: number
    /** Prompts that a chat template makes, by the source of the template; undefined for a model without one. */
    prompts?(source?: string): Promise<readonly string[]>
    /** The conversations that they are made of. */
    conversations: readonly Conversation[]
  }
  /** The first is the one of the tokenizer. */
  eosIds: readonly number[]
  /**
   * Ids to score, their log-probabilities as attune computes them from the exported weights and from the model's own, and the mean
   * difference beyond which a program computes something else.
   */
  scored: { ids: readonly number[]; logps: readonly number[]; own: readonly number[]; limit: number }
}

/** Texts on which tokenizers differ: digits, contractions, spaces, line breaks, scripts, code. */
const texts = [
  'Once upon a time, there was a little girl named Lily.',
  "I'll say 'hello'; you're NOT 12345 or 3.14!",
  'Déjà vu: naïve façade, Straße. Привет, мир! 你好，世界 こんにちは 🙂👍🏽',
  'def f(x):\n    return {"a": x ** 2}\n\n\tif True:  pass',
  'two  spaces   and a tab\t, trailing ',
  'https://example.org/a?b=c&d=%20 e-mail@x.com C++ C# $5.00 50%',
]

export const compareWithReader = async (expected: Expected, reader: ExportReader): Promise<Check[]> => [
  ...(expected.text
    ? [await tokens(expected.text, reader), await template(expected.text, reader), beginning(expected.text, reader)]
    : []),
  ends(expected, reader),
  await logProbs(expected, reader),
]

type Texts = NonNullable<Expected['text']>

const tokens = async ({ encode, prompts }: Texts, reader: ExportReader): Promise<Check> => {
  const all = [...texts, ...((await prompts?.()) ?? [])]
  const wrong = all.flatMap((text) => {
    const [ours, theirs] = [encode(text), reader.tokenize(text)]
    const at = ours.findIndex((id, i) => theirs[i] !== id)
    if (at < 0 && ours.length === theirs.length) return []
    const place = at < 0 ? ours.length : at
    return [
      `${quoted(text, 60)}: token ${place} is ${theirs[place] ?? 'missing'}, and the model's is ${ours[place] ?? 'none'}`,
    ]
  })
  return { name: 'tokens', found: `${all.length - wrong.length} of ${all.length} texts have the same ids`, wrong }
}

const template = async ({ prompts, conversations }: Texts, reader: ExportReader): Promise<Check> => {
  const { chatTemplate, render } = reader
  const name = 'chat template'
  if (!prompts)
    return chatTemplate === undefined
      ? { name, found: 'none, as in the model', wrong: [] }
      : { name, found: 'one', wrong: ['the file has a chat template, and the model has none'] }
  if (chatTemplate === undefined) return { name, found: 'none', wrong: ['the file has no chat template'] }
  const ours = await prompts()
  const theirs = render ? conversations.map(render) : await prompts(chatTemplate)
  const wrong = ours.flatMap((text, i) => {
    if (text === theirs[i]) return []
    let at = 0
    while (text[at] === theirs[i][at]) at++
    return [
      `prompt ${i + 1}, character ${at}: ${quoted(theirs[i].slice(at, at + 30))} where the model has ${quoted(text.slice(at, at + 30))}`,
    ]
  })
  return { name, found: `${ours.length - wrong.length} of ${ours.length} prompts are the same`, wrong }
}

const beginning = ({ addsBos, bosId }: Texts, reader: ExportReader): Check => {
  const wrong: string[] = []
  const does = (adds: boolean) => (adds ? 'puts one before a prompt' : 'puts none before a prompt')
  if (reader.addsBos !== addsBos) wrong.push(`${reader.name} ${does(reader.addsBos)}, and the model ${does(addsBos)}`)
  if (addsBos && reader.bosId !== bosId) wrong.push(`it is ${reader.bosId}, and the model's is ${bosId}`)
  return { name: 'beginning token', found: reader.addsBos ? `${reader.bosId}` : 'none', wrong }
}

const ends = ({ eosIds }: Expected, reader: ExportReader): Check => {
  const wrong = eosIds.filter((id) => !reader.stopsAt(id)).map((id) => `${reader.name} does not stop at ${id}`)
  if (eosIds.length && reader.eosId !== eosIds[0])
    wrong.push(`the end token is ${reader.eosId ?? 'none'}, and the model's is ${eosIds[0]}`)
  return { name: 'end tokens', found: eosIds.join(', ') || 'none', wrong }
}

const logProbs = async ({ scored }: Expected, reader: ExportReader): Promise<Check> => {
  const theirs = await reader.logps(scored.ids)
  // what is no number is as far off as can be
  const off = scored.logps.map((logp, i) => (Number.isNaN(theirs[i]) ? Infinity : Math.abs(logp - theirs[i])))
  const [own, most] = [mean(off), off.reduce((a, b) => Math.max(a, b), 0)]
  const worst = off.indexOf(most)
  const cost = mean(scored.own.map((logp, i) => Math.abs(logp - theirs[i])))
  const wrong =
    own <= scored.limit
      ? []
      : [
          `they differ by ${own.toPrecision(2)} on the average, more than ${scored.limit.toPrecision(2)}; most at position ${worst + 1}: ${theirs[worst].toFixed(3)} where attune has ${scored.logps[worst].toFixed(3)}`,
        ]
  const found = `${off.length} positions, mean difference ${own.toExponential(1)} of ${scored.limit.toPrecision(2)} allowed, most ${most.toExponential(1)}; from the model before the export ${cost.toExponential(1)}`
  return { name: 'log-probs', found, wrong }
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length)

/** What rounding to a type may do to a tensor: the error's share of its size, and how far its scale may be from 1. */
const rounding: Readonly<Record<string, readonly [error: number, scale: number]>> = {
  F32: [1e-6, 1e-6],
  F16: [2e-3, 1e-3],
  BF16: [8e-3, 4e-3],
  Q8_0: [0.02, 5e-3],
  Q6_K: [0.06, 0.01],
  Q5_0: [0.12, 0.01],
  Q5_1: [0.12, 0.01],
  Q5_K: [0.12, 0.01],
  Q4_0: [0.25, 0.03],
  Q4_K: [0.25, 0.02],
}

export type ComparedTensor = { name: string; shape: readonly number[]; data(): Promise<Float32Array> }
export type FoundTensor = { dtype: string; blocks?: string; shape: readonly number[]; floats(): Promise<Float32Array> }

/** Weights of the file beside what was to be written. */
export const compareWeights = async (
  due: readonly ComparedTensor[],
  found: ReadonlyMap<string, FoundTensor>,
): Promise<Check> => {
  const wrong: string[] = []
  let most = 0
  for (const { name, shape, data } of due) {
    const tensor = found.get(name)
    if (!tensor) wrong.push(`${name} is missing`)
    else if (numel(tensor.shape) !== numel(shape)) wrong.push(`${name} is [${tensor.shape}], not [${shape}]`)
    else {
      const values = await data()
      const { error, scale } = difference(values, await tensor.floats())
      const type = tensor.blocks ?? tensor.dtype
      const [errorLimit, scaleLimit] = rounding[type] ?? [0.3, 0.03]
      most = Math.max(most, error)
      const scales = (due: number) => Math.abs(scale - due) <= scaleLimit
      if (!scales(1) && !scales(roundedScale(type, values, name)))
        wrong.push(`${name} is ${scale.toPrecision(4)} times what it should be`)
      else if (!(error <= errorLimit)) wrong.push(`${name} is off by ${(100 * error).toPrecision(2)} % of its size`)
    }
  }
  return {
    name: 'weights',
    found: `${due.length} tensors, off by ${(100 * most).toPrecision(2)} % of their size at most`,
    wrong,
  }
}

/**
 * What rounding itself makes of the scale. Weights that had few levels before, as those of a model that was in 4 bits once, do not fall
 * evenly between the new levels: from the 16 of Q4_1 to the 32 of Q5_1 they grow by 2 %.
 */
const roundedScale = (type: string, values: Float32Array, name: string): number => {
  const written = writtenTypes.find((known) => known === type)
  if (!written) return 1
  return difference(values, dequantize(written, toGguf(written, values, name), 'the file', name)).scale
}

const difference = (due: Float32Array, found: Float32Array) => {
  let [size, product, squares] = [0, 0, 0]
  for (let i = 0; i < due.length; i++) {
    size += due[i] * due[i]
    product += due[i] * found[i]
    squares += (found[i] - due[i]) ** 2
  }
  return size === 0 ? { error: squares, scale: 1 } : { error: Math.sqrt(squares / size), scale: product / size }
}
