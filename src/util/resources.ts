/** A stack of opened resources, which are closed in reverse order however the work ends. */

export type Closable = { close(): Promise<void> }

export type Resources = {
  /** Adds a resource to the stack. @returns the resource */
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
