/**
 * Computes what a loss of power may leave on the disk.
 * Replays the operations that diskLog.mjs logged up to a moment, and keeps only a part of what no sync made durable. Folders follow
 * the models below. A file that was written after its last sync may have its old content, its new content, a part of it, or
 * zeros in its new length.
 */
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { Draws } from './campaign.ts'

type Operation =
  | { name: 'open'; id: number; path: string; create: boolean; truncate: boolean }
  | { name: 'write'; id: number; at: number; data: Buffer }
  | { name: 'truncate'; id: number; length: number }
  | { name: 'sync'; id: number }
  | { name: 'mkdir' | 'rmdir' | 'unlink'; path: string }
  | { name: 'rename' | 'link' | 'symlink'; from: string; to: string }

/** The operations below a folder, in order. */
export type DiskLog = { root: string; operations: readonly Operation[] }

export const readDiskLog = (path: string, root: string): DiskLog => ({
  root,
  operations: readFileSync(path, 'utf8').trimEnd().split('\n').map(operationOf),
})

const operationOf = (line: string): Operation => {
  const [name, a, b, c] = JSON.parse(line)
  if (name === 'open') return { name, id: a, path: b, ...c }
  if (name === 'write') return { name, id: a, at: b, data: Buffer.from(c, 'base64') }
  if (name === 'truncate') return { name, id: a, length: b }
  if (name === 'sync') return { name, id: a }
  return b === undefined ? { name, path: a } : { name, from: a, to: b }
}

/** Files, folders and links by their path below the root. */
export type Tree = Map<string, Buffer | 'folder' | { link: string }>

/** A file, folder or link without its name. */
type Inode = {
  kind: 'file' | 'folder' | 'link'
  /** The content of a file, or the target of a link. */
  content: Buffer
  /** The content at the last sync. */
  synced?: Buffer
  /** The index of the operation that synced it last. */
  syncedAt: number
  /** The entries of a folder. */
  entries: Map<string, Inode>
}

/** A name added to a folder or removed from it. */
type Change = { folder: Inode; name: string; inode?: Inode }
/** Changes that take effect together or not at all. */
type Step = { at: number; changes: readonly Change[] }

const inodeOf = (kind: Inode['kind'], content = Buffer.alloc(0)): Inode => ({
  ...{ kind, content, syncedAt: -1, entries: new Map() },
})

type Replayed = { root: Inode; steps: Step[]; lastSync: number }

const replay = ({ root: rootPath, operations }: DiskLog, count: number): Replayed => {
  const root = inodeOf('folder')
  const steps: Step[] = []
  const handles = new Map<number, Inode>()
  let lastSync = -1
  const find = (path: string): Inode | undefined =>
    relative(rootPath, path)
      .split('/')
      .filter(Boolean)
      .reduce<Inode | undefined>((at, name) => at?.entries.get(name), root)
  const parent = (path: string) => find(dirname(path))!
  const nameOf = (path: string) => path.slice(path.lastIndexOf('/') + 1)
  const change = (at: number, ...changes: Change[]) => {
    for (const { folder, name, inode } of changes) inode ? folder.entries.set(name, inode) : folder.entries.delete(name)
    steps.push({ at, changes })
  }
  const named = (path: string, inode?: Inode): Change => ({ folder: parent(path), name: nameOf(path), inode })
  for (let at = 0; at < count; at++) {
    const op = operations[at]
    if (op.name === 'open') {
      if (!find(op.path) && op.create) change(at, named(op.path, inodeOf('file')))
      const inode = find(op.path)!
      if (op.truncate) inode.content = Buffer.alloc(0)
      handles.set(op.id, inode)
    } else if (op.name === 'write') {
      const inode = handles.get(op.id)!
      const from = op.at < 0 ? inode.content.length : op.at
      const [before, after] = [inode.content.subarray(0, from), inode.content.subarray(from + op.data.length)]
      inode.content = Buffer.concat([before, Buffer.alloc(from - before.length), op.data, after])
    } else if (op.name === 'truncate') {
      const inode = handles.get(op.id)!
      const kept = inode.content.subarray(0, op.length)
      inode.content = Buffer.concat([kept, Buffer.alloc(op.length - kept.length)])
    } else if (op.name === 'sync') {
      const inode = handles.get(op.id)!
      inode.synced = inode.content
      inode.syncedAt = lastSync = at
    } else if ('path' in op) change(at, named(op.path, op.name === 'mkdir' ? inodeOf('folder') : undefined))
    else if (op.name === 'rename') change(at, named(op.from), named(op.to, find(op.from)))
    else change(at, named(op.to, op.name === 'link' ? find(op.from) : inodeOf('link', Buffer.from(op.from))))
  }
  return { root, steps, lastSync }
}

/** The content at the last sync. A file that was never synced may be empty. */
const oldOf = ({ synced }: Inode) => synced ?? Buffer.alloc(0)

const sector = 512

