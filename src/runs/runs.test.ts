import { spawnSync } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { deleteRun, findRun, modelOfRun, newRunFolder, readRun, requireRun, runFolders } from './find.node.ts'
import { isRunning, takeLock } from './lock.node.ts'
import { bytesUpTo, readLog } from './log.node.ts'
import { openRun, type RunOptions, readInfo } from './run.node.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-runs-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

const options = (config: object = {}, resume = false): RunOptions => ({
  method: 'sft',
  config: { model: 'm', learningRate: 1e-3, maxSteps: 4, ...config },
  resume,
  command: ['attune', 'sft'],
  changeable: ['maxSteps', 'output', 'resume'],
})
const step = (n: number, loss = 1 / n) => ({ event: 'step', step: n, loss })
const checkpoint = (n: number) => ({ event: 'checkpoint', step: n, path: `checkpoints/step-${n}` })

/** A run that was killed after these events: no `end`, no close. */
const broken = async (dir: string, events: { event: string }[]) => {
  const run = await openRun(dir, options())
  await run.started({ total_steps: 4 })
  for (const event of events) await run.append(event)
  await run.close()
}
const logged = async (dir: string) => {
  const events = []
  for await (const { event, step } of readLog(join(dir, 'events.jsonl'))) events.push(`${event} ${step}`)
  return events
}

