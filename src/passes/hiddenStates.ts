/** Hidden states of texts by an encoder. */
import { type EncoderInput, type EncoderText, packTexts } from '../data/encoderBatch.ts'
import { badInput } from '../util/fault.ts'
import type { Model } from './model.ts'
import { type PassPlan, readPlansOf } from './readPasses.ts'

/** A text with its positions. Faults, without a place: 'too-long', 'bad-row' for ids or types that the model does not know. */
export const encoderText = ({ architecture, config }: Model, { ids, mask, types }: EncoderInput): EncoderText => {
  const encoder = architecture.encoder!
  const longest = encoder.longestText(config)
  if (ids.length > longest) throw badInput('too-long', `has ${ids.length} tokens; the model takes ${longest}`)
  const unknown = Array.from(ids).find((id) => id < 0 || id >= config.vocab_size)
  if (unknown !== undefined) throw badInput('bad-row', `holds the id ${unknown}; the model knows ${config.vocab_size}`)
  const kinds = encoder.tokenTypes(config)
  const kind = Array.from(types ?? []).find((type) => type < 0 || type >= Math.max(1, kinds))
  if (kind !== undefined)
    throw badInput('bad-row', `holds the token type ${kind}; the model knows ${Math.max(1, kinds)}`)
  return { ids, mask, types, positions: encoder.positions(ids, config) }
}

/** The first `layers` blocks of a model alone, which workers do not have; its programs are shared. */
const lowerPart = (model: Model, layers: number): Model =>
  layers === model.config.num_hidden_layers
    ? model
    : { ...model, config: { ...model.config, num_hidden_layers: layers }, shared: undefined }

/** Tokens of the texts that share a pass; a longer text has a pass of its own. */
const passTokens = 4096

/** Texts shorter than this share of the longest get a pass of their own, since attention costs the square of the longest. */
const similarLength = 0.75
/** With fewer tokens a pass goes on all the same: another one would project DeBERTa's table of positions once more. */
const fewestTokens = 1024

/** Numbers of the texts of each pass, longest first. */
export const passesByLength = (lengths: readonly number[], tokens = passTokens): number[][] => {
  const passes: number[][] = []
  let [taken, longest] = [0, 0]
  for (const n of lengths.map((_, i) => i).sort((a, b) => lengths[b] - lengths[a] || a - b)) {
    const isShort = lengths[n] < similarLength * longest && taken >= Math.min(fewestTokens, tokens)
    if (passes.length === 0 || taken + lengths[n] > tokens || isShort) {
      passes.push([])
      taken = 0
      longest = lengths[n]
    }
    passes.at(-1)!.push(n)
    taken += lengths[n]
  }
  return passes
}

/**
 * Hidden states after `layers` blocks (all by default; 0: the embeddings) of each text, [tokens, hidden_size] flat. Rows of
 * tokens that the mask hides are 0. Faults: those of `encoderText`.
 *
 * Example: `(await hiddenStates(model, [{ ids: [101, 7592, 102] }]))[0].length === 3 * model.config.hidden_size`
 */
export const hiddenStates = async (
  model: Model,
  inputs: readonly EncoderInput[],
  layers = model.config.num_hidden_layers,
): Promise<Float32Array[]> => {
  for await (const states of readPlansOf(lowerPart(model, layers), [hiddenStatesPlan(model, inputs)])) return states
  throw new Error('a plan has one result')
}

/** The passes of `hiddenStates`. */
export const hiddenStatesPlan = (model: Model, inputs: readonly EncoderInput[]): PassPlan<Float32Array[]> => {
  const texts = inputs.map((input) => encoderText(model, input))
  const seen = texts.flatMap((text, n) => (isSeen(text) ? [n] : []))
  const groups = passesByLength(seen.map((n) => texts[n].ids.length)).map((pass) => pass.map((i) => seen[i]))
  return {
    passes: groups.map((numbers) => ({ batch: packTexts(numbers.map((n) => texts[n])), names: ['hidden'] })),
    join(values) {
      const C = model.config.hidden_size
      const states = texts.map(({ ids }) => new Float32Array(ids.length * C))
      for (const [g, numbers] of groups.entries()) {
        const [rows] = values[g]
        let row = 0
        for (const n of numbers)
          for (let t = 0; t < texts[n].ids.length; t++)
            if (texts[n].mask?.[t] !== 0) states[n].set(rows.subarray(row * C, ++row * C), t * C)
      }
      return states
    },
  }
}

const isSeen = ({ ids, mask }: EncoderText) => Array.from(ids).some((_, t) => mask?.[t] !== 0)
