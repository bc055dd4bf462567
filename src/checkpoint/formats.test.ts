/**
 * Valid and hostile weights files, compared with what torch and the reference library read (test/fixtures/checkpoint).
 */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ByteSource, bytesOf } from '../util/bytes.ts'
import { Fault } from '../util/fault.ts'
import { openSafetensors } from './safetensors.ts'
import type { TensorFile } from './stored.ts'
import { openTorch } from './torchFile.ts'

type Expected = {
  file: string
  verdict: 'ok' | 'fault'
  fault?: string
  global?: string
  metadata?: Record<string, string> | null
  tensors?: { name: string; dtype: string; shape: number[]; hex: string }[]
}

const folder = (name: string) => new URL(`../../test/fixtures/checkpoint/${name}/`, import.meta.url)
const load = (name: string, file: string) => new Uint8Array(readFileSync(new URL(file, folder(name))))
const expectations = (name: string): Expected[] =>
  JSON.parse(new TextDecoder().decode(load(name, 'expected.json'))).files

const torchNames: Record<string, string> = {
  F32: 'float32',
  F64: 'float64',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U8: 'uint8',
  BOOL: 'bool',
}

const shown = async ({ tensors }: TensorFile, name = (dtype: string) => dtype) => {
  const rows = []
  for (const [key, tensor] of tensors) {
    const hex = Buffer.from(await tensor.bytes()).toString('hex')
    rows.push({ name: key, dtype: name(tensor.dtype), shape: [...tensor.shape], hex })
  }
  return rows
}

const faultOf = async (work: Promise<unknown>): Promise<Fault> => {
  const fault = await work.then(
    () => undefined,
    (error) => error,
  )
  expect(fault).toBeInstanceOf(Fault)
  return fault
}

/** A source that remembers the largest piece that was asked for. */
const watched = (bytes: Uint8Array): ByteSource & { largest: number } => {
  const source = {
    ...bytesOf('x', bytes),
    largest: 0,
    read: async (start: number, end: number) => {
      source.largest = Math.max(source.largest, end - start)
      return bytes.slice(start, end)
    },
  }
  return source
}

describe.each([
  ['safetensors', openSafetensors],
  ['pickle', openTorch],
] as const)('%s', (kind, open) => {
  const cases = expectations(kind)

  it.each(cases.filter(({ verdict }) => verdict === 'ok'))('reads $file', async ({ file, tensors, metadata }) => {
    const opened = await open(bytesOf(file, load(kind, file)))
    const rows = await shown(opened, kind === 'pickle' ? (dtype) => torchNames[dtype] : undefined)
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)
    expect(rows.sort(byName)).toEqual(tensors!.sort(byName))
    if (metadata) expect(Object.fromEntries(opened.metadata)).toEqual(metadata)
  })

  it.each(cases.filter(({ verdict }) => verdict === 'fault'))('refuses $file', async ({ file, fault, global }) => {
    const source = watched(load(kind, file))
    const refusal = await faultOf(open(source))
    expect(refusal.code).toBe(fault)
    if (global) expect(refusal.message).toContain(`"${global}"`)
    expect(source.largest).toBeLessThanOrEqual(source.size)
  })

  it('answers damage only with a Fault, and reads no bytes beyond the file', async () => {
    const good = cases.filter(({ verdict }) => verdict === 'ok').map(({ file }) => load(kind, file))
    const damage = fc.array(fc.tuple(fc.nat(4096), fc.nat(255)), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...good), damage, fc.option(fc.nat(4096)), async (file, changes, cut) => {
        const bytes = file.slice(0, cut === null ? file.length : cut % file.length)
        for (const [at, value] of changes) if (bytes.length) bytes[at % bytes.length] = value
        const source = watched(bytes)
        try {
          for (const row of (await open(source)).tensors.values()) await row.bytes()
        } catch (error) {
          expect(error).toBeInstanceOf(Fault)
        }
        expect(source.largest).toBeLessThanOrEqual(source.size)
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 500) },
    )
  })
})

