/**
 * Protocol-buffer wire format, as far as ONNX and TensorBoard need it: a message is a list of fields, each already bytes.
 * Source: protobuf.dev/programming-guides/encoding.
 */
import { concatBytes } from './bytes.ts'

export type Field = Uint8Array

const text = new TextEncoder()

const varint = (value: number | bigint): number[] => {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return bytes
}

/** Wire type 0. */
export const int = (field: number, value: number | bigint): Field =>
  Uint8Array.from([...varint(field << 3), ...varint(value)])

/** Wire type 5. */
export const float = (field: number, value: number): Field => {
  const bytes = new Uint8Array(5)
  bytes[0] = (field << 3) | 5
  new DataView(bytes.buffer).setFloat32(1, value, true)
  return bytes
}

/** Wire type 1. */
export const double = (field: number, value: number): Field => {
  const bytes = new Uint8Array(9)
  bytes[0] = (field << 3) | 1
  new DataView(bytes.buffer).setFloat64(1, value, true)
  return bytes
}

/** What stands before bytes, text or a nested message of this length: wire type 2. */
export const head = (field: number, length: number): Uint8Array =>
  Uint8Array.from([...varint((field << 3) | 2), ...varint(length)])

export const bytes = (field: number, value: Uint8Array): Field => concatBytes([head(field, value.length), value])

export const string = (field: number, value: string): Field => bytes(field, text.encode(value))

export const message = (field: number, fields: readonly Field[]): Field => bytes(field, concatBytes(fields))
