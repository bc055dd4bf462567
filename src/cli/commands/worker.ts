/** `attune worker`: computes shards of the runs that share their work out at a Redis. */
import { join } from 'node:path'
import { z } from 'zod'
import { cacheFolder } from '../../util/cacheFolder.node.ts'
import { plural } from '../../util/format.ts'
import { version } from '../../util/version.node.ts'
import { command } from '../command.ts'
import { duration } from '../format.ts'
import { interruptible } from '../interrupt.ts'
import { painter, safeForTerminal } from '../screen.ts'

const gigabyte = 2 ** 30

const schema = z.object({
  redis: z
    .string()
    .min(1)
    .meta({ value: 'REDIS' })
    .describe('the Redis at which runs share their work out: redis://HOST:6379'),
  name: z
    .string()
    .min(1)
    .optional()
    .describe('its name in lists (default: the name of the machine and the process id)'),
  threads: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('CPU threads (default: one a core); they do not change any result'),
  cacheSize: z
    .number()
    .positive()
    .default(20)
    .meta({ value: 'GB' })
    .describe('gigabytes that models and rows of runs may take in the cache'),
})

export default command({
  summary: 'Compute shards of runs on other machines: start a run there with --workers and the same address',
  example: 'worker redis://127.0.0.1:6379',
  schema,
  operands: ['redis'],
  async run({ redis: url, name, threads, cacheSize }, { out }) {
    const { runWorker } = await import('../../workers/worker.ts')
    const { screen } = out
    const paint = painter(screen)
    const line = (label: string, text: string) =>
      screen.write(`  ${paint('dim', label.padEnd(10))}${safeForTerminal(text, false)}\n`)
    await interruptible(
      (signal) =>
        runWorker(
          {
            url,
            name,
            threads,
            version: version(),
            cache: join(cacheFolder(), 'worker'),
            cacheBytes: cacheSize * gigabyte,
          },
          (event) => {
            if (out.json) return void out.jsonLine(event)
            if (event.event === 'ready')
              line(
                'worker',
                `${event.name}, attune ${version()}: ${event.runs ? plural(event.runs, 'run') : 'no run'} at this Redis; Ctrl-C gives the shard under way back`,
              )
            else if (event.event === 'other-version')
              line(
                'note',
                `run ${event.run} gets nothing from here: it is attune ${event.version}, and this worker ${version()}`,
              )
            else if (event.event === 'shard')
              line(
                'done',
                `${event.kind} of ${event.run} in ${duration(event.seconds)}; ${plural(event.done, 'shard')} so far`,
              )
            else if (event.event === 'failed') line('failed', `${event.kind} of ${event.run}: ${event.message}`)
            else line('redis', event.message)
          },
          signal,
        ),
      () => line('ending', 'what is under way is given back'),
    )
  },
})
