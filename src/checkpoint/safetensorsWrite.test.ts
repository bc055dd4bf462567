import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytesOf } from '../util/bytes.ts'
import { openSafetensors } from './safetensors.ts'
import { type NewTensor, safetensorsChunks, shardsOf } from './safetensorsWrite.ts'

const written = async (tensors: NewTensor[], metadata?: Record<string, string>): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of safetensorsChunks(tensors, metadata)) chunks.push(chunk.slice())
  return new Uint8Array(Buffer.concat(chunks))
}

const float = (name: string, shape: number[], dtype: NewTensor['dtype'] = 'F32'): NewTensor => ({
  name,
  dtype,
  shape,
  data: () => Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i / 2 - 1),
})

describe('safetensorsChunks', () => {
  it('writes what the reader reads, with "pt" and an aligned header', async () => {
    const raw: NewTensor = { name: 'ids', dtype: 'I64', shape: [2], data: async () => new Uint8Array(16).fill(1) }
    const bytes = await written([float('b', [2, 3]), raw, float('a', [4], 'BF16'), float('h', [3], 'F16')])
    const { tensors, metadata } = await openSafetensors(bytesOf('m', bytes))
    expect(metadata.get('format')).toBe('pt')
    expect([...tensors.keys()]).toEqual(['ids', 'b', 'a', 'h'])
    expect([...(await tensors.get('b')!.floats())]).toEqual([-1, -0.5, 0, 0.5, 1, 1.5])
    expect([...(await tensors.get('a')!.floats())]).toEqual([-1, -0.5, 0, 0.5])
    expect([...(await tensors.get('h')!.floats())]).toEqual([-1, -0.5, 0])
    expect(await tensors.get('ids')!.bytes()).toEqual(new Uint8Array(16).fill(1))
    expect(new DataView(bytes.buffer).getUint32(0, true) % 8).toBe(0)
  })

  it('keeps any name and any metadata', async () => {
    const names = fc.uniqueArray(fc.oneof(fc.string({ unit: 'grapheme' }), fc.constant('__proto__')), { maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(names, fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }), async (all, notes) => {
        const mine = all.filter((name) => name !== '__metadata__')
        const opened = await openSafetensors(
          bytesOf(
            'm',
            await written(
              mine.map((name) => float(name, [1])),
              notes,
            ),
          ),
        )
        expect(new Set(opened.tensors.keys())).toEqual(new Set(mine))
        expect(opened.metadata).toEqual(new Map(Object.entries(notes)))
      }),
      { numRuns: 200 },
    )
  })

  it('reads a tensor only when it is written', async () => {
    const asked: string[] = []
    const tensor = (name: string): NewTensor => {
      const plain = float(name, [2])
      return { ...plain, data: () => (asked.push(name) ? plain.data() : plain.data()) }
    }
    const chunks = safetensorsChunks([tensor('a'), tensor('b')])
    await chunks.next()
    expect(asked).toEqual([])
    await chunks.next()
    expect(asked).toEqual(['a'])
  })

  it('refuses data of another size, and a name that occurs twice', async () => {
    await expect(written([{ ...float('a', [3]), shape: [4] }])).rejects.toThrow('data of a is not F32 [4]')
    await expect(written([{ ...float('a', [3]), dtype: 'I32' }])).rejects.toThrow('data of a is not I32 [3]')
    await expect(written([float('a', [3]), float('a', [3])])).rejects.toThrow('one name')
  })
})

describe('shardsOf', () => {
  it('needs no index for one file', () => {
    expect(shardsOf([float('a', [4])], 'model')).toMatchObject({ files: [{ name: 'model.safetensors' }] })
  })

  it('fills files in order and says where each tensor is', () => {
    const tensors = ['d', 'c', 'b', 'a'].map((name) => float(name, [4])).concat(float('huge', [100]))
    const { files, index } = shardsOf(tensors, 'model', 40)
    expect(files.map(({ tensors }) => tensors.map(({ name }) => name))).toEqual([['d', 'c'], ['b', 'a'], ['huge']])
    const { metadata, weight_map } = JSON.parse(index!)
    expect(metadata).toEqual({ total_parameters: 116, total_size: 464 })
    expect(Object.entries(weight_map)).toEqual([
      ['a', 'model-00002-of-00003.safetensors'],
      ['b', 'model-00002-of-00003.safetensors'],
      ['c', 'model-00001-of-00003.safetensors'],
      ['d', 'model-00001-of-00003.safetensors'],
      ['huge', 'model-00003-of-00003.safetensors'],
    ])
  })
})
