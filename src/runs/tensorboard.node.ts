/**
 * Writes a run's metrics for TensorBoard: `tb/events.out.tfevents.*`, one file each time the run is begun or resumed. Earlier
 * files are never changed: a file opens with the step that it begins at, and TensorBoard then drops what earlier files say of
 * that step and later ones.
 * Sources: tensorflow/core/util/event.proto, framework/summary.proto, lib/io/record_writer.h (framing).
 */
import { join as joinPath } from 'node:path'
import { concatBytes } from '../util/bytes.ts'
import { diskFault, makeFolders, openAppending } from '../util/files.node.ts'
import { double, type Field, float, int, message, string } from '../util/proto.ts'
import type { LoggedEvent } from './log.node.ts'

export type Board = {
  /** Takes the numbers of `step` and `eval` events and leaves out all else. */
  write(event: LoggedEvent): Promise<void>
  close(): Promise<void>
}

/** @param first the next step, counted from 1. Throws Faults 'disk'. */
export const openBoard = async (runDir: string, first: number, now: () => number = Date.now): Promise<Board> => {
  const dir = joinPath(runDir, 'tb')
  const withDiskFault = <T>(work: Promise<T>) =>
    work.catch((error) => {
      throw diskFault(error, dir)
    })
  await withDiskFault(makeFolders(dir))
  // Files are read in the order of their names
  const file = await openAppending(joinPath(dir, `events.out.tfevents.${now()}.attune`))
  const append = (fields: readonly Field[]) =>
    withDiskFault(file.appendFile(record(concatBytes([double(1, now() / 1000), ...fields]))))
  await append([string(3, 'brain.Event:2')])
  await append([int(2, first), message(7, [int(1, sessionStart)])])
  return {
    async write(event) {
      const values = scalars(event)
      if (values.length) await append([int(2, event.step as number), message(5, values.map(scalarField))])
    },
    close: () => file.close(),
  }
}

/** SessionLog.START */
const sessionStart = 1

type Scalar = readonly [tag: string, value: number]

/** Named as transformers' callback names them: train/loss, eval/loss. */
const scalars = ({ event, ...fields }: LoggedEvent): Scalar[] => {
  if (event !== 'step' && event !== 'eval') return []
  const group = event === 'step' ? 'train' : 'eval'
  return Object.entries(fields).flatMap(([name, value]): Scalar[] =>
    typeof value === 'number' && !counters.has(name) ? [[`${group}/${name.replace(/^eval_/, '')}`, value]] : [],
  )
}

const counters: ReadonlySet<string> = new Set(['step', 'total_steps'])

const scalarField = ([tag, value]: Scalar): Field => message(1, [string(1, tag), float(2, value)])

/** TFRecord: length, its checksum, data, its checksum. */
const record = (data: Uint8Array): Uint8Array => {
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(data.length), true)
  return concatBytes([length, checksum(length), data, checksum(data)])
}

/** CRC-32C, rotated and moved so that the checksum of data that holds checksums stays good. */
const checksum = (data: Uint8Array): Uint8Array => {
  const crc = crc32c(data)
  const masked = new Uint8Array(4)
  new DataView(masked.buffer).setUint32(0, ((crc >>> 15) | (crc << 17)) + 0xa282ead8, true)
  return masked
}

/** Castagnoli's polynomial, reflected. (node:zlib has the other CRC-32 only.) */
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc
})

const crc32c = (data: Uint8Array): number => {
  let crc = 0xffffffff
  for (const byte of data) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 255]
  return (crc ^ 0xffffffff) >>> 0
}
