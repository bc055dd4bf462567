/**
 * Reads pickles without executing them. The opcodes that torch.save writes build plain values; a global is a name on
 * the caller's exact list, or a Fault, whether or not it would be called. Nothing is imported and no attribute is read.
 * Opcodes have their names of CPython's pickletools; protocols 0 to 5.
 */
import { badInput } from '../util/fault.ts'
import { decodeUtf8 } from '../util/json.ts'
import { quoted } from '../util/quote.ts'

export type Value<T> =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Tuple<T>
  | List<T>
  | Dict<T>
  | Global<T>
  | Made<T>
export type Tuple<T> = { kind: 'tuple'; items: Value<T>[] }
export type List<T> = { kind: 'list'; items: Value<T>[] }
export type Dict<T> = { kind: 'dict'; entries: Map<Value<T>, Value<T>> }
/** The result of a persistent id or a call, made by the caller. */
export type Made<T> = { kind: 'made'; value: T }
/**
 * A name on the list. `call` does the work of a function; it returns undefined for arguments that torch does not write.
 */
export type Global<T> = { kind: 'global'; name: string; call?: (args: Value<T>[]) => Value<T> | undefined }

export type PickleRules<T> = {
  /** By `module\nname`. */
  globals: ReadonlyMap<string, Global<T>>
  /** The value of a persistent id; undefined where it is not one. */
  persistent(id: Value<T>): T | undefined
}

/** Enough for a state dict of 50,000 tensors; keeps a hostile file from filling the memory with small objects. */
const OPCODE_LIMIT = 2_000_000
/** The work that making an empty dict, list or tuple counts, by their size in memory. */
const COST = { dict: 20, list: 10, tuple: 4 }
/** Values that opcodes and calls may visit in total, since one memoized list may be passed to many calls. */
const WORK_LIMIT = 10_000_000

/**
 * The value of one pickle and where it ends. Throws Faults 'bad-pickle' and 'forbidden-global'.
 * @param base offset of `bytes` in the file, for messages
 */
export const unpickle = <T>(bytes: Uint8Array, start: number, rules: PickleRules<T>, file: string, base = 0) => {
  const machine = machineOf(bytes, start, rules, file, base)
  for (let count = 0; count < OPCODE_LIMIT; count++) {
    const code = machine.u8()
    if (code === STOP) return { value: machine.pop(), end: machine.at() }
    const run = Object.hasOwn(opcodes, code) ? opcodes[code] : undefined
    if (!run) machine.fail(`opcode 0x${code.toString(16).padStart(2, '0')} has no place in a weights file`)
    run!(machine as Machine<unknown>)
  }
  return machine.fail(`more than ${OPCODE_LIMIT} opcodes`)
}

const STOP = 0x2e

type Machine<T> = ReturnType<typeof machineOf<T>>

