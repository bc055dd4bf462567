/**
 * The unigram model (Kudo 2018): of all ways to split a word into vocabulary entries, the one with the highest sum of
 * scores, found in one pass from left to right (Viterbi). A character that is no entry by itself costs the lowest score
 * minus ten; neighbouring unknown characters become one unknown token, or bytes where the model has byte_fallback.
 */
import { quoted } from '../util/quote.ts'
import { byteIds } from './bpe.ts'
import type { JsonPart } from './jsonPart.ts'
import { width } from './pieces.ts'
import { trie } from './trie.ts'
import { utf8 } from './unicode.ts'
import type { Model, Tokens } from './vocabulary.ts'
import { cached, stepLimit } from './vocabulary.ts'

const unkPenalty = 10

export const readUnigram = (json: JsonPart): Model => {
  const entries = readEntries(json.at('vocab'))
  const ids = new Map(entries.map(([token], id) => [token, id]))
  const unk = json.optional('unk_id')?.count()
  if (unk !== undefined && unk >= entries.length) json.at('unk_id').fail('is not in the vocabulary')
  const bytes = json.optional('byte_fallback')?.flag() ? byteIds({ ids }) : undefined
  const best = bestPath(json, entries, ids, unk)
  const tokenize = (text: string): Tokens => {
    const out: Tokens = { ids: [], from: [], to: [] }
    for (const { from, to } of fused(best(text))) putToken(out, text, from, to)
    return out
  }
  const putToken = (out: Tokens, text: string, from: number, to: number) => {
    const token = text.slice(from, to)
    const id = ids.get(token)
    const fallback = id === undefined && bytes ? Array.from(utf8(token), (byte) => bytes[byte]) : undefined
    const found = id !== undefined ? [id] : fallback?.every((byte) => byte >= 0) ? fallback : [unk]
    for (const id of found) {
      if (id === undefined) return json.fail(`has no unk_id, which ${quoted(token)} needs`)
      out.ids.push(id)
      out.from.push(from)
      out.to.push(to)
    }
  }
  return {
    type: 'Unigram',
    size: entries.length,
    highestId: entries.length - 1,
    idOf: (token) => ids.get(token),
    tokenOf: (id) => entries[id]?.[0],
    tokenize: cached(tokenize),
  }
}

const readEntries = (json: JsonPart): [string, number][] => {
  const list = json.list()
  list.forEach((entry, i) => {
    if (!Array.isArray(entry) || typeof entry[0] !== 'string' || typeof entry[1] !== 'number')
      json.fail(`has an entry ${i} that is no [text, score]`)
  })
  return list as [string, number][]
}

type Cut = { from: number; to: number; known: boolean }

/** The best cut of a text, from left to right. */
const bestPath = (
  json: JsonPart,
  entries: [string, number][],
  ids: Map<string, number>,
  unk?: number,
): ((text: string) => Cut[]) => {
  const tokens = trie(entries.length)
  for (const [token] of entries) tokens.add(token, ids.get(token)!)
  let unkScore = Infinity
  for (const [, score] of entries) unkScore = Math.min(unkScore, score)
  unkScore -= unkPenalty

  return (text) => {
    const scores = new Float64Array(text.length + 1)
    const cameFrom = new Int32Array(text.length + 1).fill(-1)
    const known = new Uint8Array(text.length + 1)
    const step = stepLimit(json, text)
    const offer = (from: number, to: number, score: number, isKnown: 0 | 1) => {
      if (cameFrom[to] >= 0 && score <= scores[to]) return
      scores[to] = score
      cameFrom[to] = from
      known[to] = isKnown
    }
    for (let at = 0; at < text.length; ) {
      const one = at + width(text, at)
      let single = false
      for (let node = 0, to = at; to < text.length; ) {
        step()
        node = tokens.step(node, text.charCodeAt(to++))
        if (node < 0) break
        const id = tokens.valueAt(node)
        if (id < 0) continue
        offer(at, to, entries[id][1] + scores[at], id === unk ? 0 : 1)
        single ||= to === one
      }
      if (!single) offer(at, one, unkScore + scores[at], 0)
      at = one
    }
    const cuts: Cut[] = []
    for (let to = text.length; to > 0; to = cameFrom[to]) cuts.push({ from: cameFrom[to], to, known: known[to] === 1 })
    return cuts.reverse()
  }
}

/** Neighbouring unknown characters as one. */
const fused = (cuts: Cut[]): Cut[] => {
  const out: Cut[] = []
  for (const cut of cuts) {
    const last = out.at(-1)
    if (last && !last.known && !cut.known) last.to = cut.to
    else out.push(cut)
  }
  return out
}
