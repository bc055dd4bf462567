/**
 * A program with its constants as ONNX files, written as streams that ask for one constant at a time. A protocol buffer
 * holds less than 2 GiB, so larger models keep their values in files beside it (ONNX's `external_data`), numbered as
 * transformers.js expects them.
 */
import { concatBytes } from '../util/bytes.ts'
import { assert } from '../util/fault.ts'
import { head, int, string } from '../util/proto.ts'
import { elementType } from './emitter.ts'
import type { Program } from './model.ts'

/** Reads the values of one of a program's constants when they are written. */
export type Source = (name: string) => Promise<Float32Array>

export type OnnxFile = { name: string; chunks: AsyncIterable<Uint8Array> }

const limit = 1.5 * 2 ** 30
/** Values in external files are aligned, so that they can be memory-mapped. */
const alignment = 4096

const sizeOf = (shape: readonly unknown[]): number => (shape as number[]).reduce((a, b) => a * b, 4)

/** Bytes of a program's constants. */
export const constantBytes = ({ constants }: Program): number =>
  constants.reduce((n, { shape }) => n + sizeOf(shape), 0)

/** `name` alone, or `name`, `name`_data, `name`_data_1, ... of at most `most` bytes each. */
export const onnxFiles = (program: Program, name: string, read: Source, most = limit): OnnxFile[] => {
  if (constantBytes(program) <= most) return [{ name, chunks: inside(program, read) }]
  const files: { name: string; size: number; held: { name: string; from: number; size: number }[] }[] = []
  const places = program.constants.map((constant) => {
    const size = sizeOf(constant.shape)
    let file = files.at(-1)
    if (!file || file.size + size > most) {
      file = { name: `${name}_data${files.length ? `_${files.length}` : ''}`, size: 0, held: [] }
      files.push(file)
    }
    const from = file.size
    file.held.push({ name: constant.name, from, size })
    file.size = Math.ceil((from + size) / alignment) * alignment
    const entry = (key: string, value: string | number) => {
      const text = concatBytes([string(1, key), string(2, String(value))])
      return concatBytes([head(13, text.length), text])
    }
    const where = [entry('location', file.name), entry('offset', from), entry('length', size), int(14, 1)]
    return initializer(constant, where)
  })
  const outer = (async function* () {
    yield program.bytes
    yield concatBytes([
      head(
        7,
        places.reduce((n, { length }) => n + length, 0),
      ),
      ...places,
    ])
  })()
  return [{ name, chunks: outer }, ...files.map((file) => ({ name: file.name, chunks: beside(file, read) }))]
}

/** A TensorProto in the graph's `initializer`; `rest` are its values, or where they are. */
const initializer = ({ name, shape, dtype }: Program['constants'][number], rest: readonly Uint8Array[], extra = 0) => {
  const type = concatBytes([
    ...shape.map((size) => int(1, size as number)),
    int(2, elementType[dtype]),
    string(8, name),
    ...rest,
  ])
  return concatBytes([head(5, type.length + extra), type])
}

async function* inside(program: Program, read: Source): AsyncGenerator<Uint8Array> {
  const heads = program.constants.map((constant) => {
    const size = sizeOf(constant.shape)
    return initializer(constant, [head(9, size)], size)
  })
  yield program.bytes
  yield head(7, constantBytes(program) + heads.reduce((n, { length }) => n + length, 0))
  for (const [i, { name, shape }] of program.constants.entries()) {
    yield heads[i]
    yield await bytesOf(name, sizeOf(shape), read)
  }
}

async function* beside(
  { size: total, held }: { size: number; held: readonly { name: string; from: number; size: number }[] },
  read: Source,
): AsyncGenerator<Uint8Array> {
  for (const [i, { name, from, size }] of held.entries()) {
    yield await bytesOf(name, size, read)
    yield new Uint8Array((held[i + 1]?.from ?? total) - from - size)
  }
}

const bytesOf = async (name: string, size: number, read: Source): Promise<Uint8Array> => {
  const { buffer, byteOffset, byteLength } = await read(name)
  assert(byteLength === size, `${name} has ${byteLength} bytes, not ${size}`)
  return new Uint8Array(buffer, byteOffset, byteLength)
}
