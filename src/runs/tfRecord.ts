/**
 * TFRecord framing, as TensorBoard's event files have it: length, its checksum, data, its checksum.
 * Source: tensorflow/core/lib/io/record_writer.h.
 */
import { concatBytes } from '../util/bytes.ts'

/** Bytes before and after the data of a record. */
export const headBytes = 12
export const tailBytes = 4

export const record = (data: Uint8Array): Uint8Array => {
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(data.length), true)
  return concatBytes([length, checksumBytes(length), data, checksumBytes(data)])
}

const checksumBytes = (data: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, checksum(data), true)
  return bytes
}

/** CRC-32C, rotated and moved so that the checksum of data that holds checksums stays good. */
export const checksum = (data: Uint8Array): number => {
  const crc = crc32c(data)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

/** Castagnoli's polynomial, reflected. (node:zlib has the other CRC-32 only.) */
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc
})

const crc32c = (data: Uint8Array): number => {
  let crc = 0xffffffff
  for (let at = 0; at < data.length; at++) crc = (crc >>> 8) ^ crcTable[(crc ^ data[at]) & 255]
  return (crc ^ 0xffffffff) >>> 0
}
