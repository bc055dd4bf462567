/**
 * Training processes that are killed, interrupted, run on a failing disk or find damaged checkpoints.
 * Saved checkpoints stay, and a resumed run ends with the weights of an uninterrupted one. test/campaigns has the long forms.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newestState } from '../src/checkpoint/state.node.ts'
import { type Ended, errorOf, killer, logOf, phaseOf, type StartOptions, start, weightsOf } from './support/runs.ts'
import { poisoned, writeInputs } from './support/scenarios.ts'
import { openWarm } from './support/warm.ts'

const root = mkdtempSync(join(tmpdir(), 'attune-reliability-'))
const warm = openWarm()
afterAll(() => {
  warm.close()
  rmSync(root, { recursive: true })
})

const at = (name: string) => join(root, name)
const dpo = [...writeInputs(at('inputs'))[0].argv, '--max-steps', '4', '--keep', '4']
/** In a process of its own where that is killed or its disk fails; otherwise in one that stays, which is faster. */
const run = (name: string, flags: readonly string[] = [], options?: Partial<StartOptions>): Promise<Ended> => {
  const [argv, cache] = [[...dpo, '--output', at(name), ...flags], at(`${name}-cache`)]
  return options ? start(argv, { cache, ...options }) : warm.run(argv, cache)
}

const isThere = (name: string) => statSync(at(name), { throwIfNoEntry: false }) !== undefined
const leftOver = (name: string) =>
  readdirSync(at(name), { recursive: true, encoding: 'utf8' }).filter((path) => /tmp|lock/.test(path))
