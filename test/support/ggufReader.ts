/** A GGUF reader that shares no code with the writer: metadata and dequantized tensors. Source: ggml/docs/gguf.md. */
export type GgufFile = {
  version: number
  metadata: Map<string, unknown>
  tensors: Map<string, { type: number; shape: number[]; values: Float64Array }>
}

export const readGguf = (bytes: Buffer): GgufFile => {
  let at = 4
  if (bytes.toString('latin1', 0, 4) !== 'GGUF') throw new Error('no GGUF')
  const u32 = () => bytes.readUInt32LE((at += 4) - 4)
  const u64 = () => Number(bytes.readBigUInt64LE((at += 8) - 8))
  const text = () => {
    const size = u64()
    return bytes.toString('utf8', at, (at += size))
  }
  const value = (type: number): unknown => {
    if (type === 0) return bytes.readUInt8(at++)
    if (type === 4) return u32()
    if (type === 5) return bytes.readInt32LE((at += 4) - 4)
    if (type === 6) return bytes.readFloatLE((at += 4) - 4)
    if (type === 7) return bytes.readUInt8(at++) === 1
    if (type === 8) return text()
    if (type !== 9) throw new Error(`type ${type}`)
    const [inner, count] = [u32(), u64()]
    return Array.from({ length: count }, () => value(inner))
  }
  const version = u32()
  const [tensorCount, keyCount] = [u64(), u64()]
  const metadata = new Map(Array.from({ length: keyCount }, () => [text(), value(u32())] as const))
  const infos = Array.from({ length: tensorCount }, () => {
    const name = text()
    const shape = Array.from({ length: u32() }, u64).reverse()
    return { name, shape, type: u32(), offset: u64() }
  })
  const start = Math.ceil(at / 32) * 32
  const tensors = new Map(
    infos.map(({ name, shape, type, offset }) => {
      if (offset % 32) throw new Error(`${name} is not aligned`)
      const count = shape.reduce((a, b) => a * b, 1)
      return [name, { type, shape, values: decode(bytes, start + offset, type, count) }] as const
    }),
  )
  return { version, metadata, tensors }
}

const half = (bits: number): number => {
  const [exponent, mantissa] = [(bits >> 10) & 31, bits & 1023]
  const size = exponent ? 2 ** (exponent - 15) * (1 + mantissa / 1024) : 2 ** -14 * (mantissa / 1024)
  return bits & 0x8000 ? -size : size
}

const decode = (bytes: Buffer, start: number, type: number, count: number): Float64Array => {
  const scale = (block: number, size: number) => half(bytes.readUInt16LE(start + block * size))
  const nibble = (i: number) => {
    const byte = bytes[start + (i >> 5) * 18 + 2 + (i & 15)]
    return i & 16 ? byte >> 4 : byte & 15
  }
  const readers: Record<number, (i: number) => number> = {
    0: (i) => bytes.readFloatLE(start + 4 * i),
    1: (i) => half(bytes.readUInt16LE(start + 2 * i)),
    2: (i) => scale(i >> 5, 18) * (nibble(i) - 8),
    8: (i) => scale(i >> 5, 34) * bytes.readInt8(start + (i >> 5) * 34 + 2 + (i & 31)),
  }
  return Float64Array.from({ length: count }, (_, i) => readers[type](i))
}
