/**
 * attune's command line for tests, with one more command: `sweep` runs a small scaling lab that takes seconds.
 * Run as a program it executes one command. Forked with an IPC channel it executes one command after another in the same process,
 * and sends the result of each: { code, stdout, stderr }.
 */
import { main } from '../../dist/cli/main.js'

const plan = {
  ...{ vocabulary: 13, layers: 1, digits: 2, taught: 24, held: 8, reported: 8, batchSize: 8, warmup: 0.1, cooldown: 0.2 },
  ...{ sizes: [16], budgets: [8e7], learningRates: [1e-2], tuningSeeds: 1 },
  comparison: {
    ...{ sizes: [8], startBudget: 2e6, budget: 3e7, helper: { hidden: 16, budget: 8e7 } },
    ...{ learningRates: [1e-3], betas: [1], iterations: 2 },
  },
  ...{ seeds: 1, comparisonSeeds: 1, methods: ['sft', 'asft'] },
}

const flagOf = (argv, name) => (argv.includes(name) ? argv[argv.indexOf(name) + 1] : undefined)

const sweep = async (argv) => {
  const [{ sweep }, { scalingSchema }, { reportFailure }, { openSharing }] = await Promise.all([
    import('../../dist/labs/scaling/sweep.js'),
    import('../../dist/labs/scaling/settings.js'),
    import('../../dist/cli/failure.js'),
    import('../../dist/workers/sharing.js'),
  ])
  const given = scalingSchema.parse({ output: flagOf(argv, '--output'), workers: flagOf(argv, '--workers'), jobs: 1 })
  try {
    const { settings, sharing, close } = await openSharing(given, { name: 'sweep', note: () => {} })
    try {
      for await (const _ of sweep(settings, { preset: plan, sharing }));
    } finally {
      await close()
    }
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
