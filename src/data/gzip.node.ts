/**
 * Streaming gzip by node's zlib, including files of several members. Chunks are written by hand, because node's
 * streams drop what they have unpacked when an error comes, and the rows before the error are wanted.
 */
import { createGunzip } from 'node:zlib'
import { badInput } from '../util/fault.ts'
import type { Chunks } from './lines.ts'

/** Text seldom packs better than 20 to 1; deflate reaches 1,032 to 1 on zeros. Small files may have any ratio. */
const MAX_RATIO = 200
const FREE_BYTES = 64 * 2 ** 20
const MAX_BYTES = 256 * 2 ** 30
/** Packed bytes at a time: at most 16 MB unpacked. */
const STEP = 2 ** 14

/** Unpacked bytes. @throws Fault bad-gzip, without a place: the reader above knows the line */
export async function* gunzip(chunks: Chunks): Chunks & AsyncGenerator<Uint8Array> {
  const stream = createGunzip()
  let out: Uint8Array[] = []
  let failed: Error | undefined
  let ended = false
  let wake = () => {}
  stream.on('data', (bytes: Uint8Array) => out.push(bytes))
  stream.on('error', (error) => {
    failed = error
    wake() // a failed write never calls back
  })
  stream.on('end', () => {
    ended = true
    wake() // nor does one that goes on behind the last member
  })
  const settled = (start: (done: () => void) => void) =>
    new Promise<void>((done) => {
      wake = done
      if (failed || ended) done()
      else start(done)
    })
  const count = { in: 0, out: 0 }
  const drain = function* () {
    const ready = out
    out = []
    for (const bytes of ready) {
      count.out += bytes.length
      yield bytes
    }
    checkCaps(count)
  }
  try {
    for await (const chunk of chunks)
      for (let at = 0; at < chunk.length && !failed; at += STEP) {
        const packed = chunk.subarray(at, at + STEP)
        const before = count.in
        count.in += packed.length
        if (!ended) await settled((done) => stream.write(packed, done))
        if (ended) checkPadding(packed.subarray(Math.max(0, stream.bytesWritten - before)))
        yield* drain()
      }
    await settled((done) => stream.end(done))
    if (!failed && !ended) await settled((done) => stream.once('close', done))
    yield* drain()
  } finally {
    stream.destroy()
  }
  if (failed) throw damaged(failed.message)
}

const damaged = (what: string) => badInput('bad-gzip', `is damaged or cut off (${what}); copy or download it again`)

/** Behind the last member there may be zeros, as tapes and discs leave them. */
const checkPadding = (bytes: Uint8Array) => {
  if (bytes.some((byte) => byte !== 0)) throw damaged('after its end there is something else than zeros')
}

const checkCaps = ({ in: packed, out }: { in: number; out: number }) => {
  if (out > MAX_BYTES) throw badInput('bad-gzip', `unpacks to more than ${MAX_BYTES} bytes`)
  if (out > FREE_BYTES && out > packed * MAX_RATIO)
    throw badInput('bad-gzip', `unpacks to more than ${MAX_RATIO} times its size; unpack it by hand if you trust it`)
}
