/** Metrics of a coordinator in the text format of Prometheus. */
import { Counter, Gauge, Registry } from 'prom-client'

type State = { waiting: number; done: number; workers: number; bytes: { sent: number; received: number } }

/** @returns the text of the moment */
export const makeMetrics = (state: () => State): (() => Promise<string>) => {
  const registry = new Registry()
  const registers = [registry]
  const gauge = (name: string, help: string, value: (now: State) => number) =>
    new Gauge({
      name: `attune_${name}`,
      help,
      registers,
      collect() {
        this.set(value(state()))
      },
    })
  const counter = (name: string, help: string, value: (now: State) => number) =>
    new Counter({
      name: `attune_${name}_total`,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(value(state()))
      },
    })
  gauge('workers', 'Workers that can take a shard of this run', ({ workers }) => workers)
  gauge('shards_waiting', 'Shards that wait or are under way', ({ waiting }) => waiting)
  counter('shards_done', 'Shards whose results workers sent', ({ done }) => done)
  counter('sent_bytes', 'Bytes that workers fetched', ({ bytes }) => bytes.sent)
  counter('received_bytes', 'Bytes of results', ({ bytes }) => bytes.received)
  return () => registry.metrics()
}
