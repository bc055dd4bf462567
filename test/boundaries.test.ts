/** Checks the structure of src/: which rooms may import which, no circular imports, no Node in browser code, file lengths. */
import { builtinModules } from 'node:module'
import { describe, expect, it } from 'vitest'
import { findImports, type Import, readSources, type Source } from './support/sources.ts'

/** Rooms by floor, lowest first. A room imports from lower floors and from itself. */
const floors = [
  ['util'],
  ['tensor', 'text', 'checkpoint', 'runs', 'store', 'report', 'statistics', 'http'],
  ['onnx', 'nn', 'objectives', 'optim', 'data'],
  ['runtime', 'models', 'endpoint'],
  ['passes'],
  ['generate'],
  ['train', 'feedback'],
  ['publish', 'rewards'],
  ['recipes'],
  ['labs', 'serve'],
  ['workers', 'studio'],
  ['library'],
  ['cli'],
  ['web'],
]
/** The last floor whose code runs in browsers; of its rooms only train does. */
const lastBrowserFloor = floors.findIndex((rooms) => rooms.includes('train'))
const notForBrowsers = ['rewards', 'feedback', 'http']

/** These host the native engine. */
const nativeHosts = ['runtime/ortNode.ts', 'runtime/ortWorker.ts']
const engines = ['runtime/ortNode.ts', 'runtime/ortWeb.ts']

/** Files that are one long table of data or rules and may exceed the line limit. */
const tables: readonly string[] = ['library/settings.ts']
const fileBudget = 400

const floorOf = (room: string) => (room === '' ? floors.length : floors.findIndex((rooms) => rooms.includes(room)))
const roomOf = (path: string) => (path.includes('/') ? path.split('/')[0] : '')

const mayImport = (from: string, { to, typeOnly }: Import): boolean => {
  const room = roomOf(to)
  if (room === from) return true
  if (from === 'web') return room === 'studio' && typeOnly
  return floorOf(room) < floorOf(from)
}

const isNodeModule = (to: string) => to.startsWith('node:') || builtinModules.includes(to)
const isNodeFile = (path: string) => path.endsWith('.node.ts') || nativeHosts.includes(path)
const isForBrowsers = ({ path, room }: Source) =>
  floorOf(room) <= lastBrowserFloor && !notForBrowsers.includes(room) && !isNodeFile(path)

/** Files that read or write weights. hub*.ts only finds a folder and stored.ts only has types. */
const isCheckpointFile = ({ to, typeOnly }: Import) => /^checkpoint\/(?!hub|stored\.ts)/.test(to) && !typeOnly

/** `path -> imported path` of each import that a rule forbids. */
const offences = (sources: readonly Source[], refuses: (source: Source, imported: Import) => boolean): string[] =>
  sources.flatMap((source) =>
    source.imports.filter((imported) => refuses(source, imported)).map(({ to }) => `${source.path} -> ${to}`),
  )

/** Groups of files that import each other, types included (Tarjan's strongly connected components). */
const circles = (sources: readonly Source[]): string[][] => {
  const targets = new Map(sources.map(({ path, imports }) => [path, imports.map(({ to }) => to)]))
  const order = new Map<string, number>()
  const lowest = new Map<string, number>()
  const stack: string[] = []
  const found: string[][] = []
  const visit = (path: string): void => {
    order.set(path, order.size)
    lowest.set(path, order.get(path)!)
    stack.push(path)
    for (const to of targets.get(path)!.filter((name) => targets.has(name))) {
      if (!order.has(to)) visit(to)
      if (stack.includes(to)) lowest.set(path, Math.min(lowest.get(path)!, lowest.get(to)!))
    }
    if (lowest.get(path) !== order.get(path)) return
    const group = stack.splice(stack.indexOf(path))
    if (group.length > 1) found.push(group.sort())
  }
  for (const path of targets.keys()) if (!order.has(path)) visit(path)
  return found
}

const sources = readSources()

