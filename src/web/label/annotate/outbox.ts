/**
 * Votes and skips on their way to the server. Each is kept in the browser until the server has acknowledged it, and is sent
 * again with the same request id, in the order in which they were made: a lost connection or a closed tab loses nothing.
 */
import type { NewVote, Voted } from '../../../studio/labels/api.ts'
import { ApiFault, post } from '../../api.ts'

export type Skip = { requestId: string; version: number; reason: string; seconds: number }

export type Sent =
  | { kind: 'votes'; project: number; task: number; body: NewVote }
  | { kind: 'skip'; project: number; task: number; body: Skip }

/** What became of one: acknowledged, or refused for a reason that sending again does not mend. */
export type Outcome = { sent: Sent; voted: Voted } | { sent: Sent; fault: ApiFault }

type Keep = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>

/** Milliseconds between tries. */
const waits = [1_000, 2_000, 5_000, 15_000]

export type Outbox = {
  add(sent: Sent): void
  /** Resolves when everything that was added is settled. */
  settled(): Promise<void>
  /** Tries now, rather than when the wait is over. */
  retry(): void
  /** How many wait for a server that does not answer; 0 while it does. */
  waiting(): number
  subscribe(listener: () => void): () => void
  onOutcome(listener: (outcome: Outcome) => void): () => void
}

/** What an earlier page of this browser left, oldest first. */
const leftIn = (storage: Keep, prefix: string): Sent[] => {
  const left: { at: number; sent: Sent }[] = []
  for (let i = 0; i < storage.length; i++) {
    const key = storage.key(i)!
    if (key.startsWith(prefix)) left.push(JSON.parse(storage.getItem(key)!))
  }
  return left.sort((a, b) => a.at - b.at).map(({ sent }) => sent)
}

/** @param whose the folder and the person: a browser may hold votes for several */
export const openOutbox = (
  storage: Keep,
  whose: string,
  send: (sent: Sent) => Promise<Voted> = ({ kind, task, body }) => post<Voted>(`/tasks/${task}/${kind}`, body),
): Outbox => {
  const prefix = `attune-unsent/${whose}/`
  let queue = leftIn(storage, prefix)
  let offline = false
  let running: Promise<void> | undefined
  let wake = () => {}
  const listeners = new Set<() => void>()
  const outcomeListeners = new Set<(outcome: Outcome) => void>()
  const tell = () => {
    for (const listener of listeners) listener()
  }
  const settle = (outcome: Outcome) => {
    const { requestId } = outcome.sent.body
    queue = queue.filter(({ body }) => body.requestId !== requestId)
    storage.removeItem(prefix + requestId)
    offline = false
    for (const listener of outcomeListeners) listener(outcome)
    tell()
  }
  const wait = (ms: number) =>
    new Promise<void>((done) => {
      const timer = setTimeout(done, ms)
      wake = () => {
        clearTimeout(timer)
        done()
      }
    })
  const run = async () => {
    for (let failures = 0; queue.length > 0; ) {
      const sent = queue[0]
      try {
        settle({ sent, voted: await send(sent) })
        failures = 0
      } catch (error) {
        const fault = error instanceof ApiFault ? error : new ApiFault(0, String(error))
        if (!mayPass(fault)) settle({ sent, fault })
        else {
          offline = true
          tell()
          await wait(waits[Math.min(failures++, waits.length - 1)])
        }
      }
    }
  }
  const start = () => {
    if (running || queue.length === 0) return
    running = run().finally(() => {
      running = undefined
      start()
    })
  }
  start()
  return {
    add(sent) {
      queue = [...queue, sent]
      storage.setItem(prefix + sent.body.requestId, JSON.stringify({ at: Date.now(), sent }))
      start()
    },
    async settled() {
      while (running) await running
    },
    retry() {
      wake()
    },
    waiting: () => (offline ? queue.length : 0),
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    onOutcome(listener) {
      outcomeListeners.add(listener)
      return () => outcomeListeners.delete(listener)
    },
  }
}

/** The server does not answer, is busy, failed, or wants the link opened again: what was refused is as good as before. */
const mayPass = ({ status }: ApiFault) => status === 0 || status === 401 || status === 429 || status >= 500
