/** One turn of the playground: all lanes at once, their events in one stream, each lane to be stopped by itself. */
import { HTTPException } from 'hono/http-exception'
import { makeEventStream } from '../../util/eventStream.ts'
import type { TurnEvent, TurnRequest } from './api.ts'
import type { ModelHost } from './host.node.ts'
import { answer } from './upstream.ts'

export type Turns = {
  /** Events of all lanes as they come, until the last lane has ended. */
  run(request: TurnRequest, signal: AbortSignal): AsyncGenerator<TurnEvent>
  /** Of one lane, or of all. What there is of an answer stays. */
  stop(turn: string, lane?: number): void
}

export const makeTurns = (host: ModelHost): Turns => {
  const running = new Map<string, Map<number, AbortController>>()

  async function* runLane(
    lane: TurnRequest['lanes'][number],
    sampling: TurnRequest['sampling'],
    signal: AbortSignal,
  ): AsyncGenerator<TurnEvent> {
    try {
      const { upstream, release } = await orAborted(host.use(lane.model), signal)
      try {
        yield* answer(upstream, lane, sampling, signal)
      } finally {
        release()
      }
    } catch (error) {
      if (signal.aborted) yield { lane: lane.lane, end: { finish: 'stopped' } }
      else yield { lane: lane.lane, error: error instanceof HTTPException ? error.message : String(error) }
    }
  }

  return {
    async *run({ turn, lanes, sampling }, signal) {
      const controllers = new Map(lanes.map(({ lane }) => [lane, new AbortController()]))
      running.set(turn, controllers)
      const stopAll = () => {
        for (const controller of controllers.values()) controller.abort()
      }
      signal.addEventListener('abort', stopAll)
      const events = makeEventStream<TurnEvent>()
      void Promise.all(
        lanes.map((lane) => events.drain(runLane(lane, sampling, controllers.get(lane.lane)!.signal))),
      ).then(events.end, events.fail)
      try {
        yield* events.read()
      } finally {
        stopAll()
        signal.removeEventListener('abort', stopAll)
        running.delete(turn)
      }
    },
    stop(turn, lane) {
      for (const [number, controller] of running.get(turn) ?? [])
        if (lane === undefined || lane === number) controller.abort()
    },
  }
}

/** A model that is ready after the wait has been given up is released again. */
const orAborted = async (using: ReturnType<ModelHost['use']>, signal: AbortSignal): ReturnType<ModelHost['use']> => {
  let stop = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      using.then(({ release }) => release()).catch(() => {})
      reject(signal.reason)
    }
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop)
  })
  try {
    return await Promise.race([using, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
