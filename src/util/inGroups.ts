/** Items in order, so many at a time; the last group may be smaller. @param size is asked before each group */
export async function* inGroups<T>(items: AsyncIterable<T> | Iterable<T>, size: () => number): AsyncGenerator<T[]> {
  let group: T[] = []
  let most = size()
  for await (const item of items) {
    group.push(item)
    if (group.length < most) continue
    yield group
    group = []
    most = size()
  }
  if (group.length) yield group
}
