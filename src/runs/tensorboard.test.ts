/** The files are taken apart here by code that shares nothing with the writer: framing, checksums, messages. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openBoard } from './tensorboard.node.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-board-'))
})
afterEach(() => rm(root, { recursive: true }))

/** Bit by bit, with the polynomial as it is written: 0x1edc6f41 and bits turned round. */
const crc32c = (data: Uint8Array) => {
  const turned = (x: number, width: number) =>
    Number(BigInt(`0b${[...x.toString(2).padStart(width, '0')].reverse().join('')}`))
  let crc = 0xffffffff
  for (const byte of data) {
    crc ^= turned(byte, 8) << 24
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc < 0 || crc & 0x80000000 ? 0x1edc6f41 : 0)
  }
  return turned(~crc >>> 0, 32)
}
const unmasked = (masked: number) => {
  const rotated = (masked - 0xa282ead8) >>> 0
  return ((rotated << 15) | (rotated >>> 17)) >>> 0
}

const records = (file: Buffer) => {
  const found: Buffer[] = []
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at))
    const data = file.subarray(at + 12, at + 12 + length)
    expect(unmasked(file.readUInt32LE(at + 8))).toBe(crc32c(file.subarray(at, at + 8)))
    expect(unmasked(file.readUInt32LE(at + 12 + length))).toBe(crc32c(data))
    found.push(data)
    at += 16 + length
  }
  return found
}

/** Field number and value: a number, or the bytes of a nested message. */
const fields = (data: Buffer) => {
  const found: [number, number | Buffer][] = []
  let at = 0
  const varint = () => {
    let [value, scale] = [0, 1]
    for (;;) {
      const byte = data[at++]
      value += (byte & 127) * scale
      if (byte < 128) return value
      scale *= 128
    }
  }
  while (at < data.length) {
    const key = varint()
    const type = key & 7
    if (type === 0) found.push([key >>> 3, varint()])
    else if (type === 1) found.push([key >>> 3, data.readDoubleLE((at += 8) - 8)])
    else if (type === 5) found.push([key >>> 3, data.readFloatLE((at += 4) - 4)])
    else {
      const length = varint()
      found.push([key >>> 3, data.subarray(at, (at += length))])
    }
  }
  return found
}
const field = (data: Buffer, number: number) => fields(data).find(([n]) => n === number)?.[1]

const events = (file: Buffer) =>
  records(file).map((data) => {
    const [version, summary, session] = [3, 5, 7].map((n) => field(data, n) as Buffer | undefined)
    const scalars = summary && fields(summary).map(([, value]) => value as Buffer)
    return {
      time: field(data, 1),
      step: field(data, 2),
      ...(version && { version: version.toString() }),
      ...(session && { status: field(session, 1) }),
      ...(scalars && { values: Object.fromEntries(scalars.map((one) => [String(field(one, 1)), field(one, 2)])) }),
    }
  })

const read = async () => {
  const dir = join(root, 'tb')
  const names = (await readdir(dir)).sort()
  return Promise.all(names.map(async (name) => events(await readFile(join(dir, name)))))
}

it('the checksum of these tests is CRC-32C', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
})

it('writes the numbers of steps and evaluations, and nothing else', async () => {
  const board = await openBoard(root, 1, () => 1_700_000_000_500)
  await board.write({ event: 'step', step: 1, total_steps: 300, loss: 0.5, 'rewards/margins': -0.125, note: 'x' })
  await board.write({ event: 'warning', code: 'x', message: 'y', count: 3 })
  await board.write({ event: 'eval', step: 300, eval_loss: 0.25, 'eval_rewards/accuracies': 1 })
  await board.close()
  const time = 1_700_000_000.5
  expect(await read()).toEqual([
    [
      { time, step: undefined, version: 'brain.Event:2' },
      { time, step: 1, status: 1 },
      { time, step: 1, values: { 'train/loss': 0.5, 'train/rewards/margins': -0.125 } },
      { time, step: 300, values: { 'eval/loss': 0.25, 'eval/rewards/accuracies': 1 } },
    ],
  ])
})

it('a resumed run writes a new file, which is read after the others and replaces the steps that are repeated', async () => {
  for (const [first, now] of [
    [1, 1_700_000_000_001],
    [3, 1_700_000_000_002],
  ]) {
    const board = await openBoard(root, first, () => now)
    for (const n of [0, 1, 2]) await board.write({ event: 'step', step: first + n, loss: first })
    await board.close()
  }
  const [before, after] = await read()
  expect(before.map(({ step }) => step)).toEqual([undefined, 1, 1, 2, 3])
  expect(after.map(({ step }) => step)).toEqual([undefined, 3, 3, 4, 5])
  expect(after[1].status).toBe(1)
})
