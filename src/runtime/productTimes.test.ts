import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { codeType } from './codeType.ts'
import { openBackend } from './open.node.ts'
import { measureProducts, type ProductTimes, productTimes } from './productTimes.node.ts'

const times: ProductTimes = { fp32: 3, oneTerm: 1, twoTerms: 2 }

describe('times of products', async () => {
  const backend = await openBackend({ inProcess: true, threads: 1 })
  afterAll(() => backend.close())
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-times-'))
    vi.stubEnv('ATTUNE_CACHE', folder)
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    await rm(folder, { recursive: true })
  })
  const measure = (busy = false) => {
    const measured = vi.fn(async () => times)
    return { measured, given: { measure: measured, isBusy: () => busy } }
  }

  it('are measured once and remembered by size', async () => {
    const { measured, given } = measure()
    expect(await productTimes(backend, { inner: 576, out: 1024 }, given)).toEqual(times)
    expect(await productTimes(backend, { inner: 576, out: 1024 }, given)).toEqual(times)
    // A wider weight is measured at 1,024 columns
    expect(await productTimes(backend, { inner: 576, out: 1536 }, given)).toEqual(times)
    expect(measured).toHaveBeenCalledTimes(1)
    expect(measured).toHaveBeenCalledWith(backend, { inner: 576, out: 1024 }, await codeType(backend))
    await productTimes(backend, { inner: 960, out: 1024 }, given)
    expect(measured).toHaveBeenCalledTimes(2)
    const kept = JSON.parse(await readFile(join(folder, 'product-times.json'), 'utf8'))
    expect(Object.keys(kept)).toHaveLength(2)
    expect(Object.keys(kept)[0]).toMatch(/, (s8|u8), threads 1, onnxruntime .*, 576 x 1024$/)
  })

  it('are not remembered where the machine was busy', async () => {
    const { measured, given } = measure(true)
    await productTimes(backend, { inner: 64, out: 64 }, given)
    await productTimes(backend, { inner: 64, out: 64 }, given)
    expect(measured).toHaveBeenCalledTimes(2)
  })

  it('are measured for each number of threads', async () => {
    const { measured, given } = measure()
    const description = { ...backend.description, threads: 7 }
    await productTimes(backend, { inner: 64, out: 64 }, given)
    await productTimes({ ...backend, description, load: backend.load }, { inner: 64, out: 64 }, given)
    expect(measured).toHaveBeenCalledTimes(2)
  })

  it.each(['{', '[]', 'null'])('are measured again where the file holds %s', async (text) => {
    await writeFile(join(folder, 'product-times.json'), text)
    const { measured, given } = measure()
    expect(await productTimes(backend, { inner: 64, out: 64 }, given)).toEqual(times)
    expect(measured).toHaveBeenCalledTimes(1)
  })

  it('are measured again where the file holds no positive times', async () => {
    const path = join(folder, 'product-times.json')
    await productTimes(backend, { inner: 64, out: 64 }, measure().given)
    const [key] = Object.keys(JSON.parse(await readFile(path, 'utf8')))
    await writeFile(path, JSON.stringify({ [key]: { ...times, fp32: 0 } }))
    const { measured, given } = measure()
    await productTimes(backend, { inner: 64, out: 64 }, given)
    expect(measured).toHaveBeenCalledTimes(1)
  })

  it('are given though the cache folder cannot be written', async () => {
    vi.stubEnv('ATTUNE_CACHE', join(folder, 'file', 'inside'))
    await writeFile(join(folder, 'file'), '')
    expect(await productTimes(backend, { inner: 64, out: 64 }, measure().given)).toEqual(times)
  })

  it('are medians of what the clock says, and a slow machine ends it after a round', async () => {
    const codes = await codeType(backend)
    let ticks = 0
    const clock = () => ++ticks
    // A tick a product; the second round does not begin, since more than a third of a second has passed
    expect(await measureProducts(backend, { inner: 32, out: 16 }, codes, clock)).toEqual({
      fp32: 1,
      oneTerm: 1,
      twoTerms: 1,
    })
    // Begin, two rounds of three products of two readings, and the end
    expect(ticks).toBe(1 + 2 * 3 + 3 + 1)
  })
})
