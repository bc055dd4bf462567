/**
 * Workers at a Redis, and the runs that give out shards there, where the studio was started with --workers. For the owner only.
 *
 *     GET    /api/workers    WorkersState
 *
 * Live: topic `workers` with WorkersState, each second.
 */

export type WorkersState = {
  /** Of the Redis, without its password. */
  address: string
  /** Why Redis does not answer; the rest is as it stood before. */
  away?: { why: string; seconds: number }
  workers: WorkerRow[]
  runs: SharedRun[]
}

export type WorkerRow = {
  id: string
  name: string
  host: string
  version: string
  /** 0: all of the machine. */
  threads: number
  processor: string
  /** The shard that it works on, its run, and for how many seconds. */
  shard?: { kind: string; run: string; seconds: number }
  done: number
  failed: number
  /** Why it takes no shards for a while. */
  trouble?: string
  /** Seconds since it last told of itself. */
  seen: number
}

export type SharedRun = {
  id: string
  /** As it was named where it was started: the path of its folder from there. */
  name: string
  host: string
  version: string
  /** Whether it runs on the machine of the studio. */
  isHere: boolean
  /** Jobs that wait for results, and shards whose results came. */
  waiting: number
  done: number
  seconds: number
}
