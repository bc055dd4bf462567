/** Reads the fp32 weights of an ONNX file, which stay on disk until they are asked for: what file.ts writes. */
import type { ByteSource } from '../util/bytes.ts'
import { badInput } from '../util/fault.ts'
import { fieldReader } from '../util/protoReader.ts'
import { numel } from '../util/shape.ts'
import { elementType } from './emitter.ts'

export type OnnxWeight = { shape: readonly number[]; floats(): Promise<Float32Array> }

/**
 * @param beside opens a file that lies beside it, by its name
 * @returns the initializers in fp32, by name. Throws a Fault 'bad-onnx' for a file that is torn or none.
 */
export const onnxWeights = async (
  source: ByteSource,
  beside: (name: string) => Promise<ByteSource>,
): Promise<Map<string, OnnxWeight>> => {
  const found = new Map<string, OnnxWeight>()
  try {
    for await (const graph of fields(source, 0, source.size))
      if (graph.field === 7)
        for await (const { field, from, to } of fields(source, graph.from, graph.to)) {
          const weight = field === 5 ? await weightOf(source, from, to, beside) : undefined
          if (weight) found.set(...weight)
        }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw badInput('bad-onnx', `is torn, or no ONNX file: ${error.message}; export it again`, { file: source.name })
  }
  return found
}

/** A field of a message: its number, or the places in the file between which its bytes are. */
type Field = { field: number; number: number; from: number; to: number }

/** Bytes of a key and of a number or a length, at most. */
const headBytes = 20

async function* fields(source: ByteSource, from: number, to: number): AsyncGenerator<Field> {
  for (let at = from; at < to; ) {
    const bytes = await source.read(at, Math.min(to, at + headBytes))
    let used = 0
    const varint = () => {
      let value = 0
      for (let scale = 1; used < bytes.length; scale *= 128) {
        const byte = bytes[used++]
        value += (byte & 127) * scale
        if (byte < 128) return value
      }
      throw new RangeError('a number has no end')
    }
    const key = varint()
    const [field, wireType] = [Math.floor(key / 8), key % 8]
    const number = wireType === 0 || wireType === 2 ? varint() : 0
    const length = { 0: 0, 1: 8, 2: number, 5: 4 }[wireType]
    if (length === undefined) throw new RangeError(`there is no wire type ${wireType}`)
    const start = at + used
    at = start + length
    if (at > to) throw new RangeError('a field ends after its message')
    yield { field, number, from: start, to: at }
  }
}

/** A TensorProto; undefined for one of another type. */
const weightOf = async (
  source: ByteSource,
  from: number,
  to: number,
  beside: (name: string) => Promise<ByteSource>,
): Promise<[name: string, OnnxWeight] | undefined> => {
  const shape: number[] = []
  const outside: Record<string, string> = {}
  let [name, type, start, length] = ['', 0, 0, 0]
  for await (const part of fields(source, from, to)) {
    if (part.field === 1) shape.push(part.number)
    else if (part.field === 2) type = part.number
    else if (part.field === 8) name = text(await source.read(part.from, part.to))
    else if (part.field === 9) [start, length] = [part.from, part.to - part.from]
    else if (part.field === 13) Object.assign(outside, entryOf(await source.read(part.from, part.to)))
  }
  if (type !== elementType.f32) return undefined
  const file = outside.location === undefined ? source : await beside(outside.location)
  if (outside.location !== undefined) [start, length] = [Number(outside.offset), Number(outside.length)]
  if (length !== 4 * numel(shape)) throw new RangeError(`${name} has ${length} bytes for [${shape}]`)
  // a copy, since the bytes may not begin at a multiple of four
  const floats = async () => new Float32Array(new Uint8Array(await file.read(start, start + length)).buffer)
  return [name, { shape, floats }]
}

/** A key with its text. */
const entryOf = (message: Uint8Array): Record<string, string> => {
  const reader = fieldReader(message)
  const texts: string[] = []
  while (reader.next()) texts[reader.field] = text(reader.bytes())
  return { [texts[1]]: texts[2] }
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
