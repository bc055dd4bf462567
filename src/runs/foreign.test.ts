/** Runs of other tools: files of PyTorch's SummaryWriter and of transformers' Trainer, whole, torn, damaged and hostile. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { concatBytes } from '../util/bytes.ts'
import { bytes, double, float, int, message, string } from '../util/proto.ts'
import { readBoardFiles } from './boardFiles.node.ts'
import { foreignRunsBelow, readForeignRun } from './foreign.node.ts'
import { openBoard } from './tensorboard.node.ts'
import { record } from './tfRecord.ts'
import { readTrainerState } from './trainerState.node.ts'

const fixtures = join(import.meta.dirname, '../../test/fixtures/foreign')

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-foreign-'))
})
afterEach(() => rm(root, { recursive: true }))

const found = async () => Promise.all((await foreignRunsBelow(root)).map(readForeignRun))

const scalar = (tag: string, step: number, value: number) =>
  record(concatBytes([double(1, 1), int(2, step), message(5, [message(1, [string(1, tag), float(2, value)])])]))

const boardOf = async (...parts: Uint8Array[]) => {
  const path = join(root, 'events.out.tfevents.1')
  await writeFile(path, concatBytes(parts))
  return readBoardFiles([path])
}

describe('runs of other tools below a folder', () => {
  it("are read from PyTorch's event files, with the metrics named as here", async () => {
    await cp(join(fixtures, 'torch'), join(root, 'deep/er/torch'), { recursive: true })
    const [run, ...others] = await found()
    expect(others).toEqual([])
    expect(run).toMatchObject({ name: 'deep/er/torch', kind: 'board', steps: 9 })
    expect([...run.curves.keys()]).toEqual(['loss', 'reward', 'lr', 'eval_loss'])
    expect(run.curves.get('reward')).toEqual(Array.from({ length: 10 }, (_, step) => [step, step * 0.25]))
    expect(run.curves.get('lr')?.[9]).toEqual([9, 0.5 ** 9])
    expect(run.curves.get('eval_loss')).toEqual([[0, 1.5]])
    expect(run.problem).toBeUndefined()
  })

  it("are read from the last checkpoint of transformers' Trainer, NaN left out", async () => {
    await cp(join(fixtures, 'trainer'), join(root, 'trainer'), { recursive: true })
    const [run, ...others] = await found()
    expect(others).toEqual([])
    expect(run).toMatchObject({ name: 'trainer', kind: 'trainer', steps: 10, totalSteps: 12 })
    expect(run.curves.get('loss')).toHaveLength(10)
    expect(run.curves.get('grad_norm')?.map(([step]) => step)).toEqual([1, 2, 4, 5, 6, 7, 8, 9, 10])
    expect(run.curves.get('eval_loss')).toEqual([
      [5, 0.2],
      [10, 0.1],
    ])
    expect(run.curves.has('step')).toBe(false)
  })

  it('leave out the folders of own runs, hidden folders and links', async () => {
    for (const dir of ['own/tb', '.hidden', 'elsewhere']) {
      await mkdir(join(root, dir), { recursive: true })
      await writeFile(join(root, dir, 'events.out.tfevents.1'), scalar('x', 1, 1))
    }
    await writeFile(join(root, 'own/run.json'), '{}')
    expect((await foreignRunsBelow(root)).map(({ name }) => name)).toEqual(['elsewhere'])
  })

  it('keep a tag whose short name another one has', async () => {
    await mkdir(join(root, 'a'))
    await writeFile(
      join(root, 'a/events.out.tfevents.1'),
      concatBytes([scalar('loss', 1, 1), scalar('train/loss', 1, 2), scalar('train/kl', 1, 3)]),
    )
    const [run] = await found()
    expect([...run.curves.keys()]).toEqual(['loss', 'train/loss', 'kl'])
  })
})

describe('event files', () => {
  it('of a resumed run count only the later values of the steps that were repeated', async () => {
    for (const [first, now] of [
      [1, 1],
      [3, 2],
    ]) {
      const board = await openBoard(root, first, () => now)
      for (const n of [0, 1, 2]) await board.write({ event: 'step', step: first + n, loss: first })
      await board.close()
    }
    const paths = [1, 2].map((now) => join(root, 'tb', `events.out.tfevents.${now}.attune`))
    const { points } = await readBoardFiles(paths)
    expect(points.get('train/loss')?.map(([step, value]) => `${step}:${value}`)).toEqual([
      '1:1',
      '2:1',
      '3:3',
      '4:3',
      '5:3',
    ])
  })

  it('that end in any part of a record give all before it, without a complaint', async () => {
    const last = scalar('x', 2, 2)
    for (let kept = 0; kept < last.length; kept++)
      expect(await boardOf(scalar('x', 1, 1), last.subarray(0, kept))).toEqual({
        points: new Map([['x', [[1, 1]]]]),
        problem: undefined,
      })
  })

  it.each<[string, (bad: Uint8Array) => void]>([
    ['length', (bad) => (bad[0] ^= 1)],
    ['checksum of the length', (bad) => (bad[9] ^= 1)],
    ['data', (bad) => (bad[20] ^= 1)],
    ['last byte', (bad) => (bad[bad.length - 1] ^= 1)],
  ])('with an altered %s are read up to there, and say so', async (_, alter) => {
    const bad = scalar('x', 2, 2)
    alter(bad)
    const first = scalar('x', 1, 1)
    expect(await boardOf(first, bad, scalar('x', 3, 3))).toEqual({
      points: new Map([['x', [[1, 1]]]]),
      problem: `events.out.tfevents.1 is damaged from byte ${first.length} on`,
    })
  })

  it.each<[string, Uint8Array]>([
    ['a field longer than its record', Uint8Array.of((5 << 3) | 2, 0xff, 0xff, 0xff, 0xff, 0x0f)],
    ['a number without an end', new Uint8Array(20).fill(0xff)],
    ['a wire type that is none', Uint8Array.of((5 << 3) | 3)],
    ['a summary of another type', int(5, 1)],
    ['a tensor that is too short', message(5, [message(1, [message(8, [int(1, 2), bytes(4, Uint8Array.of(1))])])])],
  ])('with %s are damaged from there on', async (_, data) => {
    const { problem } = await boardOf(record(data))
    expect(problem).toBe('events.out.tfevents.1 is damaged from byte 0 on')
  })

  it('are not believed the length of a record that is longer than the file', async () => {
    const length = new Uint8Array(8).fill(0xff)
    const head = record(new Uint8Array(0)).slice()
    head.set(length)
    expect((await boardOf(head)).problem).toMatch(/damaged from byte 0/)
  })

  it('with too many points are read up to the limit', async () => {
    const path = join(root, 'events.out.tfevents.1')
    await writeFile(path, concatBytes([1, 2, 3].map((step) => scalar('x', step, step))))
    const { points, problem } = await readBoardFiles([path], 2)
    expect(points.get('x')).toHaveLength(2)
    expect(problem).toBe('there are more than 2 points; the first are shown')
  })

  it('hold no curve of tensors with axes, of texts and of other plugins', async () => {
    const tensor = (tag: string, fields: Uint8Array[], plugin = 'scalars') =>
      record(
        message(5, [message(1, [string(1, tag), message(8, fields), message(9, [message(1, [string(1, plugin)])])])]),
      )
    const { points } = await boardOf(
      tensor('row', [int(1, 1), message(2, [message(2, [int(1, 1)])]), bytes(4, new Uint8Array(4))]),
      tensor('text', [int(1, 7), string(8, 'a')]),
      tensor('curve', [int(1, 1), float(5, 1)], 'pr_curves'),
      tensor('kept', [int(1, 1), float(5, 0.5)]),
    )
    expect([...points]).toEqual([['kept', [[0, 0.5]]]])
  })
})

describe('trainer_state.json', () => {
  it('is refused where it has no log', async () => {
    const path = join(root, 'trainer_state.json')
    await writeFile(path, '{"log_history": 5}')
    await expect(readTrainerState(path)).rejects.toMatchObject({ code: 'bad-file' })
    await writeFile(path, '{"log_history": [')
    await expect(readTrainerState(path)).rejects.toMatchObject({ code: 'bad-json' })
  })

  it('keeps texts that look like the words of Python', async () => {
    const path = join(root, 'trainer_state.json')
    await writeFile(path, '{"log_history": [{"step": 1, "note": "a \\" NaN", "loss": -Infinity, "x": 2}], "b": [NaN]}')
    const { curves } = await readTrainerState(path)
    expect([...curves]).toEqual([['x', [[1, 2]]]])
  })

  it('of the fixture is JSON as Python writes it', async () => {
    const text = await readFile(join(fixtures, 'trainer/checkpoint-6/trainer_state.json'), 'utf8')
    expect(() => JSON.parse(text)).toThrow()
  })
})