const eventsOf = ({ stdout }: Ended): Record<string, unknown>[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

let operations = 0
beforeAll(async () => {
  const { code } = await run('whole', [], { disk: { count: at('count') } })
  expect(code).toBe(0)
  operations = Number(readFileSync(at('count'), 'utf8'))
})

const sameAsWhole = (name: string) => {
  expect(weightsOf(at(name))).toBe(weightsOf(at('whole')))
  expect(logOf(at(name))).toEqual(logOf(at('whole')))
  expect(leftOver(name)).toEqual([])
}

/** The step of the newest checkpoint; none may be damaged. */
const soundStep = async (name: string) => {
  const { state, warnings } = await newestState(join(at(name), 'checkpoints'))
  expect(warnings).toEqual([])
  return state?.step
}

describe('a run killed with SIGKILL', () => {
  it.each([
    ['before run.json', 5],
    ['writing a checkpoint', 0.5],
    ['writing the result', 0.9],
  ])('%s resumes to the weights and log of an uninterrupted run', async (phase, moment) => {
    const name = `killed-${moment}`
    const kill = moment < 1 ? Math.round(moment * operations) : moment
    const killed = await run(name, [], { disk: { kill, torn: true } })
    expect([killed.signal, phaseOf(at(name))]).toEqual(['SIGKILL', phase])
    // The cached reference log-probs are lost as well
    rmSync(at(`${name}-cache`), { recursive: true, force: true })
    const resumed = await run(name, ['--resume'])
    expect(errorOf(resumed)).toEqual([])
    sameAsWhole(name)
  })
})

it('damaged checkpoints are named in warnings, and the run resumes from the newest sound one', async () => {
  cpSync(at('whole'), at('damaged'), { recursive: true })
  rmSync(join(at('damaged'), 'model'), { recursive: true })
  const file = (step: number, name: string) => join(at('damaged'), 'checkpoints', `step-${step}`, name)
  truncateSync(file(4, 'arena0.m'), 1000)
  writeFileSync(file(3, 'arena0.params'), new Uint8Array(readFileSync(file(3, 'arena0.params'))).with(5000, 0x7f))
  rmSync(file(2, 'manifest.json'))
  const events = eventsOf(await run('damaged', ['--resume', '--json', '--threads', '2']))
  const named = events.flatMap(({ code, message }) => (code === 'bad-checkpoint' ? [String(message)] : []))
  expect(named).toEqual([
    expect.stringMatching(/checkpoints\/step-4: arena0\.m has 1000 bytes instead of/),
    expect.stringMatching(/checkpoints\/step-3: arena0\.params is not what was written/),
    expect.stringMatching(/checkpoints\/step-2: manifest\.json is missing/),
  ])
  expect(events.find(({ event }) => event === 'start')).toMatchObject({ step: 1 })
  sameAsWhole('damaged')
})

describe('SIGTERM or SIGINT', () => {
  it('once, before the first step, exits with 130 and a checkpoint that resumes', async () => {
    const watch = killer(at('term'), { at: 'file', name: /^events\.jsonl$/, ms: 0 }, 'SIGTERM')
    const stopped = await run('term', [], { watch })
    expect(stopped.code, stopped.stderr).toBe(130)
    expect(await soundStep('term')).toBeLessThan(4)
    expect(stopped.stderr).toContain('attune dpo --output')
    await run('term', ['--resume'])
    expect(weightsOf(at('term'))).toBe(weightsOf(at('whole')))
    expect(logOf(at('term'), ['checkpoint'])).toEqual(logOf(at('whole'), ['checkpoint']))
  })

  it('twice ends the run at once and keeps its checkpoints', async () => {
    const watch: StartOptions['watch'] = (kill) =>
      killer(
        at('twice'),
        { at: 'file', name: /^checkpoints\/step-1$/, ms: 0 },
        'SIGINT',
      )(() => {
        kill('SIGINT')
        setTimeout(() => kill('SIGINT'), 5)
      })
    const stopped = await run('twice', [], { watch })
    // The current step may have ended before the second signal
    if (stopped.code !== 130) expect(stopped.signal).toBe('SIGINT')
    expect(await soundStep('twice')).toBeGreaterThanOrEqual(1)
    await run('twice', ['--resume'])
    expect(weightsOf(at('twice'))).toBe(weightsOf(at('whole')))
  })
})

describe('a disk that fails', () => {
  it('for lack of free space is reported before the first step', async () => {
    const ended = await run('full', [], { disk: { free: 1000 } })
    expect(errorOf(ended)[0]).toMatch(/^error: \S+\/full: \d{7,} bytes are needed and 1000 are free; free some space/)
    expect([ended.code, isThere('full')]).toEqual([2, false])
  })

  it('because it is read-only is reported, and no run folder is made', async () => {
    const ended = await run('refused/deep', [], { disk: { fail: 'EROFS', path: 'refused' } })
    expect(errorOf(ended)).toEqual([
      `error: ${at('refused/deep')}: the file system is read-only; choose another --output`,
    ])
    expect([ended.code, isThere('refused')]).toEqual([2, false])
  })

  it.each([
    ['ENOSPC', 'step-3', /step-3: the disk is full; .* \(\d{7,} bytes are needed\)$/],
    ['EIO', 'model.tmp', /model: the disk reported an error \(EIO\); .* \(\d{7,} bytes are needed\)$/],
  ])('with %s at %s ends the run with exit code 1 and checkpoints that resume', async (fail, path, message) => {
    const ended = await run(fail, [], { disk: { fail, path } })
    expect(errorOf(ended)).toEqual([expect.stringMatching(message)])
    expect(ended.code).toBe(1)
    expect(leftOver(fail)).toEqual([])
    await run(fail, ['--resume'])
    sameAsWhole(fail)
  })

  it('while reference log-probs are cached does not stop the run', async () => {
    const ended = await run('uncached', [], { disk: { fail: 'ENOSPC', path: 'uncached-cache' } })
    expect(ended.code).toBe(0)
    expect(ended.stderr).toContain('set ATTUNE_CACHE')
    expect(weightsOf(at('uncached'))).toBe(weightsOf(at('whole')))
  })
})

describe('NaN or infinity stops the run before it is saved', () => {
  const sft = (name: string, ...flags: string[]) => {
    const argv = ['sft', ...dpo.slice(1), '--save-every', '1', ...flags, '--output', at(name)]
    return warm.run(argv, at('cache'))
  }

  it('in the initial weights: the error names step, rows and tensor', async () => {
    const ended = await sft('poisoned', '--model', poisoned(at('model-with-nan')))
    expect(errorOf(ended)).toEqual([
      expect.stringMatching(
        /^error: step 1: the loss is NaN and the weight model\.layers\.2\.mlp\.up_proj\.weight is not finite, on rows [\d, ]+; nothing/,
      ),
    ])
    expect([ended.code, readdirSync(at('poisoned')).sort()]).toEqual([1, ['events.jsonl', 'run.json']])
  })

  it('after too high a learning rate: the last finite checkpoint stays', async () => {
    const flags = ['--schedule', 'constant', '--learning-rate', '1e25', '--max-grad-norm', '0', '--optimizer', 'sgd']
    const ended = await sft('wild', ...flags)
    expect(errorOf(ended)).toEqual([expect.stringMatching(/^error: step 2: .* is not finite, on rows/)])
    expect(ended.code).toBe(1)
    expect(readdirSync(join(at('wild'), 'checkpoints'))).toEqual(['step-1'])
    expect(await soundStep('wild')).toBe(1)
  })

  it('after the last update: neither checkpoint nor model is written', async () => {
    const flags = ['--learning-rate', '1e39', '--max-grad-norm', '0', '--optimizer', 'sgd']
    const ended = await sft('beyond', ...flags)
    expect(errorOf(ended)).toEqual([
      expect.stringMatching(/^error: the update made model\.\S+ infinite; nothing was saved/),
    ])
    expect([ended.code, isThere('beyond/model')]).toEqual([1, false])
    expect(readdirSync(join(at('beyond'), 'checkpoints'))).toEqual([])
  })
})
