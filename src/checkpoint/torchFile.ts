/**
 * Reads files of torch.save (`.bin`, `.pt`) that hold a state dict, in the zip layout (torch 1.6 and newer) or the
 * legacy layout of five pickles followed by the storages. Nothing is executed; all globals that a file may name are
 * listed below. Layouts: torch/serialization.py, `_save` and `_legacy_save`.
 */
import type { ByteSource } from '../util/bytes.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { type Global, isKind, type Made, type PickleRules, unpickle, type Value } from './pickle.ts'
import { refusePointer } from './safetensors.ts'
import { type Dtype, dtypeBytes, type TensorFile } from './stored.ts'
import { RANK_LIMIT, type Storage, type View, viewTensor } from './strided.ts'
import { type ZipEntry, zipEntries, zipRange } from './zip.ts'

type Item = Storage | View
type Args = Value<Item>[]

const PICKLE_LIMIT = 32 << 20
/** More storages than any file has; each is looked up in the file. */
const STORAGE_LIMIT = 100_000
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn

/**
 * Opens a torch file that holds a state dict; tensors are read, and made contiguous, when asked for.
 * Faults: forbidden-global (named), bad-pickle, not-a-state-dict, bad-tensor, bad-zip, lfs-pointer.
 */
export const openTorch = async (source: ByteSource): Promise<TensorFile> => {
  const head = await source.read(0, Math.min(8, source.size))
  refusePointer(head, source.name)
  const { state, places } = head[0] === 0x50 && head[1] === 0x4b ? await readZip(source) : await readLegacy(source)
  const views = stateDict(state, source.name)
  const tensor = ([name, view]: [string, View]) =>
    [name, viewTensor(source, name, view, places.get(view.storage.key)!)] as const
  return { metadata: new Map(), tensors: new Map([...views].map(tensor)) }
}

// ---- the two layouts: the state, and the byte offset of each storage ------------------------------------------------

type Opened = { state: Value<Item>; places: Map<string, number> }

const readZip = async (source: ByteSource): Promise<Opened> => {
  const entries = await zipEntries(source)
  const pickles = [...entries.values()].filter(({ name }) => /^[^/]*\/data\.pkl$/.test(name))
  if (pickles.length !== 1)
    throw badInput('bad-zip', `${pickles.length} entries called data.pkl, where torch.save writes one`, {
      file: source.name,
    })
  const folder = pickles[0].name.slice(0, -'data.pkl'.length)
  await refuseBigEndian(source, entries.get(`${folder}byteorder`))
  const { rules, storages } = torchRules()
  const [start, bytes] = await entryBytes(source, pickles[0])
  const state = unpickle(bytes, 0, rules, source.name, start).value
  const places = new Map<string, number>()
  for (const storage of storages.values()) {
    const entry = entries.get(`${folder}data/${storage.key}`)
    checkStorage(storage, entry?.size, source.name)
    places.set(storage.key, (await zipRange(source, entry!))[0])
  }
  return { state, places }
}

const entryBytes = async (source: ByteSource, entry: ZipEntry): Promise<[number, Uint8Array]> => {
  const [start, end] = await zipRange(source, entry)
  if (end - start > PICKLE_LIMIT)
    throw badInput('bad-zip', `${quoted(entry.name)} takes ${end - start} bytes, too many for names`, {
      file: source.name,
    })
  return [start, await source.read(start, end)]
}

const refuseBigEndian = async (source: ByteSource, entry: ZipEntry | undefined) => {
  if (!entry) return
  const [, bytes] = await entryBytes(source, entry)
  if (new TextDecoder().decode(bytes) !== 'little')
    throw badInput('bad-zip', 'was written on a big-endian machine; save it as safetensors there', {
      file: source.name,
    })
}

const checkStorage = (storage: Storage, size: number | undefined, file: string) => {
  const needed = storage.numel * dtypeBytes[storage.dtype]
  const found = size === undefined ? 'is missing' : `has ${size} bytes`
  if (size !== needed)
    throw badInput(
      'bad-tensor',
      `storage ${quoted(storage.key)} ${found}, the pickle says ${needed}; fetch the file again`,
      { file },
    )
}

/**
 * The legacy layout: magic number, protocol, facts of the machine, the state, the keys of storages; then for each
 * storage its count and elements.
 */
const readLegacy = async (source: ByteSource): Promise<Opened> => {
  const file = source.name
  const head = await source.read(0, Math.min(source.size, PICKLE_LIMIT))
  const { rules, storages } = torchRules()
  let at = 0
  const next = () => {
    const { value, end } = unpickle(head, at, rules, file)
    at = end
    return value
  }
  const fail = (what: string) => badInput('bad-pickle', `${what}; is this a file of torch.save?`, { file, offset: at })
  if (next() !== LEGACY_MAGIC) throw fail('no magic number of torch')
  if (next() !== 1001) throw fail('an unknown version of the layout')
  const facts = next()
  if (!isKind(facts, 'dict') || facts.entries.get('little_endian') !== true)
    throw fail('not written on a little-endian machine')
  const state = next()
  const keys = next()
  if (!isKind(keys, 'list')) throw fail('no list of storages')
  const places = new Map<string, number>()
  for (const key of keys.items) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined
    if (!storage || places.has(storage.key)) throw fail('the list of storages names one that no tensor uses')
    const end = await legacyStorage(source, storage, at)
    places.set(storage.key, at + 8)
    at = end
  }
  for (const storage of storages.values()) if (!places.has(storage.key)) checkStorage(storage, undefined, file)
  return { state, places }
}

