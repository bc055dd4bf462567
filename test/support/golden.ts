/** Reads goldens, the files of expected values under test/fixtures. */
import { readFile } from 'node:fs/promises'
import { openSafetensors } from '../../src/checkpoint/safetensors.ts'
import { fileSource } from '../../src/util/files.node.ts'

export const fixture = (path: string) => new URL(`../fixtures/${path}`, import.meta.url).pathname

export const fixtureJson = async (path: string) => JSON.parse(await readFile(fixture(path), 'utf8'))

/** Tensors of a golden.safetensors: floats, or integers as numbers. */
export const fixtureTensors = async (path: string) => {
  const { tensors } = await openSafetensors(await fileSource(fixture(path)))
  return {
    has: (name: string) => tensors.has(name),
    names: [...tensors.keys()],
    shape: (name: string) => tensors.get(name)!.shape,
    floats: (name: string) => tensors.get(name)!.floats(),
    ints: async (name: string) => {
      const bytes = await tensors.get(name)!.bytes()
      return Array.from(new BigInt64Array(bytes.slice().buffer), Number)
    },
  }
}

/** Largest absolute difference over the chosen elements. */
export const largestDifference = (
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  includes: (i: number) => boolean = () => true,
) => {
  let largest = a.length === b.length ? 0 : Number.POSITIVE_INFINITY
  for (let i = 0; i < a.length; i++) if (includes(i)) largest = Math.max(largest, Math.abs(a[i] - b[i]))
  return largest
}
