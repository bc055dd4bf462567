/** What a piece of work opens, and closes again however it ends: the last opened first. */

export type Closable = { close(): Promise<void> }

export type Resources = {
  /** Takes over what was opened. */
  own<T extends Closable>(opened: T): T
  close(): Promise<void>
}

/**
 * ```ts
 * const { own, close } = makeResources()
 * try {
 *   const model = own(await openModel(settings))
 * } finally {
 *   await close()
 * }
 * ```
 */
export const makeResources = (): Resources => {
  const opened: Closable[] = []
  return {
    own(thing) {
      opened.push(thing)
      return thing
    },
    async close() {
      for (const thing of opened.splice(0).reverse()) await thing.close()
    },
  }
}