/** What the disk may hold of content that was not synced. */
const remains: readonly ((inode: Inode, draws: Draws) => Buffer)[] = [
  (inode) => oldOf(inode),
  ({ content }) => content,
  (inode, draws) => {
    const sure = Math.min(oldOf(inode).length, inode.content.length)
    return inode.content.subarray(0, sure + draws.below(inode.content.length - sure + 1))
  },
  (inode) => Buffer.concat([inode.content.subarray(0, oldOf(inode).length), zerosAfter(inode)]),
  (inode, draws) => {
    const torn = Buffer.from(inode.content)
    for (let at = oldOf(inode).length; at < torn.length; at += sector)
      if (draws.below(2)) torn.fill(0, at, Math.min(torn.length, at + sector))
    return torn
  },
]

const zerosAfter = (inode: Inode) => Buffer.alloc(Math.max(0, inode.content.length - oldOf(inode).length))

type Model = {
  /** Whether a change of names is on the disk after the loss. */
  keeps(replayed: Replayed, draws: Draws): (step: Step) => boolean
  content(inode: Inode, draws: Draws): Buffer
}

const anyContent = (inode: Inode, draws: Draws) => draws.pick(remains)(inode, draws)

const foldersSynced = ({ at, changes }: Step) => changes.every(({ folder }) => folder.syncedAt > at)

/** Keeps the durable steps and a random number of the first other steps. */
const prefix = (steps: readonly Step[], durable: (step: Step) => boolean, draws: Draws) => {
  const open = steps.filter((step) => !durable(step))
  const kept = new Set(open.slice(0, draws.below(open.length + 1)))
  return (step: Step) => durable(step) || kept.has(step)
}

export const models = {
  /** Only synced data is kept, and names only if their folder was synced (POSIX; LazyFS). */
  strict: { keeps: () => foldersSynced, content: oldOf },
  /** Names change in order, and any sync makes all earlier changes durable (the journal of ext4). */
  journal: {
    keeps: ({ steps, lastSync }, draws) => prefix(steps, ({ at }) => at < lastSync, draws),
    content: anyContent,
  },
  /** All names are kept, but no data that was not synced (delayed allocation of ext4). */
  'names first': {
    keeps: () => () => true,
    content: (inode, draws) => remains[draws.pick([0, 3])](inode, draws),
  },
  /** Each folder keeps its changes independently. */
  folders: {
    keeps({ steps }, draws) {
      const folders = new Set(steps.flatMap(({ changes }) => changes.map(({ folder }) => folder)))
      const rules = new Map(
        [...folders].map((folder) => {
          const own = steps.filter(({ changes }) => changes.some((change) => change.folder === folder))
          return [folder, prefix(own, ({ at }) => at < folder.syncedAt, draws)]
        }),
      )
      return (step) => step.changes.every(({ folder }) => rules.get(folder)!(step))
    },
    content: anyContent,
  },
} as const satisfies Record<string, Model>

export type ModelName = keyof typeof models

/** The disk after the first `count` operations, as a killed process leaves it. */
export const treeAfter = (log: DiskLog, count: number): Tree => {
  const { root, steps } = replay(log, count)
  return treeOf(root, steps, ({ content }) => content)
}

/** What the disk may hold after a loss of power at that moment. */
export const treeAfterLoss = (log: DiskLog, count: number, name: ModelName, draws: Draws): Tree => {
  const replayed = replay(log, count)
  const model: Model = models[name]
  const keeps = model.keeps(replayed, draws)
  const content = (inode: Inode) => (inode.content === inode.synced ? inode.content : model.content(inode, draws))
  return treeOf(replayed.root, replayed.steps.filter(keeps), content)
}

const treeOf = (root: Inode, steps: readonly Step[], content: (inode: Inode) => Buffer): Tree => {
  const names = new Map<Inode, Map<string, Inode>>()
  const namesOf = (folder: Inode) => names.get(folder) ?? names.set(folder, new Map()).get(folder)!
  for (const { changes } of steps)
    for (const { folder, name, inode } of changes)
      inode ? namesOf(folder).set(name, inode) : namesOf(folder).delete(name)
  const tree: Tree = new Map()
  const contents = new Map<Inode, Buffer>()
  const visit = (folder: Inode, path: string) => {
    for (const [name, inode] of namesOf(folder)) {
      const at = join(path, name)
      if (inode.kind === 'link') tree.set(at, { link: inode.content.toString() })
      else if (inode.kind === 'folder') {
        tree.set(at, 'folder')
        visit(inode, at)
      } else {
        if (!contents.has(inode)) contents.set(inode, content(inode))
        tree.set(at, contents.get(inode)!)
      }
    }
  }
  visit(root, '')
  return tree
}

/** Reads a folder. */
export const readTree = (root: string): Tree => {
  const tree: Tree = new Map()
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isSymbolicLink()) tree.set(relative(root, path), { link: readlinkSync(path) })
    else tree.set(relative(root, path), entry.isDirectory() ? 'folder' : readFileSync(path))
  }
  return tree
}

/** Replaces the content of a folder. */
export const writeTree = (root: string, tree: Tree) => {
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root, { recursive: true })
  for (const [path, content] of tree) {
    if (content === 'folder') mkdirSync(join(root, path))
    else if (Buffer.isBuffer(content)) writeFileSync(join(root, path), content)
    else symlinkSync(content.link, join(root, path))
  }
}
