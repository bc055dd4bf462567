/** Random numbers of one fuzz input, a function of seed, target and number, so that each input can be made again. */
export type Random = {
  /** A number from 0 to n - 1. */
  int(n: number): number
  pick<T>(items: readonly T[]): T
  /** True with probability 1 / n. */
  once(n: number): boolean
}

/** sfc32, seeded through a hash of the text. */
export const randomOf = (key: string): Random => {
  let h = 0x811c9dc5
  const seed = () => {
    for (let i = 0; i < key.length; i++) h = Math.imul(h ^ key.charCodeAt(i), 0x01000193)
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d)
    return (h ^= h >>> 13) | 0
  }
  let [a, b, c, d] = [seed(), seed(), seed(), 1]
  const next = (): number => {
    const t = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + t) | 0
    return t >>> 0
  }
  const int = (n: number) => Math.floor((next() / 2 ** 32) * n)
  return { int, pick: (items) => items[int(items.length)], once: (n) => int(n) === 0 }
}
