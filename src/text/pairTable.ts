/**
 * A hash map from two small non-negative integers to one, with open addressing over flat arrays: BPE merges by (left,
 * right), trie edges by (node, unit). A Map with text keys takes ten times the memory and time at 300,000 entries.
 */
export type PairTable = {
  get(a: number, b: number): number
  set(a: number, b: number, value: number): void
}

/** An empty table; `get` returns -1 for absent pairs. */
export const pairTable = (expected: number): PairTable => {
  let capacity = 16
  while (capacity < expected * 2) capacity *= 2
  let keys = new Int32Array(capacity * 2).fill(-1)
  let values = new Int32Array(capacity)
  let size = 0
  const slot = (a: number, b: number): number => {
    let hash = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b)
    hash ^= hash >>> 15
    let at = hash & (capacity - 1)
    while (keys[2 * at] !== -1 && (keys[2 * at] !== a || keys[2 * at + 1] !== b)) at = (at + 1) & (capacity - 1)
    return at
  }
  const grow = () => {
    const [oldKeys, oldValues] = [keys, values]
    capacity *= 2
    keys = new Int32Array(capacity * 2).fill(-1)
    values = new Int32Array(capacity)
    for (let i = 0; i < oldValues.length; i++)
      if (oldKeys[2 * i] !== -1) put(oldKeys[2 * i], oldKeys[2 * i + 1], oldValues[i])
  }
  const put = (a: number, b: number, value: number): boolean => {
    const at = slot(a, b)
    const fresh = keys[2 * at] === -1
    keys[2 * at] = a
    keys[2 * at + 1] = b
    values[at] = value
    return fresh
  }
  return {
    get(a, b) {
      const at = slot(a, b)
      return keys[2 * at] === -1 ? -1 : values[at]
    },
    set(a, b, value) {
      if (put(a, b, value) && ++size * 2 > capacity) grow()
    },
  }
}
