/** Logs of runs read while they grow, thinned for a screen, and written as CSV. */
import { appendFile, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeTable } from './columns.ts'
import { axesOf, curvesOfRun, flopsOfToken } from './curves.ts'
import { downsample, inOrder, smoothed } from './downsample.ts'
import { csvOf } from './exports.node.ts'
import { makeLogIndex } from './logIndex.node.ts'
import { figuresOf, stateOf } from './row.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'attune-log-'))
})
afterAll(() => rm(folder, { recursive: true }))

let logs = 0
const newLog = () => join(folder, `${logs++}.jsonl`)
const lines = (...events: object[]) => events.map((event) => `${JSON.stringify(event)}\n`).join('')
const step = (n: number, loss: number, more: object = {}) => ({ event: 'step', step: n, loss, ...more })
const everything = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const

describe('the index of a log', () => {
  it('reads on from where it stopped, and takes a half line only when it is whole', async () => {
    const path = newLog()
    const index = makeLogIndex(path)
    expect(await index.update()).toBe(false)
    await writeFile(path, `${lines(step(1, 2), { event: 'eval', step: 1, eval_loss: 3 })}{"event":"step","st`)
    expect(await index.update()).toBe(true)
    expect(index.steps.rows()).toBe(1)
    await appendFile(path, 'ep":2,"loss":1.5}\n')
    await index.update()
    expect(Array.from(index.steps.column('loss')!)).toEqual([2, 1.5])
    expect(Array.from(index.evaluations.column('eval_loss')!)).toEqual([3])
    expect([index.damaged, await index.update()]).toEqual([0, false])
  })

  it('passes over damaged lines, counts them, and reads what follows', async () => {
    const path = newLog()
    await writeFile(path, `${lines(step(1, 2))}\0\0\0garbage\n[1]\n{"no":"event"}\n${lines(step(2, 1))}`)
    const index = makeLogIndex(path)
    await index.update()
    expect([index.damaged, index.steps.rows()]).toEqual([3, 2])
  })

  it.each([
    ['shorter', async (path: string, bytes: number) => truncate(path, bytes)],
    [
      'as long as before',
      async (path: string, bytes: number) => {
        await truncate(path, bytes)
        await appendFile(path, lines(step(2, 7), step(3, 7), step(4, 7)))
      },
    ],
  ])('reads a log anew that was cut back, as a resumed run does, and is %s now', async (_, change) => {
    const path = newLog()
    const kept = lines(step(1, 2))
    await writeFile(path, kept + lines(step(2, 1), step(3, 1)))
    const index = makeLogIndex(path)
    await index.update()
    await change(path, kept.length)
    await index.update()
    const losses = Array.from(index.steps.column('loss')!)
    expect(losses).toEqual(losses.length === 1 ? [2] : [2, 7, 7, 7])
  })

  it('knows where other events stand, and reads them when they are asked for', async () => {
    const path = newLog()
    const warning = { event: 'warning', code: 'x', message: 'naïve “quotes”' }
    await writeFile(path, lines(step(1, 2), warning, step(2, 1), { event: 'end', stopped: 'done' }))
    const index = makeLogIndex(path)
    await index.update()
    expect(index.marks.map(({ event, step }) => [event, step])).toEqual([
      ['warning', 1],
      ['end', 2],
    ])
    expect(await index.read(index.marks.slice(0, 1))).toEqual([warning])
  })

  it('takes no column from __proto__ and no number from text', async () => {
    const path = newLog()
    await writeFile(path, '{"event":"step","step":1,"__proto__":{"loss":1},"loss":"2","kl":3}\n')
    const index = makeLogIndex(path)
    await index.update()
    expect(index.steps.names()).toEqual(['step', 'kl'])
  })
})

