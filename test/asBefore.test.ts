/**
 * Commands, flags, JSON lines and files are compared with recordings of an earlier version (test/fixtures/before).
 * The wording of help and messages may change. An intended change is recorded with ATTUNE_RECORD=1 and reviewed in the diff.
 */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { commands } from '../dist/cli/commands.js'
import { fixture } from './support/golden.ts'
import {
  commandsIn,
  differenceOf,
  filesOf,
  type Observed,
  observe,
  usageOf,
  withOldNumbers,
} from './support/observed.ts'
import { scenariosIn, writeInputs } from './support/scenarios.ts'
import { openWarm } from './support/warm.ts'

vi.setConfig({ testTimeout: 240_000 })

const isRecording = process.env.ATTUNE_RECORD === '1'
const recorded = fixture('before')
const root = mkdtempSync(join(tmpdir(), 'attune-before-'))
const cache = join(root, 'cache')
const warm = openWarm()
afterAll(() => {
  warm.close()
  rmSync(root, { recursive: true })
})

const fileName = (name: string) => `${name.replace(/[^\w]+/g, '-')}.json`

/** Compares with the recording of this name, or records it. */
const expectAsBefore = (name: string, is: unknown, apart?: number) => {
  const path = join(recorded, fileName(name))
  const plain = JSON.parse(JSON.stringify(is))
  const was = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined
  if (isRecording) writeFileSync(path, `${JSON.stringify(withOldNumbers(plain, was), null, 1)}\n`)
  else expect(differenceOf(plain, was, apart)).toBeUndefined()
}

const inputs = join(root, 'inputs')
const scenarios = writeInputs(inputs)
const runOf = (name: string) => join(root, 'runs', fileName(name).replace('.json', ''))

it('help lists the recorded commands, flags, choices and defaults', async () => {
  const usages: Record<string, unknown> = {}
  for (const name of ['', ...commands.map((command) => command.name)]) {
    const { stdout } = await warm.run([name, '--help'].filter(Boolean), cache)
    usages[name] = usageOf(stdout)
  }
  expectAsBefore('help', usages)
})

/**
 * Runs at rates so high that the last digit grows, and processors round otherwise: how far numbers may be apart. Where the samples of
 * later iterations differ, only what is there is compared.
 */
const apart: Readonly<Record<string, number>> = {
  // A last digit decides how a number is rounded to 8 bits: margins differ by 9 %, in the last run a sample by a word
  'dpo, LoRA, in 8-bit whole numbers': 0.2,
  'sft, all weights, in 8-bit whole numbers': 0.2,
  'sft, LoRA, in 8-bit whole numbers, calibrated': Number.POSITIVE_INFINITY,
  // At its end the norm of the gradient is 357 with AVX-512, 235 without
  'sft, LoRA with dropout, stops by patience': Number.POSITIVE_INFINITY,
  'asft, LoRA, last two iterations mixed, first model last': Number.POSITIVE_INFINITY,
  'selfreward, LoRA, rankings of people, a reward model as judge': Number.POSITIVE_INFINITY,
}

describe('a run prints the recorded events and writes the recorded files', () => {
  it.each(scenarios.map(({ name }) => name))('%s', async (name) => {
    const { argv } = scenarios.find((scenario) => scenario.name === name)!
    const output = runOf(name)
    const flags = argv[0] === 'sweep' ? [] : ['--json']
    const is = await observe(warm, [...argv, '--output', output, ...flags], { root, cache, output })
    expectAsBefore(name, is, apart[name])
  })
})

describe('a command prints the recorded lines and writes the recorded files', () => {
  const runs = Object.fromEntries(scenarios.map(({ name }) => [name, runOf(name)]))
  it.each(commandsIn(inputs, runs))('$name', async ({ name, argv, output }) => {
    expectAsBefore(`command ${name}`, await observe(warm, [...argv, '--json'], { root, cache, output }))
  })
})

/** Lines that logs of earlier versions have more: before the first step sft did not evaluate, and reward saved a checkpoint. */
const moreLines: Record<string, number> = { 'sft-after-step-3': -1, 'reward-after-step-3': 1 }

describe('a run stopped by an earlier version resumes to the recorded result', () => {
  const states = join(recorded, 'stopped')
  it.each(existsSync(states) ? readdirSync(states) : [])('%s', async (state) => {
    const project = mkdtempSync(join(root, 'project-'))
    cpSync(inputs, project, { recursive: true })
    cpSync(join(states, state), join(project, 'run'), { recursive: true })
    const name = readFileSync(join(project, 'run', 'SCENARIO'), 'utf8').trim()
    rmSync(join(project, 'run', 'SCENARIO'))
    const { argv } = scenariosIn('').find((scenario) => scenario.name === name)!
    const { code, stderr } = await warm.run([...argv, '--output', 'run', '--resume', '--json'], cache, project)
    expect(code, stderr).toBe(0)
    const was = readFileSync(join(recorded, fileName(name)), 'utf8')
      .replace(/<root>\/inputs\//g, '')
      .replace(/<root>\/runs\/[\w-]+/g, '<root>/run')
    const { files } = JSON.parse(was) as Observed
    const log = files['events.jsonl'] as { lines: number; first: Record<string, unknown> }
    log.lines += moreLines[state] ?? 0
    // Earlier versions did not count them
    delete log.first.plain_rows
    const is = JSON.parse(JSON.stringify(await filesOf(join(project, 'run'), project)))
    for (const file of ['events.jsonl', 'adapter/adapter_model.safetensors'])
      expect(differenceOf(is[file], files[file]), file).toBeUndefined()
  })
})
