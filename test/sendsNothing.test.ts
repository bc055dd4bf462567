/** Training and generating write only to the run folder and the cache, and use neither network nor machine identity. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { root, run } from './support/project.ts'

const stories = join(root, 'test/fixtures/models/stories260K')
let base = ''
let home = ''

/** A separate home folder, without the variables that this test run sets. */
const env = () => ({
  HOME: home,
  USERPROFILE: home,
  TMPDIR: join(base, 'tmp'),
  XDG_CACHE_HOME: undefined,
  ATTUNE_CACHE: join(base, 'cache'),
  ORT_DISABLE_TELEMETRY: undefined,
})

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'attune-sends-nothing-'))
  home = join(base, 'home')
  for (const folder of [home, join(base, 'tmp')]) mkdirSync(folder)
  writeFileSync(
    join(base, 'pairs.jsonl'),
    '{"prompt":"Once upon","chosen":" a time, a dog.","rejected":" a time, a cat."}\n'.repeat(2),
  )
})
afterAll(() => rmSync(base, { recursive: true, force: true }))

const bin = join(root, 'bin/attune.js')
const training = (output: string) => [
  bin,
  'dpo',
  '--model',
  stories,
  '--data',
  'pairs.jsonl',
  '--batch-size',
  '1',
  '--output',
  output,
  '--lora-r',
  '2',
]
const generating = (model: string) => [bin, 'generate', '--model', model, '--prompt', 'Once', '--max-new-tokens', '4']

/** A program that uses the library, with the engine in its own thread and in a worker. */
const library = `
import { openBackend } from ${JSON.stringify(join(root, 'dist/runtime/open.node.js'))}
import { input } from ${JSON.stringify(join(root, 'dist/tensor/tensor.js'))}
import { compileProgram } from ${JSON.stringify(join(root, 'dist/onnx/model.js'))}
for (const inProcess of [true, false]) {
  const backend = await openBackend({ inProcess, threads: 1 })
  const x = input('x', ['N'])
  const twice = backend.load(compileProgram('twice', { y: x.add(x) }))
  console.log(...(await backend.read(backend.run(twice, { x: backend.put(Float32Array.of(21), [1]) }).y)))
  await backend.close()
}
`

it('the command line and the library leave the home folder empty', async () => {
  const options = { cwd: base, env: env() }
  const trained = await run(process.execPath, training('run'), options)
  expect(trained.stderr).toContain('run/adapter')
  expect(trained.status).toBe(0)
  expect((await run(process.execPath, generating('run'), options)).status).toBe(0)
  writeFileSync(join(base, 'program.mjs'), library)
  expect((await run(process.execPath, ['program.mjs'], options)).stdout).toBe('42\n42\n')
  expect(readdirSync(home, { recursive: true })).toEqual([])
  expect(readdirSync(join(base, 'tmp'))).toEqual([])
})

/** The modules of Redis that a process has loaded: before and after it was asked for workers. */
const loaded = `
import Module from 'node:module'
import { openStudio } from ${JSON.stringify(join(root, 'dist/studio/openStudio.node.js'))}
import ${JSON.stringify(join(root, 'dist/cli/commands/studio.js'))}
const count = () => Object.keys(Module._cache).filter((path) => /node_modules.(ioredis|bullmq)/.test(path)).length
const studio = await openStudio({ root: '.', host: '127.0.0.1', port: 0, onError: console.error })
const headers = { authorization: 'Bearer ' + new URL(studio.ownerUrl).searchParams.get('token') }
const { workers } = await (await fetch(studio.url + '/api/session', { headers })).json()
const { status } = await fetch(studio.url + '/api/workers', { headers })
console.log(workers, status, count())
await studio.close()
await import(${JSON.stringify(join(root, 'dist/workers/overview.js'))})
console.log(count() > 0)
`

it('a studio without --workers loads nothing of Redis, and has no part of workers', async () => {
  mkdirSync(join(base, 'studio'))
  writeFileSync(join(base, 'studio/program.mjs'), loaded)
  const { stdout, stderr } = await run(process.execPath, ['program.mjs'], { cwd: join(base, 'studio'), env: env() })
  expect([stdout, stderr]).toEqual(['false 404 0\ntrue\n', ''])
})

const strace = process.platform === 'linux' && spawnSync('strace', ['-V']).status === 0

/** The system calls of a process that open, create or rename files or use the network. */
const traced = (args: string[]): string[] => {
  const log = join(base, 'trace')
  const calls = 'trace=openat,open,creat,mkdir,rename,unlink,symlink,connect,sendto,sendmsg,bind'
  execFileSync('strace', ['-f', '-qq', '-e', calls, '-o', log, process.execPath, ...args], {
    cwd: base,
    env: { ...process.env, ...env() },
    stdio: 'ignore',
  })
  return readFileSync(log, 'utf8').split('\n')
}

it.skipIf(!strace)(
  'training opens no socket, reads no machine id, resolves no host name and writes only to its own folders',
  () => {
    const calls = [...traced(training('traced')), ...traced(generating('traced'))]
    expect(calls.length).toBeGreaterThan(100)
    expect(calls.filter((line) => /\b(connect|bind|sendto|sendmsg)\(/.test(line) && /AF_INET/.test(line))).toEqual([])
    expect(calls.filter((line) => /machine-id|resolv\.conf|\/etc\/hosts|nsswitch/.test(line))).toEqual([])
    const written = calls.filter((line) => /O_WRONLY|O_RDWR|O_CREAT|\b(creat|mkdir|rename|unlink|symlink)\(/.test(line))
    const own = (line: string) => ['"/dev/', '"/proc/', `"${base}`, '"traced'].some((start) => line.includes(start))
    expect(written.length).toBeGreaterThan(10)
    expect(written.filter((line) => !own(line) && !line.includes('ENOENT'))).toEqual([])
    expect(existsSync(join(base, 'traced/adapter'))).toBe(true)
  },
)
