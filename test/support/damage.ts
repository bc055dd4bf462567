/** Ways to damage a file that a run reads again. */
import { mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Draws } from './campaign.ts'

/** @returns the damaged content, or undefined if the content would not change */
type Change = (content: Buffer, draws: Draws) => Buffer | undefined

const linesOf = (content: Buffer) => content.toString('latin1').split(/(?<=\n)/)
const joined = (lines: readonly string[]) => Buffer.from(lines.join(''), 'latin1')

const changes: Record<string, Change> = {
  empty: () => Buffer.alloc(0),
  half: (content) => content.subarray(0, content.length >> 1),
  zeros: (content) => Buffer.alloc(content.length),
  'one digit': (content, draws) => {
    const places = [...content.toString('latin1').matchAll(/\d/g)].map(({ index }) => index)
    if (!places.length) return undefined
    const at = draws.pick(places)
    const other = (Number(String.fromCharCode(content[at])) + 1 + draws.below(9)) % 10
    return Buffer.from(content.with(at, 48 + other))
  },
  'one bit': (content, draws) => {
    if (!content.length) return undefined
    const at = draws.below(content.length)
    return Buffer.from(content.with(at, content[at] ^ (1 << draws.below(8))))
  },
  'swapped lines': (content, draws) => {
    const lines = linesOf(content)
    const at = draws.below(lines.length - 1)
    return lines.length > 2 ? joined(lines.toSpliced(at, 2, lines[at + 1], lines[at])) : undefined
  },
  'a doubled line': (content, draws) => {
    const lines = linesOf(content)
    const at = draws.below(lines.length)
    return joined(lines.toSpliced(at, 0, lines[at]))
  },
  'a lost line': (content, draws) => {
    const lines = linesOf(content)
    return joined(lines.toSpliced(draws.below(lines.length), 1))
  },
  'a tail of zeros': (content) => Buffer.concat([content, Buffer.alloc(512)]),
}

/** Damage to the file itself: it is removed, or replaced by a folder, a link or a huge file. */
const placements: Record<string, (path: string) => void> = {
  missing: (path) => rmSync(path),
  'a folder': (path) => {
    rmSync(path)
    mkdirSync(path)
  },
  'a link': (path) => {
    const away = join(dirname(dirname(path)), `${basename(path)}.away`)
    writeFileSync(away, readFileSync(path))
    rmSync(path)
    symlinkSync(away, path)
  },
  'a link to nothing': (path) => {
    rmSync(path)
    symlinkSync(`${path}.nothing`, path)
  },
  'a link in a circle': (path) => {
    rmSync(path)
    symlinkSync(path, path)
  },
  // A sparse file takes no space on the disk
  huge: (path) => truncateSync(path, 600 << 20),
}

export const damages: readonly string[] = [...Object.keys(changes), ...Object.keys(placements)]

/** @returns whether the file has changed */
export const damage = (path: string, name: string, draws: Draws): boolean => {
  if (name in placements) {
    placements[name](path)
    return true
  }
  const content = readFileSync(path)
  const changed = changes[name](content, draws)
  if (changed === undefined || changed.equals(content)) return false
  writeFileSync(path, changed)
  return true
}