describe('a run folder', () => {
  it('records what results depend on, and takes no second run', async () => {
    const dir = join(root, 'a')
    await broken(dir, [step(1)])
    const info = await readInfo(dir)
    expect(info).toMatchObject({ method: 'sft', config: { model: 'm', resume: false }, total_steps: 4, resumes: [] })
    expect(info.versions.node).toBe(process.versions.node)
    expect(info.machine.cores).toBeGreaterThan(0)
    await expect(openRun(dir, options())).rejects.toMatchObject({ code: 'taken', exitCode: 2 })
    expect(await logged(dir)).toEqual(['step 1'])
  })

  it('leaves nothing behind when training never started, and nothing in a folder that is no run', async () => {
    const run = await openRun(join(root, 'deep', 'a'), options())
    await run.close()
    expect(await readdir(root)).toEqual([])
    await mkdir(join(root, 'deep'))
    await (await openRun(join(root, 'deep'), options())).close()
    expect(await readdir(join(root, 'deep'))).toEqual([])
    await writeFile(join(root, 'letter.txt'), 'x')
    await expect(openRun(root, options())).rejects.toThrow(/holds deep and is no run/)
    await expect(openRun(join(root, 'letter.txt', 'a'), options())).rejects.toThrow(/is a file, or below one/)
    expect((await readdir(root)).sort()).toEqual(['deep', 'letter.txt'])
  })

  it('is written by one process at a time', async () => {
    const dir = join(root, 'a')
    const run = await openRun(dir, options())
    await expect(openRun(dir, options())).rejects.toMatchObject({ code: 'locked', exitCode: 1 })
    expect(await isRunning(dir)).toBe(true)
    await run.close()
    expect(await isRunning(dir)).toBe(false)
  })

  it('takes over the lock of a process that no longer exists, but not that of another machine', async () => {
    const gone = spawnSync(process.execPath, ['-e', '0']).pid
    const lock = (host: string) =>
      writeFile(join(root, 'run.lock'), JSON.stringify({ pid: gone, host, since: '2024-01-01' }))
    await lock(hostname())
    const unlock = await takeLock(root)
    expect(JSON.parse(await readFile(join(root, 'run.lock'), 'utf8')).pid).toBe(process.pid)
    await unlock()
    await writeFile(
      join(root, 'run.lock'),
      JSON.stringify({ pid: process.pid, host: hostname(), since: '2024-01-01', began: '1' }),
    )
    if (process.platform === 'linux') await (await takeLock(root))()
    await lock('elsewhere')
    await expect(takeLock(root)).rejects.toThrow(/of elsewhere writes this run/)
  })

  it('takes over a damaged lock with a warning, and refuses a folder or a link in its place', async () => {
    const path = join(root, 'run.lock')
    const held = async () => {
      const told: string[] = []
      await (await takeLock(root, (message) => told.push(message)))()
      return told
    }
    const unlock = await takeLock(root)
    const whole = await readFile(path, 'utf8')
    await unlock()
    const altered = whole.replace(hostname(), 'elsewhere')
    for (const text of ['', whole.slice(0, 20), '\0'.repeat(whole.length), 'null', '5', '{"pid":-1}', altered]) {
      await writeFile(path, text)
      expect(await held(), text).toEqual([expect.stringContaining(`${path} was damaged`)])
    }
    await mkdir(path)
    await expect(held()).rejects.toThrow(/run\.lock: is a folder/)
    await rm(path, { recursive: true })
    await symlink(join(root, 'nowhere'), path)
    await expect(held()).rejects.toThrow(/run\.lock: is a link/)
    await rm(path)
    expect(await held()).toEqual([])
  })

  it('refuses a run.json that was changed', async () => {
    const dir = join(root, 'a')
    const path = join(dir, 'run.json')
    await broken(dir, [step(1)])
    const text = await readFile(path, 'utf8')
    const damaged = [text.replace('0.001', '0.002'), text.replace('"hash"', '"hasch"'), '', text.slice(9), '{}', 'null']
    for (const other of damaged) {
      await writeFile(path, other)
      await expect(openRun(dir, options({}, true))).rejects.toMatchObject({ code: 'bad-run', where: { file: path } })
    }
    await rm(path)
    await mkdir(path)
    await expect(readInfo(dir)).rejects.toThrow(/run\.json: cannot be read \(EISDIR\)/)
    // Those of earlier versions have no hash, and name the weights alone
    await rm(path, { recursive: true })
    const { hash: _, ...old } = JSON.parse(text)
    await writeFile(path, JSON.stringify({ ...old, format: 1 }))
    await (await openRun(dir, options({}, true))).close()
  })

  it('keeps size and hash of the log in run.json when a run ends', async () => {
    const dir = join(root, 'a')
    const run = await openRun(dir, options())
    await run.started({ total_steps: 1 })
    await run.append(step(1, 0.25))
    await run.append({ event: 'end', steps: 1, stopped: 'done' })
    await run.ended()
    await run.close()
    expect((await readRun(dir)).last.loss).toBe(0.25)
    const path = join(dir, 'events.jsonl')
    await writeFile(path, (await readFile(path, 'utf8')).replace('0.25', '0.15'))
    await expect(readRun(dir)).rejects.toMatchObject({ code: 'bad-log', where: { file: path } })
  })

  it('begins anew on --resume where a process died before its first step', async () => {
    for (const name of ['run.lock', `run.lock.${2 ** 22 + 1}`, 'run.json.tmp'])
      await writeFile(join(root, name), JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), since: '' }))
    const run = await openRun(root, options({}, true))
    expect(run.resumed).toBe(false)
    expect((await readdir(root)).sort()).toEqual(['run.json.tmp', 'run.lock'])
    await run.close()
    const fresh = await openRun(join(root, 'new'), options({}, true))
    expect(fresh.resumed).toBe(false)
    await fresh.close()
  })
})