const machineOf = <T>(bytes: Uint8Array, start: number, rules: PickleRules<T>, file: string, base: number) => {
  let at = start
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const stack: Value<T>[] = []
  const marks: number[] = []
  const memo = new Map<number, Value<T>>()
  let work = 0
  const spend = (n: number) => {
    work += n
    if (work > WORK_LIMIT) fail(`it makes more than ${WORK_LIMIT} values`)
  }
  const fail = (what: string, code = 'bad-pickle'): never => {
    throw badInput(code, `${what}; do not trust this file, ask for safetensors`, { file, offset: base + at })
  }
  /** Moves on by n bytes; returns the position before. */
  const skip = (n: number): number => {
    if (n < 0 || n > bytes.length - at) fail(`the pickle ends before the ${n} bytes it announces`)
    at += n
    return at - n
  }
  const push = (value: Value<T>) => {
    if (typeof value === 'object' && value && 'kind' in value && value.kind in COST)
      spend(COST[value.kind as keyof typeof COST])
    stack.push(value)
  }
  const pop = (): Value<T> => (stack.length > (marks.at(-1) ?? 0) ? stack.pop()! : fail('the stack is empty'))
  const top = (): Value<T> => (stack.length > (marks.at(-1) ?? 0) ? stack.at(-1)! : fail('the stack is empty'))
  const line = (): string => {
    const end = bytes.indexOf(10, at)
    if (end < 0) fail('a line of the pickle does not end')
    return utf8(bytes.subarray(skip(end + 1 - at), end))
  }
  const utf8 = (text: Uint8Array): string => decodeUtf8(text) ?? fail('a text is not UTF-8')
  const global = (module: Value<T>, name: Value<T>): Global<T> => {
    if (typeof module !== 'string' || typeof name !== 'string') return fail('a global without a name')
    return (
      rules.globals.get(`${module}\n${name}`) ??
      fail(`the global ${quoted(`${module}.${name}`)} is forbidden: weights need no such code`, 'forbidden-global')
    )
  }
  return {
    fail,
    spend,
    push,
    pop,
    top,
    line,
    memo,
    global,
    at: () => at,
    u8: () => view.getUint8(skip(1)),
    u16: () => view.getUint16(skip(2), true),
    i32: () => view.getInt32(skip(4), true),
    u32: () => view.getUint32(skip(4), true),
    f64: () => view.getFloat64(skip(8), false),
    u64: () => Number(view.getBigUint64(skip(8), true)),
    take: (n: number) => bytes.subarray(skip(n), at),
    text: (n: number) => utf8(bytes.subarray(skip(n), at)),
    left: () => bytes.length - at,
    mark: () => void marks.push(stack.length),
    unmark: () => stack.splice(marks.pop() ?? fail('a mark is missing')),
    marked: () => marks.length > 0 && marks.at(-1) === stack.length,
    persistent: (id: Value<T>) => rules.persistent(id) ?? fail('a persistent id that names no storage'),
  }
}

type Op = (m: Machine<unknown>) => void

const tuple = (items: Value<unknown>[]): Tuple<unknown> => ({ kind: 'tuple', items })
const lastOf = (m: Machine<unknown>, n: number) => Array.from({ length: n }, m.pop).reverse()

export const isKind = <T, K extends string>(value: Value<T>, kind: K): value is Extract<Value<T>, { kind: K }> =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind

const append = (m: Machine<unknown>, items: Value<unknown>[]) => {
  const list = m.top()
  if (!isKind(list, 'list')) return m.fail('items for something that is no list')
  for (const item of items) list.items.push(item)
}

const setItems = (m: Machine<unknown>, dict: Value<unknown>, items: Value<unknown>[]) => {
  if (!isKind(dict, 'dict') || items.length % 2) return m.fail('keys for something that is no dict')
  for (let i = 0; i < items.length; i += 2) dict.entries.set(items[i], items[i + 1])
}

const dictOf = (m: Machine<unknown>, items: Value<unknown>[]): Dict<unknown> => {
  const dict: Dict<unknown> = { kind: 'dict', entries: new Map() }
  setItems(m, dict, items)
  return dict
}

/** Two's complement, least byte first. */
const long = (m: Machine<unknown>, size: number): number | bigint => {
  const bytes = m.take(size)
  if (size > 32) m.fail(`a number of ${size} bytes`)
  const value = bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  const signed = BigInt.asIntN(size * 8, value)
  return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed
}

const get = (m: Machine<unknown>, index: number) =>
  m.push(m.memo.get(index) ?? m.fail(`nothing is kept under ${index}`))
const put = (m: Machine<unknown>, index: number) => void m.memo.set(index, m.top())

const reduce: Op = (m) => {
  const [callee, args] = lastOf(m, 2)
  if (!isKind(callee, 'global') || !callee.call || !isKind(args, 'tuple'))
    return m.fail('a call of something else than a function')
  // a call may visit the items of its arguments
  for (const arg of args.items) m.spend(isKind(arg, 'tuple') || isKind(arg, 'list') ? arg.items.length : 1)
  const made = callee.call(args.items)
  m.push(made === undefined ? m.fail(`${callee.name} with other arguments than torch writes`) : made)
}

/** The state of an OrderedDict is torch's `_metadata`, which holds no weights; nothing else may have state. */
const build: Op = (m) => {
  const state = m.pop()
  if (!isKind(m.top(), 'dict') || !isKind(state, 'dict')) m.fail('state for something that has none')
}

