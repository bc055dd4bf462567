/**
 * attune's command line for tests, with one more command: `sweep` runs a small scaling lab that takes seconds.
 * Run as a program it executes one command. Forked with an IPC channel it executes one command after another in the same process,
 * and sends the result of each: { code, stdout, stderr }.
 */
import { main } from '../../dist/cli/main.js'

const plan = {
  ...{ vocabulary: 13, taught: 24, held: 8, batchSize: 8, warmupSteps: 2, evalEvery: 2, marks: [0.5, 1] },
  selfPlay: { mark: 0, iterations: 2, steps: 2, learningRate: 1e-4, beta: 0.1 },
  sizes: [16, 32].map((hidden) => ({ hidden, layers: 1, learningRate: 1e-3, steps: 4 })),
  ...{ seeds: 1, methods: ['sft', 'asft'] },
}

const sweep = async (argv) => {
  const [{ sweep }, { scalingSchema }, { reportFailure }] = await Promise.all([
    import('../../dist/labs/scaling/sweep.js'),
    import('../../dist/labs/scaling/settings.js'),
    import('../../dist/cli/failure.js'),
  ])
  const settings = scalingSchema.parse({ output: argv[argv.indexOf('--output') + 1], jobs: 1 })
  try {
    for await (const _ of sweep(settings, { preset: plan }));
  } catch (error) {
    process.exitCode = reportFailure(error)
  }
}

const perform = (argv) => (argv[0] === 'sweep' ? sweep(argv) : main(argv))

const captured = async (argv) => {
  const texts = { stdout: '', stderr: '' }
  const originals = {}
  for (const name of ['stdout', 'stderr']) {
    originals[name] = process[name].write
    process[name].write = (text, encoding, done) => {
      texts[name] += text
      const taken = typeof encoding === 'function' ? encoding : done
      if (taken) setImmediate(taken)
      return true
    }
  }
  process.exitCode = 0
  try {
    await perform(argv)
    return { code: process.exitCode, ...texts }
  } finally {
    for (const name of ['stdout', 'stderr']) process[name].write = originals[name]
    process.exitCode = 0
  }
}

if (process.send) {
  process.setMaxListeners(0)
  process.stdout.setMaxListeners(0)
  process.stderr.setMaxListeners(0)
  process.on('message', async ({ argv, cache, cwd }) => {
    process.env.ATTUNE_CACHE = cache
    if (cwd) process.chdir(cwd)
    process.send(await captured(argv))
  })
  process.on('disconnect', () => process.exit())
} else await perform(process.argv.slice(2))