describe('resuming', () => {
  it('cuts the log back to the checkpoint, so that it reads as if never interrupted', async () => {
    const dir = join(root, 'a')
    const whole = [step(1), step(2), { event: 'eval', step: 2 }, checkpoint(2), step(3), step(4), checkpoint(4)]
    await broken(dir, [...whole.slice(0, 5)])
    await appendFile(join(dir, 'events.jsonl'), '{"event":"step","step":4,"lo')
    const run = await openRun(dir, options({ maxSteps: 6 }, true))
    expect(run.resumed).toBe(true)
    run.goOn({ step: 2 })
    await run.started({ total_steps: 6 })
    for (const event of whole.slice(4)) await run.append(event)
    await run.close()
    expect(await logged(dir)).toEqual(whole.map(({ event, step }) => `${event} ${step}`))
    const { resumes, config, total_steps } = await readInfo(dir)
    expect(resumes).toMatchObject([{ step: 2, changed: { maxSteps: 6 } }])
    expect([config.maxSteps, total_steps]).toEqual([6, 6])
  })

  it('refuses other rows or another model at any step', async () => {
    const dir = join(root, 'a')
    const file = (name: string, sha256: string) => ({ path: name, absolute: `/home/${name}`, size: 1, sha256 })
    const facts = (...files: object[]) => ({ data_files: files })
    const rows = file('rows.jsonl', '1')
    const begun = await openRun(dir, options())
    await begun.started(facts(rows))
    await begun.append(step(1))
    await begun.append(checkpoint(1))
    await begun.close()
    const again = async (step: number | undefined, ...files: object[]) => {
      const run = await openRun(dir, options({}, true))
      if (step !== undefined) run.goOn({ step })
      await run.started(facts(...files)).finally(run.close)
    }
    for (const step of [1, undefined])
      await expect(again(step, file('rows.jsonl', '2'))).rejects.toThrow(/^rows\.jsonl: is not what it was/)
    await expect(again(1)).rejects.toThrow(/^rows\.jsonl: was there when the run began/)
    await expect(again(1, rows, file('more.jsonl', '3'))).rejects.toThrow(/^more\.jsonl: was not there/)
    expect(await logged(dir)).toEqual(['step 1', 'checkpoint 1'])
    // As the command line finds it from another folder, and as the hub moves it on
    for (const path of ['../rows.jsonl', '/elsewhere/rows.jsonl']) await again(1, { ...rows, path })
    await again(1, { ...rows, path: 'b/rows.jsonl', absolute: '/b/rows.jsonl' })
  })

  it('refuses a log that differs in any byte from that of the checkpoint', async () => {
    const dir = join(root, 'a')
    const path = join(dir, 'events.jsonl')
    const run = await openRun(dir, options())
    await run.started({})
    for (const event of [step(1), step(2)]) await run.append(event)
    const log = await run.sync()
    for (const event of [checkpoint(2), step(3)]) await run.append(event)
    await run.close()
    const text = await readFile(path, 'utf8')
    const resumed = async () => {
      const run = await openRun(dir, options({}, true))
      run.goOn({ step: 2, log })
      await run.started({}).finally(run.close)
      return logged(dir)
    }
    const damaged = [text.replace('0.5', '0.6'), '', text.slice(0, text.length / 4), '\0'.repeat(text.length)]
    for (const other of damaged) {
      await writeFile(path, other)
      await expect(resumed()).rejects.toMatchObject({ code: 'bad-log', where: { file: path } })
    }
    await rm(path)
    await expect(resumed()).rejects.toThrow(/is gone/)
    await mkdir(path)
    await expect(resumed()).rejects.toThrow(/cannot be read \(EISDIR\)/)
    await rm(path, { recursive: true })
    await writeFile(join(root, 'elsewhere'), text)
    await symlink(join(root, 'elsewhere'), path)
    await expect(resumed()).rejects.toMatchObject({ code: 'not-a-file', where: { file: path } })
    expect(await readFile(join(root, 'elsewhere'), 'utf8')).toBe(text)
    await rm(path)
    await writeFile(path, text)
    expect(await resumed()).toEqual(['step 1', 'step 2', 'checkpoint 2'])
  })

  it('restores the log line of a checkpoint that was written just before the process died', async () => {
    const dir = join(root, 'a')
    await broken(dir, [step(1), step(2)])
    const run = await openRun(dir, options({}, true))
    run.goOn({ step: 2 })
    await run.started({})
    await run.close()
    expect(await logged(dir)).toEqual(['step 1', 'step 2', 'checkpoint 2'])
  })

  it('begins again from nothing where there is no checkpoint', async () => {
    const dir = join(root, 'a')
    await broken(dir, [step(1)])
    const run = await openRun(dir, options({}, true))
    await run.started({})
    await run.close()
    expect(await logged(dir)).toEqual([])
  })

  it('refuses changed settings that results depend on', async () => {
    const dir = join(root, 'a')
    await broken(dir, [])
    await expect(openRun(dir, options({ learningRate: 0.1 }, true))).rejects.toThrow(
      /^--learning-rate: was 0\.001 .* is 0\.1 now/,
    )
    await expect(openRun(dir, { ...options({}, true), method: 'dpo' })).rejects.toThrow(/a run of sft, not dpo/)
  })
})

