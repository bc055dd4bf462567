/** Finds the reports below a folder: HTML files that say, as attune's pages do, that they load nothing. */
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isLookedInto } from '../lookedInto.ts'
import type { ReportRow } from './api.ts'

const depth = 6
const mostFolders = 20_000
const mostReports = 2000
/** A page's title stands in its first so many bytes. */
const headBytes = 2048
const marker = `content="default-src 'none'; style-src 'unsafe-inline'`

/** Files of numbers, by the kind of report that they lie beside; compare and bias share a name. */
const kinds: readonly [numbers: string, kind: string][] = [
  ['cartpole.json', 'cartpole'],
  ['demo.json', 'demo'],
  ['sweep.json', 'scaling'],
  ['critique.json', 'critique'],
  ['preferences.json', 'critique'],
]

/** @param root a real path. Links are not followed. */
export const reportsBelow = async (root: string): Promise<ReportRow[]> => {
  const found: ReportRow[] = []
  let level = ['']
  let seen = 0
  for (let at = 0; at <= depth && level.length > 0; at++) {
    const next: string[] = []
    for (const folder of level) {
      if (seen++ >= mostFolders || found.length >= mostReports) break
      const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => [])
      const names = new Set(entries.flatMap((entry) => (entry.isFile() ? [entry.name] : [])))
      for (const entry of entries) {
        const path = folder ? `${folder}/${entry.name}` : entry.name
        if (entry.isDirectory() && isLookedInto(entry.name) && !/^(?:checkpoints|rollouts)$/.test(entry.name))
          next.push(path)
        else if (entry.isFile() && /\.html$/i.test(entry.name)) found.push(...(await reportIn(root, path, names)))
      }
    }
    level = next
  }
  return found.sort((a, b) => b.changed.localeCompare(a.changed))
}

/** @param names of the files beside it   @returns none where the file is not attune's */
const reportIn = async (root: string, path: string, names: ReadonlySet<string>): Promise<ReportRow[]> => {
  const file = join(root, path)
  const head = await headOf(file)
  const title = /<title>([^<]*)<\/title>/.exec(head)?.[1]
  if (title === undefined || !head.includes(marker)) return []
  const info = await stat(file)
  const folder = path.slice(0, path.lastIndexOf('/') + 1)
  const isMain = /(?:^|\/)report\.html$/.test(path)
  const numbers = isMain ? ['findings.json', ...kinds.map(([name]) => name)].find((name) => names.has(name)) : undefined
  return [
    {
      ...{ path, title: unescaped(title), kind: kindOf(path, title, names, numbers) },
      ...{ changed: info.mtime.toISOString(), bytes: info.size },
      ...(numbers !== undefined && { numbers: folder + numbers }),
    },
  ]
}

const kindOf = (path: string, title: string, names: ReadonlySet<string>, numbers: string | undefined): string => {
  const name = path.slice(path.lastIndexOf('/') + 1)
  if (name === 'selfreward.html') return 'self-rewarding'
  if (name === 'calibration.html') return 'calibration'
  if (title.startsWith('Credit: ')) return 'credit'
  if (name === 'report.html' && names.has('run.json')) return 'run'
  const command = /^attune (check|compare|scaling|cartpole|demo|critique)\b/.exec(title)?.[1]
  if (command !== undefined) return command
  const known = kinds.find(([file]) => file === numbers)?.[1]
  return known ?? (numbers === 'findings.json' || /be believed/.test(title) ? 'bias' : 'report')
}

const headOf = async (path: string): Promise<string> => {
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return ''
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Titles are escaped with numbers. */
const unescaped = (text: string): string =>
  text.replace(/&#(\d{1,7});/g, (whole, code) => {
    const point = Number(code)
    return point > 0 && point <= 0x10ffff ? String.fromCodePoint(point) : whole
  })
