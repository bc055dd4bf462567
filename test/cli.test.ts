/** The command line as a process: what it prints where, and how it ends. Runs bin/attune.js on the built package. */
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const bin = fileURLToPath(new URL('../bin/attune.js', import.meta.url))
let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'attune-cli-'))
})
afterAll(() => rmSync(dir, { recursive: true }))

const attune = (...argv: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...argv], { cwd: dir, encoding: 'utf8' })
  return { status, stdout, stderr }
}

const fakeRun = (name: string, events: number) => {
  const run = join(dir, 'attune-runs', name)
  mkdirSync(run, { recursive: true })
  const info = { format: 1, method: 'sft', created: '2025-01-01', command: [], config: { model: 'm' }, versions: {} }
  writeFileSync(join(run, 'run.json'), JSON.stringify({ ...info, machine: {}, resumes: [] }))
  const line = (i: number) => `${JSON.stringify({ event: 'step', step: i + 1, loss: 1 / (i + 1) })}\n`
  writeFileSync(join(run, 'events.jsonl'), Array.from({ length: events }, (_, i) => line(i)).join(''))
}

describe('help', () => {
  it('comes at once: the engine and the schemas stay away', () => {
    const fastest = (...argv: string[]) =>
      Math.min(
        ...[1, 2, 3].map(() => {
          const start = performance.now()
          expect(spawnSync(process.execPath, argv).status).toBe(0)
          return performance.now() - start
        }),
      )
    expect(fastest(bin, '--help') - fastest('-e', '0')).toBeLessThan(120)
  })

  it('lists the commands, with or without being asked', () => {
    const { status, stdout, stderr } = attune('--help')
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/sft .*\n.*dpo /)
    expect(attune().stdout).toBe(stdout)
    expect(attune('help', 'sft').stdout).toBe(attune('sft', '-h').stdout)
    expect(attune('--version').stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

describe('a wrong command line ends with 2, one message, and nothing on stdout', () => {
  it.each([
    [['trian'], 'error: "trian" is no command'],
    [['dop'], 'did you mean dpo?'],
    [['--hepl'], 'did you mean --help?'],
    [['dpo', '--modle', 'm'], '--modle: is no flag of attune dpo; did you mean --model?'],
    [['sft', '--data', 'd', '--model', 'm', '--optimizer', 'adm'], '--optimizer: "adm" is none of'],
    [['sft', '--data', 'd'], '--model: is required'],
    [['inspect', 'no/such/model'], 'no/such/model'],
    [['runs', 'show', 'nothing'], 'nothing: there is no run of this name'],
    [['sft', '--config', 'none.yaml'], '--config: cannot be read'],
  ])('%j', (argv, message) => {
    const { status, stdout, stderr } = attune(...argv)
    expect(stderr).toContain(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect([status, stdout]).toEqual([2, ''])
  })
})

describe('runs', () => {
  it('are listed for people and for programs', () => {
    expect(attune('runs').stdout).toBe('no runs in attune-runs\n')
    fakeRun('one', 3)
    fakeRun('two', 3)
    expect(attune('runs', 'list').stdout).toMatch(/^run +method +state.*\none +sft +broken off +3\/3 +0\.3333/)
    const lines = attune('runs', '--json')
      .stdout.trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toMatchObject([{ name: 'one', steps: 3 }, { name: 'two' }])
    expect(attune('runs', 'show', 'two').stdout).toContain('broken off, 3 of 3 steps')
    expect(attune('runs', 'delete', 'two').status).toBe(0)
    expect(attune('runs', '--json').stdout.trim().split('\n')).toHaveLength(1)
  })

  it('end quietly when nobody reads any more', async () => {
    fakeRun('long', 20_000)
    const child = spawn(process.execPath, [bin, 'runs', 'show', 'long', '--events'], { cwd: dir })
    let stderr = ''
    child.stderr.on('data', (text) => (stderr += text))
    child.stdout.once('data', () => child.stdout.destroy())
    const status = await new Promise((resolve) => child.on('exit', resolve))
    expect([status, stderr]).toEqual([0, ''])
  })
})

it('says how to build what is not built', () => {
  cpSync(bin, join(dir, 'bin', 'attune.mjs'))
  const { status, stderr } = spawnSync(process.execPath, [join(dir, 'bin', 'attune.mjs')], { encoding: 'utf8' })
  expect([status, stderr]).toEqual([1, 'error: attune is not built yet; run `npm run build` first\n'])
})