describe('the log', () => {
  const path = () => join(root, 'events.jsonl')

  it('passes over a torn last line, even a complete one without its newline', async () => {
    await writeFile(path(), '{"event":"step","step":1,"s":"\u2028ä"}\n{"event":"step","step":2}')
    expect(await logged(root)).toEqual(['step 1'])
    expect((await bytesUpTo(path(), 9)).bytes).toBe(Buffer.byteLength('{"event":"step","step":1,"s":"\u2028ä"}\n'))
  })

  it('names a damaged line', async () => {
    await writeFile(path(), '{"event":"step","step":1}\n\0\0\0\n{"event":"step","step":2}\n')
    await expect(logged(root)).rejects.toMatchObject({ code: 'bad-log', where: { line: 2 } })
  })
})

describe('finding runs', () => {
  it('reads state, metrics and results', async () => {
    await broken(join(root, 'a'), [step(1), step(2), { event: 'eval', step: 2, eval_loss: 3 } as never])
    const run = await openRun(join(root, 'b'), options({ learningRate: 2e-3 }))
    await run.started({ total_steps: 1 })
    await run.append(step(1, 0.25))
    expect((await readRun(run.dir)).state).toBe('running')
    await run.append({ event: 'end', steps: 1, stopped: 'done' } as never)
    await mkdir(join(run.dir, 'adapter'))
    await writeFile(join(run.dir, 'adapter', 'adapter_config.json'), '{}')
    await run.close()

    const [a, b] = await Promise.all((await runFolders([root])).map(readRun))
    expect(a).toMatchObject({ name: 'a', state: 'broken off', steps: 2, totalSteps: 4, first: { loss: 1 } })
    expect(a).toMatchObject({ last: { loss: 0.5 }, evaluation: { eval_loss: 3 }, result: undefined })
    expect(b).toMatchObject({ name: 'b', state: 'done', result: { kind: 'adapter' } })
    expect(await modelOfRun('b', root)).toEqual({ model: 'm', adapter: join(root, 'b', 'adapter') })
    await expect(modelOfRun('a', root)).rejects.toThrow(/has not made a model yet/)
    expect(await modelOfRun('owner/name', root)).toBeUndefined()
    expect(a.change).toEqual({ metric: 'loss', heldOut: true, to: { step: 2, value: 3 } })
    expect(b.change).toMatchObject({ metric: 'loss', heldOut: false, to: { step: 1, value: 0.25 } })
  })

  it('suggests the run with the most similar name, the next free name, and deletes only what is not being written', async () => {
    await broken(join(root, 'sft-1'), [])
    expect(await findRun('sft-1', root)).toBe(join(root, 'sft-1'))
    await expect(requireRun('stf-1', root)).rejects.toThrow(/did you mean sft-1\?/)
    expect(await newRunFolder('sft', root)).toBe(join(root, 'sft-2'))
    const run = await openRun(join(root, 'sft-1'), options({}, true))
    await expect(deleteRun(run.dir)).rejects.toMatchObject({ code: 'locked' })
    await run.close()
    await deleteRun(run.dir)
    await expect(deleteRun(root)).rejects.toMatchObject({ code: 'no-run' })
    expect(await readdir(root)).toEqual([])
  })
})
