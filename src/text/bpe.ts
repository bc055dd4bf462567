/**
 * Byte-pair encoding (Sennrich et al. 2016): start from characters and always merge the pair of lowest rank, the
 * leftmost first. A heap of candidate merges keeps long words at n log n; candidates that an earlier merge made stale
 * are dropped when they reach the top.
 */

import { quoted } from '../util/quote.ts'
import type { JsonPart } from './jsonPart.ts'
import type { PairTable } from './pairTable.ts'
import { pairTable } from './pairTable.ts'
import { width } from './pieces.ts'
import { utf8 } from './unicode.ts'
import type { Model, Tokens, Vocabulary } from './vocabulary.ts'
import { cached, readVocabulary } from './vocabulary.ts'

type Merges = { rankOf: PairTable; merged: Int32Array }

type Options = {
  vocabulary: Vocabulary
  unk: number | undefined
  prefix: string
  suffix: string
  fuseUnk: boolean
  /** Ids of <0x00> to <0xFF>, -1 where missing; undefined without byte fallback. */
  bytes: number[] | undefined
}

/** A prefix and a suffix are written around every character before merging begins. */
const longestAffix = 100

export const readBpe = (json: JsonPart): Model => {
  const vocabulary = readVocabulary(json.at('vocab'))
  const unkToken = json.optional('unk_token')?.text()
  const affix = (key: string) => {
    const text = json.optional(key)?.text() ?? ''
    return text.length > longestAffix ? json.at(key).fail(`has more than ${longestAffix} characters`) : text
  }
  const prefix = affix('continuing_subword_prefix')
  if (json.optional('dropout')?.value) json.at('dropout').fail('would cut texts by chance; set it to null')
  if (unkToken !== undefined && !vocabulary.ids.has(unkToken)) json.at('unk_token').fail('is not in the vocabulary')
  const options: Options = {
    vocabulary,
    unk: unkToken === undefined ? undefined : vocabulary.ids.get(unkToken),
    prefix,
    suffix: affix('end_of_word_suffix'),
    fuseUnk: json.optional('fuse_unk')?.flag() ?? false,
    bytes: json.optional('byte_fallback')?.flag() ? byteIds(vocabulary) : undefined,
  }
  const merges = readMerges(json.at('merges'), vocabulary, prefix)
  const wholeFirst = json.optional('ignore_merges')?.flag() ?? false
  const tokenize = cached((text) => {
    const whole = wholeFirst ? vocabulary.ids.get(text) : undefined
    return whole === undefined
      ? mergeAll(symbolsOf(text, options), merges)
      : { ids: [whole], from: [0], to: [text.length] }
  })
  return {
    type: 'BPE',
    size: vocabulary.ids.size,
    highestId: vocabulary.highestId,
    idOf: (token) => vocabulary.ids.get(token),
    tokenOf: (id) => vocabulary.tokens.get(id),
    tokenize,
  }
}

