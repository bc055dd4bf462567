/** GGUF files: the values of every type of block, and files that lie. */
import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { fixture, fixtureTensors } from '../../test/support/golden.ts'
import { bytesOf } from '../util/bytes.ts'
import { fileSource } from '../util/files.node.ts'
import { type GgufValue, ggufChunks } from './gguf.ts'
import { openGguf } from './ggufFile.ts'
import { ggufBlockTypes } from './ggufTypes.ts'

const blocks = fixture('checkpoint/gguf/blocks.gguf')

describe('values of a GGUF file (bench/ggufGolden.py)', async () => {
  const { tensors } = await openGguf(await fileSource(blocks))
  const golden = await fixtureTensors('checkpoint/gguf/blocks.safetensors')

  it('are there for every type that is read', () => {
    expect([...tensors.keys()].sort()).toEqual(Object.keys(ggufBlockTypes).sort())
  })

  it.each(Object.keys(ggufBlockTypes))('of %s are bit for bit those of the Python package gguf', async (type) => {
    const [ours, theirs] = [await tensors.get(type)!.floats(), await golden.floats(type)]
    expect(tensors.get(type)!.shape).toEqual([3, 512])
    expect(ours).toHaveLength(theirs.length)
    const bits = (x: Float32Array) => new Uint32Array(x.slice().buffer)
    expect(bits(ours).findIndex((bit, i) => bit !== bits(theirs)[i])).toBe(-1)
  })
})

const made = async (metadata: Record<string, GgufValue> = {}, name = 'w') => {
  const parts: Uint8Array[] = []
  const tensor = { name, type: 'F32', shape: [2, 32], data: async () => new Float32Array(64) } as const
  for await (const part of ggufChunks(new Map(Object.entries({ a: 'b', ...metadata })), [tensor])) parts.push(part)
  return Buffer.concat(parts)
}
const opened = (bytes: Uint8Array) => openGguf(bytesOf('m.gguf', bytes))
const file = await made()
/** The file with another number at a place behind a text. */
const changed = (text: string, behind: number, value: bigint | number, from = file) => {
  const copy = Buffer.from(from)
  const at = copy.indexOf(text) + text.length + behind
  if (typeof value === 'bigint') copy.writeBigUInt64LE(value, at)
  else copy.writeUInt32LE(value, at)
  return copy
}
const huge = 2n ** 62n

describe('a GGUF file', async () => {
  it('is opened with its metadata and tensors', async () => {
    const { metadata, tensors } = await opened(file)
    expect([...metadata]).toEqual([['a', 'b']])
    expect([...tensors.values()].map(({ name, shape, dtype }) => [name, [...shape], dtype])).toEqual([
      ['w', [2, 32], 'F32'],
    ])
  })

  it.each<[string, Uint8Array, string]>([
    ['is no GGUF', Buffer.from('GGML0000000000000000000000000000'), 'does not begin with GGUF'],
    ['is of an old version', changed('GGUF', 0, 1), 'is of version 1'],
    ['is big-endian', changed('GGUF', 0, 3 << 24), 'big-endian'],
    [
      'claims more tensors than there are',
      changed('GGUF', 4, 99n),
      'claims 99 tensors, for which the file is too short',
    ],
    ['claims huge numbers of tensors', changed('GGUF', 4, huge), 'more than the 100000'],
    ['claims huge numbers of keys', changed('GGUF', 12, huge), 'keys of metadata, more than the 65536'],
    ['has a text of a huge length', changed('GGUF', 20, huge), 'bytes of a text, more than'],
    ['has a text that is longer than the file', changed('GGUF', 20, 4000n), 'for which the file is too short'],
    ['has a value of an unknown type', changed('a', 0, 77), '"a" is of the type 77'],
    ['has lists in lists', changed('list', 4, 9, await made({ list: ['x'] })), '"list" is a list of the type 9'],
    ['has a list longer than the file', changed('list', 8, 999n, await made({ list: ['x'] })), 'claims 999 values'],
    ['has a tensor of five axes', changed('w', 0, 5), 'has 5 axes'],
    ['has an empty axis', changed('w', 4, 0n), 'has the shape [2,0]'],
    ['has an axis of more than can be counted', changed('w', 4, huge), 'has the shape'],
    ['has a tensor larger than the file', changed('w', 12, 999_999n), 'it is truncated'],
    ['has an offset elsewhere', changed('w', 24, 64n), 'has the offset 64 where 0 is due'],
    ['has rows of other than whole blocks', changed('w', 20, 12), 'Q4_K has blocks of 256'],
    ['has a type that attune does not read', changed('w', 20, 18), '"w" is of the type IQ3_XXS'],
    ['has a type that nobody knows', changed('w', 20, 99), '"w" is of the type number 99'],
    ['has a strange alignment', await made({ 'general.alignment': { uint: 12 } }), 'general.alignment is "12"'],
    ['is a part', await made({ 'split.count': { uint: 3 } }), 'one of 3 parts'],
    ['has a text that is not UTF-8', changed('GGUF', 28, 0xffffffff), 'not UTF-8'],
  ])('that %s is refused', async (_, bytes, message) => {
    const fault = await opened(bytes).catch((error) => error)
    expect(fault.message).toContain(message)
    expect([fault.name, fault.exitCode]).toEqual(['Fault', 2])
  })

  it('cut at any byte is refused', async () => {
    for (let size = 0; size < file.length; size += 7)
      await expect(opened(file.subarray(0, size))).rejects.toMatchObject({ name: 'Fault', exitCode: 2 })
  })

  it('with any byte changed is opened or refused', async () => {
    const whole = await readFile(blocks)
    for (let at = 0; at < 1200; at++) {
      const copy = Buffer.from(whole)
      copy[at] ^= 1 << (at % 8)
      await openGguf(bytesOf('m.gguf', copy)).catch((error) => expect(error.name).toBe('Fault'))
    }
  })
})
