/** Live events by SSE: what changes while a page is open, by topic. One connection serves all topics of a page. */
import type { Context } from 'hono'
import { streamSSE } from 'hono/streaming'
import type { LiveEvent } from './api.ts'

export type Live = {
  /** Tells every open page. Topics begin with what they are of: runs, run/NAME, project/ID, job/ID. */
  publish(event: LiveEvent): void
  /** Whether a page is open that would be told of this topic. */
  isWanted(topic: string): boolean
  /** Answers a request with the events of topics that `wants` takes. */
  stream(context: Context, wants: (topic: string) => boolean): Response
  close(): void
}

/** Events that wait for one slow page, at most; then it is cut off, and connects and reads anew. */
const maxWaiting = 1000
/** Pages at once, at most. */
const maxPages = 500

export const openLive = (): Live => {
  const pages = new Set<{ wants(topic: string): boolean; push(event: LiveEvent): void; end(): void }>()
  return {
    publish(event) {
      for (const page of pages) if (page.wants(event.topic)) page.push(event)
    },
    isWanted: (topic) => [...pages].some(({ wants }) => wants(topic)),
    stream(context, wants) {
      if (pages.size >= maxPages) return context.json({ error: { message: 'too many pages are open' } }, 429)
      return streamSSE(context, async (stream) => {
        const waiting: LiveEvent[] = []
        let wake = () => {}
        let open = true
        const page = {
          wants,
          push(event: LiveEvent) {
            waiting.push(event)
            if (waiting.length > maxWaiting) page.end()
            wake()
          },
          end() {
            open = false
            wake()
          },
        }
        pages.add(page)
        stream.onAbort(page.end)
        // A comment now and then, so that a dead connection is noticed
        const keepAlive = setInterval(() => void stream.write(': \n\n'), 15_000)
        try {
          await stream.writeSSE({ event: 'ready', data: '{}' })
          while (open) {
            const event = waiting.shift()
            if (event) await stream.writeSSE({ data: JSON.stringify(event) })
            else await new Promise<void>((done) => (wake = done))
          }
        } finally {
          clearInterval(keepAlive)
          pages.delete(page)
        }
      })
    },
    close() {
      for (const page of pages) page.end()
    },
  }
}
