/** Collects everything that an async iterable yields. Array.fromAsync is not in Node 20. */
export const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
