/**
 * How long matrix products take on this machine in fp32 and in 8-bit whole numbers, measured once: the times are kept in the
 * cache folder by processor, kind of codes, threads, version of ONNX Runtime and size. Times of a machine that was busy are not kept.
 */
import { mkdir } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { compileProgram } from '../onnx/model.ts'
import type { CodeType } from '../tensor/primitives.ts'
import { input } from '../tensor/tensor.ts'
import { cacheFolder } from '../util/cacheFolder.node.ts'
import { jsonFile, writeWhole } from '../util/files.node.ts'
import type { Backend, Handle } from './backend.ts'
import { codeType } from './codeType.ts'

export type Size = { inner: number; out: number }
/** Seconds of a product, with the passes that round its rows: of rows rounded to 8 bits once, and in two terms. */
export type ProductTimes = { fp32: number; oneTerm: number; twoTerms: number }
type Measure = (backend: Backend, size: Size, codes: CodeType) => Promise<ProductTimes>

/** Rows of a micro-batch, roughly. */
const rows = 512
/** Wider products take longer and say the same. */
const widest = 1024
const rounds = 5
/** Seconds after which no further round begins. */
const enough = 0.3

const seconds = z.number().positive()
const timesSchema = z.object({ fp32: seconds, oneTerm: seconds, twoTerms: seconds })

const file = () => join(cacheFolder(), 'product-times.json')

/** More programs want a core than there are. */
const isBusyNow = () => loadavg()[0] > 1.5 * availableParallelism()

/** What is known is asked of the file, and what is not is measured. A file that cannot be written costs the next run time. */
export const productTimes = async (
  backend: Backend,
  { inner, out }: Size,
  { measure = measureProducts, isBusy = isBusyNow }: { measure?: Measure; isBusy?: () => boolean } = {},
): Promise<ProductTimes> => {
  const { threads, version } = backend.description
  const size = { inner: Math.min(inner, widest), out: Math.min(out, widest) }
  const codes = await codeType(backend)
  // Virtual machines of different processors may give the same name; the codes tell those with VNNI
  const processor = `${cpus()[0]?.model.trim()}, ${codes}`
  const key = `${processor}, threads ${threads}, onnxruntime ${version}, ${size.inner} x ${size.out}`
  const all = await jsonFile(file()).catch(() => ({}) as Record<string, unknown>)
  const known = timesSchema.safeParse(all[key])
  if (known.success) return known.data
  const times = await measure(backend, size, codes)
  if (!isBusy()) await keep({ ...all, [key]: times }).catch(() => {})
  return times
}

const keep = async (all: Readonly<Record<string, unknown>>) => {
  await mkdir(dirname(file()), { recursive: true })
  await writeWhole(file(), [Buffer.from(`${JSON.stringify(all, null, 1)}\n`)])
}

/** Medians over rounds in which the forms take turns, so that other work on the machine slows all of them. */
export const measureProducts = async (
  backend: Backend,
  { inner, out }: Size,
  codes: CodeType,
  clock: () => number = () => performance.now() / 1000,
): Promise<ProductTimes> => {
  const began = clock()
  const x = input('x', [rows, inner])
  const inInt8 = (terms: 1 | 2) => x.matmulInt8(input('codes', [inner, out], codes), input('scales', [out]), terms)
  const y = {
    fp32: x.matmul(input('W', [out, inner]), { transB: true }),
    oneTerm: inInt8(1),
    twoTerms: inInt8(2),
  }
  const random = (size: number) => Float32Array.from({ length: size }, () => Math.random() - 0.5)
  const bytes = (size: number) => Uint8Array.from({ length: size }, () => Math.random() * 256)
  const feeds: Record<string, Handle> = {
    x: backend.put(random(rows * inner), [rows, inner]),
    W: backend.put(random(out * inner), [out, inner]),
    codes: backend.put(codes === 'u8' ? bytes(inner * out) : new Int8Array(bytes(inner * out)), [inner, out], codes),
    scales: backend.put(random(out), [out]),
  }
  const into = { y: backend.zeros([rows, out]) }
  const run = Object.entries(y).map(([name, product]) => {
    const program = backend.load(compileProgram(`time ${name}`, { y: product }))
    const own = Object.fromEntries(program.program.inputs.map((port) => [port.name, feeds[port.name]]))
    return { times: [] as number[], once: () => backend.run(program, own, into) }
  })
  // The first round is not counted
  for (let round = 0; round <= rounds; round++) {
    if (round > 1 && clock() - began > enough) break
    for (const { times, once } of run) {
      await backend.idle()
      const from = clock()
      once()
      await backend.idle()
      if (round > 0) times.push(clock() - from)
    }
  }
  backend.free([...Object.values(feeds), into.y])
  const [fp32, oneTerm, twoTerms] = run.map(({ times }) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)])
  return { fp32, oneTerm, twoTerms }
}
