/**
 * Rows as what a model is asked to predict: ids, and at which of them the log-probability counts. Rows become ids as in
 * training, but for one thing: what is scored is what the row says, so no end-of-text token is added.
 */
import { type Encoder, type TextOptions, textExample } from '../data/examples.ts'
import type { Row } from '../data/rows.ts'
import { type Scorable, uncounted } from '../generate/score.ts'
import { badInput } from '../util/fault.ts'

/** Throws Faults 'wrong-kind', 'too-long' and 'bad-row', without a place. */
export const scoreInput = (
  encoder: Encoder,
  row: Row,
  limits: { positions: number; vocabulary: number },
  options: TextOptions,
): Scorable => {
  const asked = row.kind === 'labelled' ? { ids: row.input_ids, labels: row.labels } : fromText(encoder, row, options)
  if (asked.ids.length > limits.positions)
    throw badInput('too-long', `has ${asked.ids.length} tokens; the model takes ${limits.positions}`)
  const stray = [...asked.ids, ...asked.labels.filter((label) => label !== uncounted)].find(
    (id) => id >= limits.vocabulary,
  )
  if (stray !== undefined) throw badInput('bad-row', `holds the id ${stray}; the model knows ${limits.vocabulary}`)
  return { ids: asked.ids, labels: asked.labels.map((label, t) => (t === 0 ? uncounted : label)) }
}

const fromText = (encoder: Encoder, row: Row, options: TextOptions): Scorable => {
  if (row.kind !== 'text' && row.kind !== 'messages' && row.kind !== 'completion' && row.kind !== 'unpaired')
    throw badInput('wrong-kind', `rows of the kind "${row.kind}" cannot be scored; give prompt and completion`)
  const plain = row.kind === 'unpaired' ? ({ ...row, kind: 'completion' } as const) : row
  const noEnd = { ...encoder, eosId: undefined }
  const example = textExample(noEnd, plain, { maxLength: Number.POSITIVE_INFINITY }, options, () => {})
  if (typeof example === 'string') throw badInput('bad-row', 'holds nothing to predict')
  return { ids: example.ids, labels: example.ids.map((id, t) => (example.targets[t] ? id : uncounted)) }
}
