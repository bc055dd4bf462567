/**
 * Reads the protocol-buffer wire format, one field after the other: what proto.ts writes. Nothing is read past the end of the
 * message, whatever lengths it claims.
 */

/** The reading of one message that is in memory. Methods throw a RangeError where the message is torn or no message. */
export type FieldReader = {
  /** Goes on to the next field; false at the end. */
  next(): boolean
  /** Of the field that was reached. */
  field: number
  wireType: number
  /** The value of the field, by its wire type: 0, 1 (double), 5 (float), 2. A field that is not read is passed over. */
  varint(): number
  double(): number
  float(): number
  bytes(): Uint8Array
}

export const fieldReader = (message: Uint8Array): FieldReader => {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  let at = 0
  let isRead = true
  const take = (size: number): number => {
    if (size > message.length - at) throw new RangeError('a field ends after its message')
    at += size
    return at - size
  }
  /** Numbers above 2^53 lose their last bits; negative ones come as such. */
  const rawVarint = (): number => {
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[take(1)]
      if (shift < 28) low += (byte & 127) * 2 ** shift
      else high += (byte & 127) * 2 ** (shift - 28)
      if (byte < 128) {
        const value = high * 2 ** 28 + low
        return value >= 2 ** 63 ? Number(BigInt.asIntN(64, (BigInt(high) << 28n) + BigInt(low))) : value
      }
    }
    throw new RangeError('a number has more than ten bytes')
  }
  const expect = (wireType: number) => {
    if (reader.wireType !== wireType) throw new RangeError(`field ${reader.field} is of another type`)
    isRead = true
  }
  const skip = () => {
    if (reader.wireType === 0) rawVarint()
    else if (reader.wireType === 1) take(8)
    else if (reader.wireType === 2) take(rawVarint())
    else if (reader.wireType === 5) take(4)
    else throw new RangeError(`there is no wire type ${reader.wireType}`)
  }
  const reader: FieldReader = {
    field: 0,
    wireType: 0,
    next() {
      if (!isRead) skip()
      isRead = false
      if (at >= message.length) {
        isRead = true
        return false
      }
      const key = rawVarint()
      reader.field = Math.floor(key / 8)
      reader.wireType = key % 8
      return true
    },
    varint() {
      expect(0)
      return rawVarint()
    },
    double() {
      expect(1)
      return view.getFloat64(take(8), true)
    },
    float() {
      expect(5)
      return view.getFloat32(take(4), true)
    },
    bytes() {
      expect(2)
      const length = rawVarint()
      if (length < 0) throw new RangeError('a field has a negative length')
      const start = take(length)
      return message.subarray(start, start + length)
    },
  }
  return reader
}