describe('fewer points of a curve', () => {
  it('keep the least and the greatest value, the first and the last point, and the order of x', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 400 }),
        fc.integer({ min: 4, max: 60 }),
        (values, most) => {
          const x = Float64Array.from(values, (_, i) => i)
          const made = downsample(x, Float64Array.from(values), everything, most)
          expect(Math.max(...made.y)).toBe(Math.max(...values))
          expect(Math.min(...made.y)).toBe(Math.min(...values))
          expect([made.x[0], made.x.at(-1)]).toEqual([0, values.length - 1])
          expect(made.x).toEqual([...new Set(made.x)].sort((a, b) => a - b))
          expect(made.y).toEqual(made.x.map((i) => values[i]))
          expect(made.x.length).toBeLessThanOrEqual(most + 2)
        },
      ),
    )
  })

  it('show a single peak of a million values, and all values of a narrow part', () => {
    const x = Float64Array.from({ length: 1e6 }, (_, i) => i)
    const y = x.map((i) => (i === 777_777 ? 9 : Math.sin(i)))
    expect(Math.max(...downsample(x, y, everything, 1000).y)).toBe(9)
    expect(downsample(x, y, [777_700, 777_799], 1000).x).toHaveLength(100)
  })

  it('leave out what is no number, and sort a log that is out of order', () => {
    const [x, y] = inOrder(Float64Array.of(3, Number.NaN, 1, 2), Float64Array.of(30, 1, 10, Number.NaN))
    expect(downsample(x, y, everything, 10)).toMatchObject({ x: [1, 3], y: [10, 30] })
  })

  it('are smoothed with a half-life in values', () => {
    // After the first value 1 and two of 0 with half-life 1: (1/4) / (1 + 1/2 + 1/4)
    expect(Array.from(smoothed(Float64Array.of(1, 0, 0), 1))[2]).toBeCloseTo(1 / 7, 12)
  })
})

describe('curves of a run', () => {
  const logged = (rows: object[], evaluations: object[] = []) => {
    const [steps, evals] = [makeTable(), makeTable()]
    for (const row of rows) steps.append(row as Record<string, number>)
    for (const row of evaluations) evals.append(row as Record<string, number>)
    return { steps, evaluations: evals }
  }
  const log = logged(
    [
      { step: 1, loss: 4, num_tokens: 100, seconds: 2 },
      { step: 2, loss: 2, num_tokens: 300, seconds: 3 },
    ],
    [
      { step: 0, eval_loss: 5 },
      { step: 2, eval_loss: 3 },
    ],
  )
  const size = { parameters: 10, trainable: 4 }

  it.each([
    ['step', [1, 2], [0, 2]],
    ['tokens', [100, 300], [0, 300]],
    ['time', [2, 5], [0, 5]],
    ['flops', [4800, 14400], [0, 14400]],
  ] as const)('stand over the axis %s, evaluations after their step', (x, trained, held) => {
    const curves = curvesOfRun('a', log, size, { metric: 'loss', x, points: 100, smooth: 0 })
    expect(curves.map((curve) => curve.x)).toEqual([trained, held])
  })

  it('know only the axes that the log has numbers for', () => {
    expect(axesOf(log, size)).toEqual(['step', 'tokens', 'time', 'flops'])
    expect(axesOf(logged([{ step: 1, loss: 1 }]), size)).toEqual(['step'])
    expect(flopsOfToken({ parameters: 7 })).toBe(42)
  })

  it('are as CSV one line a step and evaluation, with names that no spreadsheet computes', () => {
    const text = [
      ...csvOf(
        logged(
          [
            { step: 1, 'a,"b"': 0.5 },
            { step: 3, '=1+1': 2 },
          ],
          [{ step: 1, eval_loss: 3 }],
        ),
      ),
    ].join('')
    expect(text.split('\r\n')).toEqual([
      `event,step,"a,""b""",'=1+1,eval_loss`,
      'step,1,0.5,,',
      'eval,1,,,3',
      'step,3,,2,',
      '',
    ])
  })

  it('give the best held-out value as the figure of a run', () => {
    expect(figuresOf(log)).toMatchObject({
      best: { metric: 'eval_loss', value: 3, step: 2 },
      last: { value: 3 },
      spark: [5, 3],
    })
  })

  it.each([
    [true, undefined, undefined, ['running']],
    [false, { event: 'end', stopped: 'done' }, undefined, ['done']],
    [false, { event: 'end', stopped: 'patience' }, undefined, ['done', 'patience']],
    [false, { event: 'end', stopped: 'interrupted' }, undefined, ['stopped']],
    [false, undefined, undefined, ['broken off']],
    [false, undefined, 'the disk is full', ['failed', 'the disk is full']],
  ])('and its state from its lock and its last event (%s, %j, %s)', (running, end, failure, state) => {
    expect(stateOf(running, end, failure)).toEqual(state)
  })
})