describe('offsets and advice', () => {
  it('gives the byte offset of an error in a header', async () => {
    const refusal = await faultOf(openSafetensors(bytesOf('m', load('safetensors', 'bad-duplicate-key.safetensors'))))
    expect(refusal.where).toMatchObject({ file: 'm', offset: expect.any(Number) })
    expect(refusal.message).toContain('"w" stands twice')
  })

  it.each([openSafetensors, openTorch])('recognises a git-lfs pointer', async (open) => {
    const pointer = new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n')
    expect((await faultOf(open(bytesOf('p', pointer)))).code).toBe('lfs-pointer')
  })

  it('reads from a Buffer that begins anywhere', async () => {
    const file = load('safetensors', 'ok-basic.safetensors')
    const shifted = Buffer.concat([Buffer.alloc(1), file]).subarray(1)
    const floats = async (bytes: Uint8Array) => {
      const { tensors } = await openSafetensors(bytesOf('m', bytes))
      return Promise.all([...tensors.values()].map((tensor) => tensor.floats()))
    }
    expect(await floats(shifted)).toEqual(await floats(file))
  })

  it('reads no tensor data on opening', async () => {
    const file = load('safetensors', 'ok-basic.safetensors')
    const source = bytesOf('m', file)
    const reads: number[] = []
    const read = (start: number, end: number) => {
      reads.push(end)
      return source.read(start, end)
    }
    await openSafetensors({ ...source, read })
    expect(Math.max(...reads)).toBe(file.length - 40)
  })
})

describe('files that ask for more work than their bytes are worth', () => {
  /** A zip as torch.save writes it, with one entry stored. */
  const zip = (pickle: string): Uint8Array => {
    const name = Buffer.from('m/data.pkl')
    const body = Buffer.from(pickle, 'latin1')
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50)
    local.writeUInt16LE(name.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50)
    entry.writeUInt32LE(body.length, 20)
    entry.writeUInt32LE(body.length, 24)
    entry.writeUInt16LE(name.length, 28)
    const end = Buffer.alloc(22)
    end.writeUInt32LE(0x06054b50)
    end.writeUInt32LE(46 + name.length, 12)
    end.writeUInt32LE(30 + name.length + body.length, 16)
    return Buffer.concat([local, name, body, entry, name, end])
  }
  const pairs = 'K\x01K\x02\x86'.repeat(50_000)
  const storage = '(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0' + '0X\x03\0\0\0cpuK\x04tQ'
  const tensor = `ctorch._utils\n_rebuild_tensor_v2\n(${storage}K\0h\0h\0tR`

  it.each([
    [
      'a list made a dict again and again',
      `\x80\x02](${pairs}eq\x00${'ccollections\nOrderedDict\nh\x00\x85R0'.repeat(5_000)}.`,
      'makes more than',
    ],
    ['a million dicts', `\x80\x02${'}'.repeat(1e6)}.`, 'makes more than'],
    [
      'a shape of 200,000 sizes',
      `\x80\x02(${'K\x01'.repeat(200_000)}tq\x000${tensor}.`,
      'with other arguments than torch writes',
    ],
  ])('a pickle with %s', async (_, pickle, message) => {
    const refusal = await faultOf(openTorch(bytesOf('x', zip(pickle))))
    expect(refusal.message).toContain(message)
  })

  const headed = (header: string) => {
    const bytes = new Uint8Array(8 + header.length)
    new DataView(bytes.buffer).setUint32(0, header.length, true)
    bytes.set(Buffer.from(header), 8)
    return bytesOf('x', bytes)
  }
  const many = (n: number, item: (i: number) => string) => `{${Array.from({ length: n }, (_, i) => item(i)).join(',')}}`

  it.each([
    [
      'a shape of a million sizes',
      `{"a":{"dtype":"F32","shape":[${'0,'.repeat(1e6)}0],"data_offsets":[0,0]}}`,
      'more than 64 numbers',
    ],
    ['too many keys of metadata', `{"__metadata__":${many(100_002, (i) => `"${i}":""`)}}`, 'keys of metadata'],
    ['too many tensors', many(100_002, (i) => `"${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`), 'tensors'],
  ])('a header with %s', async (_, header, message) => {
    const refusal = await faultOf(openSafetensors(headed(header)))
    expect(refusal.message).toContain(message)
    expect(refusal.where.offset).toBeGreaterThan(8)
  })
})
