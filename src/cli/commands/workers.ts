/** `attune workers`: the workers and the runs at a Redis. */
import { z } from 'zod'
import { command } from '../command.ts'
import { columns, duration } from '../format.ts'
import { painter } from '../screen.ts'

const schema = z.object({
  redis: z.string().min(1).meta({ value: 'REDIS' }).describe('the Redis of the workers: redis://HOST:6379'),
})

export default command({
  summary: 'List the workers at a Redis, and the runs that share their work out there',
  example: 'workers redis://127.0.0.1:6379',
  schema,
  operands: ['redis'],
  async run({ redis: url }, { out }) {
    const { openOverview } = await import('../../workers/overview.ts')
    const overview = await openOverview(url, 'the address')
    try {
      const { workers, runs } = await overview.read()
      if (!out.toTerminal) {
        out.noteJsonLines()
        for (const { id: _, ...worker } of workers) await out.jsonLine({ event: 'worker', ...worker })
        for (const { id: _, ...run } of runs) await out.jsonLine({ event: 'run', ...run })
        return
      }
      const paint = painter({ color: out.screen.color })
      const since = (time: string) => duration(Math.max(0, (Date.now() - Date.parse(time)) / 1000))
      if (!workers.length) await out.text(`no worker; start one: ${paint('cyan', `attune worker ${url}`)}`)
      else
        await out.text(
          columns([
            ['worker', 'machine', 'threads', 'processor', 'works on', 'done', 'failed', 'seen'],
            ...workers.map((worker) => [
              worker.name,
              worker.host,
              worker.threads ? `${worker.threads}` : 'all',
              worker.processor,
              worker.shard ? `${worker.shard.kind} of ${worker.shard.run} for ${since(worker.shard.since)}` : '-',
              `${worker.done}`,
              `${worker.failed}`,
              `${since(worker.seen)} ago`,
            ]),
          ]),
        )
      for (const run of runs)
        await out.text(
          `${paint('bold', run.name)} on ${run.host}, attune ${run.version}: ${run.waiting} shards wait, ${run.done} done, for ${since(run.started)}`,
        )
    } finally {
      overview.close()
    }
  },
})
