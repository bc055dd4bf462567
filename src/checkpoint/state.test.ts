import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { Fault } from '../util/fault.ts'
import { requireSpace } from './space.node.ts'
import { newestState, readState, writeState } from './state.node.ts'

let dir = ''
beforeEach(() => {
  const made = mkdtempSync(join(tmpdir(), 'attune-state-'))
  dir = join(made, 'checkpoints')
  return () => rmSync(made, { recursive: true })
})

const save = (step: number, keep = 9, protect: number[] = []) =>
  writeState(
    dir,
    step,
    { files: { weights: [Uint8Array.of(step, 2), Uint8Array.of(3)] }, json: { step } },
    { keep, protect },
  )

const flip = (path: string) =>
  writeFileSync(
    path,
    readFileSync(path).map((byte) => byte ^ 1),
  )

const failing = async function* (code: string) {
  yield new Uint8Array(10)
  throw Object.assign(new Error('write'), { code })
}

describe('writeState and newestState', () => {
  it('gives back what was written, with the hashes that sha256sum gives', async () => {
    const path = await save(7)
    expect(path).toBe(join(dir, 'step-7'))
    const manifest = JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8'))
    expect(manifest.files.weights).toEqual({
      size: 3,
      sha256: createHash('sha256')
        .update(Uint8Array.of(7, 2, 3))
        .digest('hex'),
    })
    const { state, warnings } = await newestState(dir)
    expect(warnings).toEqual([])
    expect(state).toMatchObject({ step: 7, path, json: { step: 7 } })
    const source = await state!.file('weights')
    expect([...(await source.read(0, source.size))]).toEqual([7, 2, 3])
    await expect(state!.file('other')).rejects.toThrow('other is not part of it')
  })

  it('keeps the newest and the protected', async () => {
    for (const step of [5, 10, 15, 20]) await save(step, 2, [5])
    expect(readdirSync(dir).sort()).toEqual(['step-15', 'step-20', 'step-5'])
  })

  it('does not count a torn checkpoint as one that is kept, and does not touch later ones', async () => {
    for (const step of [1, 2, 3, 9]) await save(step)
    truncateSync(join(dir, 'step-3', 'weights'), 1)
    await save(4, 2)
    expect(readdirSync(dir).sort()).toEqual(['step-2', 'step-4', 'step-9'])
  })

  it('names and skips altered, cut and incomplete checkpoints', async () => {
    for (const step of [1, 2, 3, 4, 5]) await save(step)
    flip(join(dir, 'step-5', 'weights'))
    truncateSync(join(dir, 'step-4', 'weights'), 2)
    rmSync(join(dir, 'step-3', 'state.json'))
    writeFileSync(
      join(dir, 'step-2', 'manifest.json'),
      '{"format":1,"step":2,"files":{"../../x":{"size":1,"sha256":""}}}',
    )
    const { state, warnings } = await newestState(dir)
    expect(state?.step).toBe(1)
    expect(warnings).toHaveLength(4)
    expect(warnings[0]).toContain(`${join(dir, 'step-5')}: weights is not what was written`)
    expect(warnings[1]).toContain('weights has 2 bytes instead of 3')
    expect(warnings[2]).toContain('state.json is missing')
    expect(warnings[3]).toContain('manifest.json is missing or damaged')
    await expect(readState(join(dir, 'step-4'))).rejects.toThrow(Fault)
  })

  it('finds no checkpoint in a missing folder', async () => {
    expect(await newestState(join(dir, 'none'))).toEqual({ warnings: [] })
  })

  it('replaces a checkpoint of the same step', async () => {
    await save(3)
    flip(join(dir, 'step-3', 'weights'))
    await save(3, 1)
    expect(readdirSync(dir)).toEqual(['step-3'])
    expect((await newestState(dir)).state?.step).toBe(3)
  })

  it.each(['ENOSPC', 'EIO', 'EACCES'])('on %s names the path and the bytes, and leaves the last one', async (code) => {
    await save(1)
    const attempt = writeState(dir, 2, { files: { weights: failing(code) }, json: {} }, { keep: 1, bytes: 4321 })
    const fault = await attempt.catch((error) => error)
    expect(fault).toMatchObject({ code: 'disk', exitCode: 1 })
    expect(fault.message).toContain(`${join(dir, 'step-2')}: `)
    expect(fault.message).toContain('4321 bytes')
    expect(readdirSync(dir)).toEqual(['step-1'])
    expect((await newestState(dir)).state?.step).toBe(1)
  })

  it('leaves the new checkpoint or the one before complete when the process is killed at any moment', async () => {
    const program = join(dir, '..', 'writer.mjs')
    const entry = join(dir, '..', 'writer.ts')
    writeFileSync(
      entry,
      `import { writeState } from ${JSON.stringify(join(import.meta.dirname, 'state.node.ts'))}
       const weights = (step) => Array.from({ length: 40 }, () => new Uint8Array(4096).fill(step))
       for (let step = Number(process.argv[2]); ; step++) {
         await writeState(${JSON.stringify(dir)}, step, { files: { weights: weights(step) }, json: { step } }, { keep: 1 })
         console.log(step)
       }`,
    )
    await bundle(entry, program)
    for (let round = 0, last = 0; round < 6; round++) {
      const done = await runAndKill(program, last + 1, 40 + 37 * round)
      const { state, warnings } = await newestState(dir)
      expect(warnings).toEqual([])
      expect(done).toBeGreaterThan(last)
      expect(state!.step - done).toBeOneOf([0, 1])
      last = state!.step
    }
  })
})

const bundle = async (input: string, file: string) => {
  const { rolldown } = await import('rolldown')
  const built = await rolldown({ input, platform: 'node', logLevel: 'silent' })
  await built.write({ file })
}

/** The last step that the writer announced before it was killed. */
const runAndKill = (program: string, first: number, milliseconds: number): Promise<number> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [program, String(first)])
    let said = ''
    child.stdout.on('data', (text) => {
      if (said === '') setTimeout(() => child.kill('SIGKILL'), milliseconds)
      said += text
    })
    child.on('close', () => resolve(Number(said.trim().split('\n').at(-1))))
  })

describe('requireSpace', () => {
  it('checks the nearest folder that exists', async () => {
    await requireSpace(join(dir, 'not', 'yet'), 1)
    await expect(requireSpace(join(dir, 'not', 'yet'), 2 ** 60)).rejects.toThrow(`${2 ** 60} bytes are needed`)
  })
})
