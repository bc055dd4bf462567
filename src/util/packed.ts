/** Plain data and typed arrays as bytes (MessagePack): the same value gives the same bytes. */
import { Packr } from 'msgpackr'

const packr = new Packr({ useRecords: false, moreTypes: true, copyBuffers: true })

/** @throws never for plain data, typed arrays and undefined */
export const pack = (value: unknown): Uint8Array => new Uint8Array(packr.pack(value))

/** Typed arrays of the result own their memory. Throws for bytes that `pack` did not make. */
export const unpack = (bytes: Uint8Array): unknown => packr.unpack(bytes)