const popOrMark: Op = (m) => void (m.marked() ? m.unmark() : m.pop())

const frame: Op = (m) => {
  const size = m.u64()
  if (size > m.left()) m.fail(`a frame of ${size} bytes goes past the end`)
}

const protocol: Op = (m) => {
  const version = m.u8()
  if (version > 5) m.fail(`protocol ${version} is unknown`)
}

/** INST names a global and calls it; torch never writes it, so it is refused after the name was checked. */
const inst: Op = (m) => {
  m.global(m.line(), m.line())
  m.fail('opcode INST has no place in a weights file')
}

const stackGlobal: Op = (m) => {
  const [module, name] = lastOf(m, 2)
  m.push(m.global(module, name))
}

const setItem: Op = (m) => {
  const items = lastOf(m, 2)
  setItems(m, m.top(), items)
}

const setMarked: Op = (m) => {
  const items = m.unmark()
  setItems(m, m.top(), items)
}

const opcodes: Record<number, Op> = {
  40: (m) => m.mark(), // MARK
  41: (m) => m.push(tuple([])), // EMPTY_TUPLE
  48: popOrMark, // POP
  49: (m) => void m.unmark(), // POP_MARK
  50: (m) => m.push(m.top()), // DUP
  66: (m) => m.push(m.take(m.u32())), // BINBYTES
  67: (m) => m.push(m.take(m.u8())), // SHORT_BINBYTES
  71: (m) => m.push(m.f64()), // BINFLOAT
  74: (m) => m.push(m.i32()), // BININT
  75: (m) => m.push(m.u8()), // BININT1
  77: (m) => m.push(m.u16()), // BININT2
  78: (m) => m.push(null), // NONE
  81: (m) => m.push({ kind: 'made', value: m.persistent(m.pop()) }), // BINPERSID
  82: reduce, // REDUCE
  84: (m) => m.push(m.text(m.u32())), // BINSTRING
  85: (m) => m.push(m.text(m.u8())), // SHORT_BINSTRING
  88: (m) => m.push(m.text(m.u32())), // BINUNICODE
  93: (m) => m.push({ kind: 'list', items: [] }), // EMPTY_LIST
  97: (m) => append(m, [m.pop()]), // APPEND
  98: build, // BUILD
  99: (m) => m.push(m.global(m.line(), m.line())), // GLOBAL
  100: (m) => m.push(dictOf(m, m.unmark())), // DICT
  101: (m) => append(m, m.unmark()), // APPENDS
  104: (m) => get(m, m.u8()), // BINGET
  105: inst, // INST
  106: (m) => get(m, m.u32()), // LONG_BINGET
  108: (m) => m.push({ kind: 'list', items: m.unmark() }), // LIST
  113: (m) => put(m, m.u8()), // BINPUT
  114: (m) => put(m, m.u32()), // LONG_BINPUT
  115: setItem, // SETITEM
  116: (m) => m.push(tuple(m.unmark())), // TUPLE
  117: setMarked, // SETITEMS
  125: (m) => m.push({ kind: 'dict', entries: new Map() }), // EMPTY_DICT
  128: protocol, // PROTO
  133: (m) => m.push(tuple(lastOf(m, 1))), // TUPLE1
  134: (m) => m.push(tuple(lastOf(m, 2))), // TUPLE2
  135: (m) => m.push(tuple(lastOf(m, 3))), // TUPLE3
  136: (m) => m.push(true), // NEWTRUE
  137: (m) => m.push(false), // NEWFALSE
  138: (m) => m.push(long(m, m.u8())), // LONG1
  139: (m) => m.push(long(m, m.i32())), // LONG4
  140: (m) => m.push(m.text(m.u8())), // SHORT_BINUNICODE
  141: (m) => m.push(m.text(m.u64())), // BINUNICODE8
  142: (m) => m.push(m.take(m.u64())), // BINBYTES8
  147: stackGlobal, // STACK_GLOBAL
  148: (m) => put(m, m.memo.size), // MEMOIZE
  149: frame, // FRAME
}