export const byteIds = ({ ids }: { ids: ReadonlyMap<string, number> }): number[] =>
  Array.from({ length: 256 }, (_, byte) => ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`) ?? -1)

/**
 * Merges are written as ["a", "b"] or "a b". A merge's rank is its place in the list; a pair listed twice has the later
 * rank.
 */
const readMerges = (json: JsonPart, { ids }: Vocabulary, prefix: string): Merges => {
  const list = json.list()
  const rankOf = pairTable(list.length)
  const merged = new Int32Array(list.length)
  for (const [rank, item] of list.entries()) {
    const [left, right] = typeof item === 'string' ? item.split(' ') : Array.isArray(item) ? item : []
    const a = ids.get(left)
    const b = ids.get(right)
    const whole = ids.get(`${left}${String(right).slice(prefix.length)}`)
    if (a === undefined || b === undefined || whole === undefined)
      return json.fail(`has an entry ${rank} (${quoted(item)}) that the vocabulary does not know`)
    rankOf.set(a, b, rank)
    merged[rank] = whole
  }
  return { rankOf, merged }
}

/**
 * One symbol for each character, one for each byte of an unknown character (byte_fallback); runs of unknown ones are
 * joined with fuse_unk.
 */
const symbolsOf = (text: string, { vocabulary, unk, prefix, suffix, fuseUnk, bytes }: Options): Tokens => {
  const ids: number[] = []
  const from: number[] = []
  const to: number[] = []
  let pending: { from: number; to: number } | undefined
  const put = (id: number, start: number, end: number) => {
    ids.push(id)
    from.push(start)
    to.push(end)
  }
  const flush = () => {
    if (pending && unk !== undefined) put(unk, pending.from, pending.to)
    pending = undefined
  }
  for (let at = 0; at < text.length; ) {
    const next = at + width(text, at)
    const symbol = `${at > 0 ? prefix : ''}${text.slice(at, next)}${next === text.length ? suffix : ''}`
    const id = vocabulary.ids.get(symbol)
    const fallback = id === undefined && bytes ? Array.from(utf8(symbol), (byte) => bytes[byte]) : undefined
    if (id !== undefined) {
      flush()
      put(id, at, next)
    } else if (fallback?.every((byte) => byte >= 0)) for (const byte of fallback) put(byte, at, next)
    else if (pending && fuseUnk) pending.to = next
    else {
      flush()
      pending = { from: at, to: next }
    }
    at = next
  }
  flush()
  return { ids, from, to }
}

const mergeAll = ({ ids, from, to }: Tokens, { rankOf, merged }: Merges): Tokens => {
  const count = ids.length
  if (count < 2) return { ids, from, to }
  const previous = new Int32Array(count)
  const next = new Int32Array(count)
  for (let i = 0; i < count; i++) {
    previous[i] = i - 1
    next[i] = i + 1 < count ? i + 1 : -1
  }
  const heap: number[] = []
  const offer = (left: number, right: number) => {
    const rank = rankOf.get(ids[left], ids[right])
    if (rank >= 0) pushHeap(heap, rank * 2 ** 31 + left)
  }
  for (let i = 0; i + 1 < count; i++) offer(i, i + 1)
  while (heap.length) {
    const top = popHeap(heap)
    const at = top % 2 ** 31
    const right = next[at]
    if (ids[at] < 0 || right < 0) continue
    const id = merged[Math.floor(top / 2 ** 31)]
    const rank = rankOf.get(ids[at], ids[right])
    if (rank < 0 || merged[rank] !== id) continue
    ids[at] = id
    to[at] = to[right]
    ids[right] = -1
    next[at] = next[right]
    if (next[at] >= 0) previous[next[at]] = at
    if (previous[at] >= 0) offer(previous[at], at)
    if (next[at] >= 0) offer(at, next[at])
  }
  let kept = 0
  for (let i = 0; i < count; i++) {
    if (ids[i] < 0) continue
    ids[kept] = ids[i]
    from[kept] = from[i]
    to[kept] = to[i]
    kept++
  }
  ids.length = kept
  from.length = kept
  to.length = kept
  return { ids, from, to }
}

const pushHeap = (heap: number[], key: number) => {
  let at = heap.length
  for (heap.push(key); at > 0; ) {
    const parent = (at - 1) >> 1
    if (heap[parent] <= key) break
    heap[at] = heap[parent]
    at = parent
  }
  heap[at] = key
}

const popHeap = (heap: number[]): number => {
  const top = heap[0]
  const key = heap.pop()!
  if (!heap.length) return top
  let at = 0
  for (let child = 1; child < heap.length; child = 2 * at + 1) {
    if (child + 1 < heap.length && heap[child + 1] < heap[child]) child++
    if (heap[child] >= key) break
    heap[at] = heap[child]
    at = child
  }
  heap[at] = key
  return top
}