/** Checks a storage, which begins with its count at `at`; returns where it ends. */
const legacyStorage = async (source: ByteSource, storage: Storage, at: number): Promise<number> => {
  const left = source.size - at - 8
  if (left < 0) checkStorage(storage, undefined, source.name)
  const head = await source.read(at, at + 8)
  const count = new DataView(head.buffer, head.byteOffset, 8).getBigInt64(0, true)
  const end = storage.numel * dtypeBytes[storage.dtype]
  if (storage.numel < 0 || count !== BigInt(storage.numel) || end > left)
    checkStorage(storage, Math.min(left, Number(count)), source.name)
  return at + 8 + end
}

// ---- what a pickle may contain ---------------------------------------------------------------------------------------

const storageTypes: Record<string, Dtype> = {
  FloatStorage: 'F32',
  DoubleStorage: 'F64',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
}

/** The rules for the pickles of one file, and the storages that they name. */
const torchRules = (): { rules: PickleRules<Item>; storages: Map<string, Storage> } => {
  const storages = new Map<string, Storage>()
  const persistent = (id: Value<Item>): Storage | undefined => {
    const storage = isKind(id, 'tuple') ? storageOf(id.items) : undefined
    const known = storage && storages.get(storage.key)
    if (known && (known.dtype !== storage.dtype || known.numel !== storage.numel)) return undefined
    if (!known && storages.size >= STORAGE_LIMIT) return undefined
    if (storage) storages.set(storage.key, known ?? storage)
    return known ?? storage
  }
  return { rules: { globals, persistent }, storages }
}

/**
 * ('storage', type, key, location, count), in the legacy layout also a view, which torch 0.4 and newer write as None.
 */
const storageOf = ([tag, type, key, location, numel, view]: Args): Storage | undefined => {
  if (tag !== 'storage' || !isKind(type, 'global') || typeof key !== 'string' || typeof location !== 'string')
    return undefined
  const dtype = Object.hasOwn(storageTypes, type.name) ? storageTypes[type.name] : undefined
  return dtype && isCount(numel) && (view ?? null) === null
    ? { kind: 'storage', dtype, key, numel: Number(numel) }
    : undefined
}

/** _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata]) */
const rebuildTensor = ([made, offset, size, stride]: Args): Made<Item> | undefined => {
  if (!isKind(made, 'made') || made.value.kind !== 'storage' || !isCount(offset)) return undefined
  const shape = counts(size)
  const strides = counts(stride)
  return (
    shape &&
    strides && {
      kind: 'made',
      value: { kind: 'view', storage: made.value, offset: Number(offset), shape, stride: strides },
    }
  )
}

/** Sizes or strides; undefined for a tuple of more than 64, torch's own limit. */
const counts = (value: Value<Item>): number[] | undefined =>
  isKind(value, 'tuple') && value.items.length <= RANK_LIMIT && value.items.every(isCount)
    ? value.items.map(Number)
    : undefined

/** _rebuild_parameter(tensor, requires_grad, hooks) */
const rebuildParameter = ([made]: Args): Made<Item> | undefined =>
  isKind(made, 'made') && made.value.kind === 'view' ? made : undefined

/** OrderedDict() or, from Python 2, OrderedDict([[key, value], ...]) */
const orderedDict = ([list]: Args): Value<Item> | undefined => {
  if (list === undefined) return { kind: 'dict', entries: new Map() }
  const pairs = isKind(list, 'list') ? list.items.map(pairOf) : [undefined]
  return pairs.every((pair) => pair !== undefined) ? { kind: 'dict', entries: new Map(pairs) } : undefined
}

const pairOf = (value: Value<Item>): [Value<Item>, Value<Item>] | undefined =>
  (isKind(value, 'tuple') || isKind(value, 'list')) && value.items.length === 2
    ? [value.items[0], value.items[1]]
    : undefined

const functions: Record<string, Global<Item>['call']> = {
  'collections\nOrderedDict': orderedDict,
  'torch._utils\n_rebuild_tensor': rebuildTensor,
  'torch._utils\n_rebuild_tensor_v2': rebuildTensor,
  'torch._utils\n_rebuild_parameter': rebuildParameter,
}

/** All globals that a weights file may name. */
const globals: ReadonlyMap<string, Global<Item>> = new Map([
  ...Object.entries(functions).map(([key, call]) => [key, { kind: 'global', name: key.split('\n')[1], call }] as const),
  ...Object.keys(storageTypes).map((name) => [`torch\n${name}`, { kind: 'global', name }] as const),
])

const stateDict = (state: Value<Item>, file: string): Map<string, View> => {
  const fail = (what: string) =>
    badInput('not-a-state-dict', `${what}, so this is not a dict of tensors by name`, { file })
  if (!isKind(state, 'dict')) throw fail('the file holds one value')
  const views = new Map<string, View>()
  for (const [name, item] of state.entries) {
    if (typeof name !== 'string') throw fail('a key is not a text')
    if (!isKind(item, 'made') || item.value.kind !== 'view') throw fail(`the entry ${quoted(name)} is no tensor`)
    views.set(name, item.value)
  }
  return views
}

const isCount = (value: Value<Item>): value is number | bigint => typeof value === 'bigint' || Number.isInteger(value)
