/** The markers of a pair ranker and its limits of length, as its config.json has them. */
import type { PairTokens } from '../data/pairText.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { type Config, pairMarkers } from './architecture.ts'

/** Tokens of PairRM: of a source, and of a candidate where the source is as long as it may be. */
export const pairLengths = { source: 1224, candidate: 412 } as const

export const markerKeys = ['source_prefix_id', 'cand1_prefix_id', 'cand2_prefix_id', 'cand_prefix_id'] as const

/** Ids that begin and end a text of DeBERTa's tokenizer, where config.json names none. */
const deberta = { cls: 1, sep: 2 }

/** @param longest tokens that the encoder takes  Throws a Fault 'bad-config' for markers that are no ids of the model. */
export const pairTokens = ({ raw, model_type, vocab_size }: Config, longest: number, file: string): PairTokens => {
  const ids = markerKeys.slice(0, 3).map((key) => {
    const id = raw[key]
    if (Number.isInteger(id) && (id as number) >= 0 && (id as number) < vocab_size) return id as number
    throw badInput('bad-config', `${key} is ${quoted(id)}, and must be the id of a token`, { file })
  })
  const lengthOf = (key: string, usual: number) => {
    const value = raw[key] ?? usual
    if (Number.isInteger(value) && (value as number) > 0) return value as number
    throw badInput('bad-config', `${key} is ${quoted(value)}, and must be a number of tokens`, { file })
  }
  const source = lengthOf('source_maxlength', pairLengths.source)
  const asked = source + 2 * lengthOf('candidate_maxlength', pairLengths.candidate)
  const length = Math.min(asked, longest)
  const known = (...values: unknown[]) => values.filter((id) => Number.isInteger(id)).slice(0, 1) as number[]
  const own = model_type === 'deberta-v2'
  return {
    texts: pairMarkers,
    ids,
    before: known(raw.cls_token_id, raw.bos_token_id, own ? deberta.cls : undefined),
    behind: known(raw.sep_token_id, raw.eos_token_id, own ? deberta.sep : undefined),
    // In the same proportion where the encoder takes fewer
    sourceLength: Math.max(1, Math.floor((source * length) / asked)),
    length,
  }
}
