/**
 * Reads the zip files that torch.save writes: stored entries and zip64 records, no compression, no encryption. Names
 * and sizes come from the central directory, and every entry must lie before it. PKWARE APPNOTE 6.3, sections 4.3 to
 * 4.5.
 */
import type { ByteSource } from '../util/bytes.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'

export type ZipEntry = { name: string; size: number; header: number }

const DIRECTORY_LIMIT = 64 << 20
const ENTRY_LIMIT = 200_000

/** The entries by name. Throws Faults 'bad-zip'. */
export const zipEntries = async (source: ByteSource): Promise<Map<string, ZipEntry>> => {
  const { start, size } = await directoryPlace(source)
  if (size > DIRECTORY_LIMIT) throw broken(source, `its directory takes ${size} bytes`, start)
  const view = viewOf(await source.read(start, start + size))
  const entries = new Map<string, ZipEntry>()
  for (let at = 0; at < size; ) {
    const { entry, length } = directoryEntry(source, view, at, start)
    if (entries.has(entry.name)) throw broken(source, `two entries are called ${quoted(entry.name)}`, start + at)
    if (entries.size >= ENTRY_LIMIT) throw broken(source, `more than ${ENTRY_LIMIT} entries`, start + at)
    entries.set(entry.name, entry)
    at += length
  }
  return entries
}

/** The byte range [start, end) of an entry's content in the file. */
export const zipRange = async (source: ByteSource, entry: ZipEntry): Promise<[number, number]> => {
  const local = viewOf(await source.read(entry.header, entry.header + 30))
  if (local.getUint32(0, true) !== 0x04034b50) throw broken(source, `no entry ${quoted(entry.name)}`, entry.header)
  const start = entry.header + 30 + local.getUint16(26, true) + local.getUint16(28, true)
  if (start + entry.size > source.size) throw broken(source, `${quoted(entry.name)} goes past the end`, start)
  return [start, start + entry.size]
}

const broken = ({ name }: ByteSource, what: string, offset?: number) =>
  badInput('bad-zip', `not a sound zip of torch.save: ${what}; fetch the file again`, { file: name, offset })

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const u64 = (view: DataView, at: number): number => Number(view.getBigUint64(at, true))

/**
 * Finds the central directory from the end record (which only a comment of up to 64 KB may follow) or the zip64 record
 * before it.
 */
const directoryPlace = async (source: ByteSource): Promise<{ start: number; size: number }> => {
  const from = Math.max(0, source.size - 22 - 0xffff)
  const tail = viewOf(await source.read(from, source.size))
  let at = tail.byteLength - 22
  while (
    at >= 0 &&
    !(tail.getUint32(at, true) === 0x06054b50 && at + 22 + tail.getUint16(at + 20, true) === tail.byteLength)
  )
    at--
  if (at < 0) throw broken(source, 'it has no end record, so it is cut off')
  const wide = at >= 20 && tail.getUint32(at - 20, true) === 0x07064b50 ? u64(tail, at - 12) : undefined
  const place = { size: tail.getUint32(at + 12, true), start: tail.getUint32(at + 16, true) }
  const found = wide === undefined ? place : await wideDirectoryPlace(source, wide)
  if (found.start + found.size > from + at) throw broken(source, 'its directory goes past the end', from + at)
  return found
}

const wideDirectoryPlace = async (source: ByteSource, at: number): Promise<{ start: number; size: number }> => {
  if (at + 56 > source.size) throw broken(source, 'its zip64 record is outside of the file')
  const record = viewOf(await source.read(at, at + 56))
  if (record.getUint32(0, true) !== 0x06064b50) throw broken(source, 'its zip64 record is missing', at)
  return { size: u64(record, 40), start: u64(record, 48) }
}

const directoryEntry = (source: ByteSource, view: DataView, at: number, start: number) => {
  const fail = (what: string): never => {
    throw broken(source, what, start + at)
  }
  if (at + 46 > view.byteLength || view.getUint32(at, true) !== 0x02014b50) fail('its directory is damaged')
  const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) => view.getUint16(at + field, true))
  const length = 46 + nameLength + extraLength + commentLength
  if (at + length > view.byteLength) fail('its directory is cut off')
  const name = new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at + 46, nameLength))
  if (view.getUint16(at + 8, true) & 1) fail(`${quoted(name)} is encrypted`)
  if (view.getUint16(at + 10, true) !== 0) fail(`${quoted(name)} is compressed`)
  const [size, packed, header] =
    wideFields(view, at, at + 46 + nameLength, extraLength) ?? fail('its zip64 field is damaged')
  if (size !== packed) fail(`${quoted(name)} has two sizes, ${packed} and ${size}`)
  if (header + 30 + size > start) fail(`${quoted(name)} of ${size} bytes goes past the data`)
  return { entry: { name, size, header }, length }
}

/** Size, packed size and offset; any that is 0xffffffff is stored with 64 bits in the extra field 1, in this order. */
const wideFields = (view: DataView, at: number, extra: number, extraLength: number): number[] | undefined => {
  const narrow = [24, 20, 42].map((field) => view.getUint32(at + field, true))
  const missing = narrow.filter((value) => value === 0xffffffff).length
  if (missing === 0) return narrow
  for (let field = extra; field + 4 <= extra + extraLength; ) {
    const size = view.getUint16(field + 2, true)
    if (field + 4 + size > extra + extraLength) return undefined
    if (view.getUint16(field, true) === 1 && size >= missing * 8) {
      let next = field + 4 - 8
      return narrow.map((value) => (value === 0xffffffff ? u64(view, (next += 8)) : value))
    }
    field += 4 + size
  }
  return undefined
}
