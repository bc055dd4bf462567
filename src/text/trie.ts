/** A trie over UTF-16 units in flat arrays: added tokens and unigram vocabularies. Node 0 is the root. */
import { pairTable } from './pairTable.ts'

export type Trie = {
  add(text: string, value: number): void
  /** The child of a node, or -1. */
  step(node: number, unit: number): number
  /** What was added at a node, or -1. */
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
