/** Events of several workers as one stream, in the order in which they came. */
import { EventEmitter, on } from 'node:events'

export type Channel<T> = { push(event: T): void; end(): void; fail(error: unknown): void; events: AsyncIterable<T> }

export const channel = <T>(): Channel<T> => {
  const emitter = new EventEmitter()
  // Whoever reads may have left
  emitter.on('error', () => {})
  const told = on(emitter, 'event', { close: ['end'] })
  async function* events() {
    for await (const [event] of told) yield event as T
  }
  return {
    push: (event) => void emitter.emit('event', event),
    end: () => void emitter.emit('end'),
    fail: (error) => void emitter.emit('error', error),
    events: events(),
  }
}

/** Events of one worker, each with what it is told apart by. @returns what the work comes to */
export async function* tagged<E extends object, const T extends object, R>(
  tag: T,
  events: AsyncGenerator<E, R>,
): AsyncGenerator<T & E, R> {
  for (;;) {
    const { done, value } = await events.next()
    if (done) return value
    yield { ...tag, ...value }
  }
}
