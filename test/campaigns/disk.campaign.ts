/**
 * Runs on a disk that fails at each single operation in turn, and on a real one (tmpfs) that is full or read-only: `npm run disk`.
 * Each failure must give one message with the path, the exit code, no half-written file, and a run that resumes to the same
 * weights. STRIDE skips operations. Mounting needs root on Linux.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { canMount, mount, unmount } from '../support/mount.ts'
import { errorOf, killer, logOf, start, weightsOf } from '../support/runs.ts'
import { writeInputs } from '../support/scenarios.ts'

const stride = Number(process.env.STRIDE ?? 1)
const root = mkdtempSync(join(tmpdir(), 'attune-disk-'))
afterAll(() => rmSync(root, { recursive: true }))

const halfWritten = (dir: string) =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('.tmp'))
const there = (dir: string) => statSync(dir, { throwIfNoEntry: false }) !== undefined

const [{ argv }] = writeInputs(join(root, 'inputs'))
const short = [...argv, '--max-steps', '3']
const whole = join(root, 'whole')

describe.each(['ENOSPC', 'EIO', 'EACCES'])('%s', (fail) => {
  it('survives a failure at each operation on the disk', async () => {
    const counted = { cache: join(root, 'whole-cache'), disk: { count: join(root, 'count') } }
    rmSync(whole, { recursive: true, force: true })
    rmSync(counted.cache, { recursive: true, force: true })
    expect((await start([...short, '--output', whole], counted)).code).toBe(0)
    const count = Number(readFileSync(counted.disk.count, 'utf8'))
    const ends = new Map<string, number>()
    for (let at = 1; at <= count; at += stride) {
      const [dir, cache] = [join(root, `${fail}-${at}`), join(root, `${fail}-${at}-cache`)]
      const failed = await start([...short, '--output', dir], { cache, disk: { fail, at } })
      const errors = errorOf(failed)
      expect(errors, `operation ${at}`).toHaveLength(failed.code === 0 ? 0 : 1)
      if (errors.length)
        expect(errors[0], `operation ${at}`).toMatch(/^error: \/\S+: .*(full|error|permitted|cannot be)/)
      expect([0, 1, 2], `operation ${at}`).toContain(failed.code)
      if (there(dir)) expect(halfWritten(dir), `operation ${at}`).toEqual([])
      const what = `${failed.code}: ${errors[0]?.replaceAll(root, '').replaceAll(/\d+/g, 'N') ?? 'goes on without'}`
      ends.set(what, (ends.get(what) ?? 0) + 1)
      const resumed = await start([...short, '--output', dir, '--resume'], { cache })
      expect(errorOf(resumed), `operation ${at}`).toEqual([])
      expect(weightsOf(dir), `operation ${at}`).toBe(weightsOf(whole))
      expect(logOf(dir, ['warning']), `operation ${at}`).toEqual(logOf(whole, ['warning']))
      rmSync(dir, { recursive: true })
    }
    console.table([...ends].map(([end, times]) => ({ end, times })))
  })
})

describe.skipIf(!canMount())('a small disk (tmpfs)', () => {
  const dir = join(root, 'small')
  const output = join(dir, 'run')
  const cache = join(root, 'cache')

  it('that is too small is reported before the first step', async () => {
    mount(dir, 'size=4m')
    const ended = await start([...argv, '--output', output], { cache })
    unmount(dir)
    expect(errorOf(ended)[0]).toMatch(/small\/run: \d+ bytes are needed and \d+ are free/)
    expect(ended.code).toBe(2)
  })

  it('that fills up during a run leaves checkpoints that resume', async () => {
    mount(dir, 'size=24m')
    const fill = () => writeFileSync(join(dir, 'filler'), Buffer.alloc(22 << 20))
    const watch = killer(output, { at: 'file', name: /^checkpoints\/step-1$/, ms: 0 })
    const filled = await start([...argv, '--output', output], {
      cache,
      watch: () =>
        watch(() => {
          try {
            fill()
          } catch {
            // The disk is full
          }
        }),
    })
    expect(errorOf(filled)[0]).toMatch(/small\/run\/\S+: .*(full|bytes are needed)/)
    expect(filled.code).toBe(1)
    expect(halfWritten(output)).toEqual([])
    rmSync(join(dir, 'filler'))
    const resumed = await start([...argv, '--output', output, '--resume', '--json'], { cache })
    expect(errorOf(resumed)).toEqual([])
    const begun = JSON.parse(resumed.stdout.split('\n').find((line) => line.includes('"start"'))!)
    expect(begun.step).toBeGreaterThan(0)
    const reference = join(root, 'unfilled')
    await start([...argv, '--output', reference], { cache })
    expect(weightsOf(output)).toBe(weightsOf(reference))
    unmount(dir)
  })

  it('that is read-only is reported, with exit code 2', async () => {
    mount(dir, 'size=24m')
    mkdirSync(output)
    mount(dir, 'remount,ro')
    for (const [path, place] of [
      [output, 'run'],
      [join(dir, 'new', 'run'), 'new/run'],
    ]) {
      const ended = await start([...argv, '--output', path], { cache })
      expect(errorOf(ended)).toEqual([
        `error: ${join(dir, place)}: the file system is read-only; choose another --output`,
      ])
      expect(ended.code).toBe(2)
    }
    unmount(dir)
  })
})
