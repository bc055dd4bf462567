/** A trie over UTF-16 units in flat arrays, for added tokens and unigram vocabularies. Node 0 is the root. */
import { pairTable } from './pairTable.ts'

export type Trie = {
  add(text: string, value: number): void
  /** The child of a node, or -1. */
  step(node: number, unit: number): number
  /** The value that was added at a node, or -1. */
  valueAt(node: number): number
  readonly empty: boolean
}

export const trie = (expected: number): Trie => {
  const edges = pairTable(expected * 4)
  const values: number[] = [-1]
  return {
    add: (text, value) => {
      let node = 0
      for (let i = 0; i < text.length; i++) {
        let child = edges.get(node, text.charCodeAt(i))
        if (child < 0) {
          child = values.push(-1) - 1
          edges.set(node, text.charCodeAt(i), child)
        }
        node = child
      }
      if (node > 0) values[node] = value
    },
    step: (node, unit) => edges.get(node, unit),
    valueAt: (node) => values[node],
    get empty() {
      return values.length === 1
    },
  }
}

/** The longest entry that begins at a position, with its end. `step` is called for each unit that is read. */
export const longestIn = (
  entries: Trie,
  text: string,
  from: number,
  step: () => void,
): { value: number; end: number } | undefined => {
  let found: { value: number; end: number } | undefined
  for (let node = 0, at = from; at < text.length; ) {
    step()
    node = entries.step(node, text.charCodeAt(at++))
    if (node < 0) break
    if (entries.valueAt(node) >= 0) found = { value: entries.valueAt(node), end: at }
  }
  return found
}