describe('imports in src', () => {
  it('are found by the scan', () => {
    expect(sources.flatMap(({ imports }) => imports).length).toBeGreaterThan(100)
    const grad = sources.find(({ path }) => path === 'tensor/grad.ts')
    expect(grad?.imports.map(({ to }) => to)).toContain('util/fault.ts')
  })

  it.each<[string, string, boolean]>([
    ['tensor', 'tensor/dim.ts', true],
    ['tensor', 'util/fault.ts', true],
    ['tensor', 'text/chat.ts', false],
    ['tensor', 'onnx/lower.ts', false],
    ['models', 'runtime/backend.ts', false],
    ['recipes', 'tensor/dim.ts', true],
    ['train', 'index.ts', false],
    ['', 'cli/main.ts', true],
    ['web', 'recipes/sft.ts', false],
  ])('from room "%s" to %s are allowed: %s', (from, to, allowed) => {
    expect(mayImport(from, { to, local: true, typeOnly: false })).toBe(allowed)
  })

  it('come from rooms that all have a floor', () => {
    const rooms = [...new Set(sources.map(({ room }) => room))]
    expect(rooms.filter((room) => floorOf(room) < 0)).toEqual([])
    expect(sources.filter(({ room }) => room === '').map(({ path }) => path)).toEqual(
      sources.some(({ path }) => path === 'index.ts') ? ['index.ts'] : [],
    )
  })

  it('go to lower floors only', () => {
    expect(offences(sources, ({ room }, imported) => imported.local && !mayImport(room, imported))).toEqual([])
  })

  it('are not circular', () => {
    expect(circles(sources)).toEqual([])
  })

  it('of onnxruntime are in the two engines only', () => {
    const found = offences(sources, ({ path }, { to }) => to.startsWith('onnxruntime') && !engines.includes(path))
    expect(found).toEqual([])
  })

  it('of Node are not in files that run in browsers', () => {
    const nodeful = ({ to, local, typeOnly }: Import) => (local ? isNodeFile(to) && !typeOnly : isNodeModule(to))
    const spawned = (to: string) => engines.includes(to)
    expect(
      offences(sources.filter(isForBrowsers), (_, imported) => nodeful(imported) && !spawned(imported.to)),
    ).toEqual([])
  })

  it('of both models and checkpoint files are in models/load*.ts only', () => {
    const others = sources.filter(
      ({ path, room, imports }) =>
        !/^models\/load\w*(\.node)?\.ts$/.test(path) &&
        floorOf(room) <= lastBrowserFloor &&
        !notForBrowsers.includes(room) &&
        (room === 'models' || imports.some(({ to, typeOnly }) => roomOf(to) === 'models' && !typeOnly)),
    )
    expect(offences(others, (_, imported) => isCheckpointFile(imported))).toEqual([])
  })

  it('of runs are not in train', () => {
    const training = sources.filter(({ room }) => room === 'train')
    expect(offences(training, (_, { to }) => roomOf(to) === 'runs')).toEqual([])
  })
})

describe('source files', () => {
  it(`have at most ${fileBudget} lines`, () => {
    const long = sources.filter(({ path, lines }) => lines.length > fileBudget && !tables.includes(path))
    expect(long.map(({ path, lines }) => `${path}: ${lines.length}`)).toEqual([])
  })

  it('name no page of docs/ in what they say: the package has none', () => {
    const says = (line: string) => /\bdocs\//.test(line.replace(/^\s*(\/?\*|\/\/).*|\s\/\/ .*$/, ''))
    expect(says("  const message = 'slow (docs/performance.md)' // why")).toBe(true)
    const found = sources.flatMap(({ path, lines }) => lines.filter(says).map((line) => `${path}: ${line.trim()}`))
    expect(found).toEqual([])
  })
})

describe('the scan for imports', () => {
  it('finds static, dynamic and worker imports and exports', () => {
    const text = `import a, { type B } from '../tensor/a.ts'
import * as ort from 'onnxruntime-node'
import type { C } from './c.ts'
import { type D, type E } from '../util/d.ts'
import {
  f,
  type G,
} from 'node:fs'
import '../data/side.ts'
export { h } from '../h.ts'
export type { I } from './i.ts'
// import { no } from './no.ts'
/* import { no } from './no.ts' */
const later = () => import('../cli/later.ts')
const worker = new URL('./worker.ts', import.meta.url)
`
    const found = findImports('train/x.ts', text).map(({ to, typeOnly }) => (typeOnly ? `type ${to}` : to))
    expect(found.sort()).toEqual(
      [
        'tensor/a.ts',
        'onnxruntime-node',
        'type train/c.ts',
        'type util/d.ts',
        'node:fs',
        'data/side.ts',
        'h.ts',
        'type train/i.ts',
        'cli/later.ts',
        'train/worker.ts',
      ].sort(),
    )
  })
})
