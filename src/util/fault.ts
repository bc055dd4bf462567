/** Faults: the errors that a user sees. */
import { cut, quoted, visible } from './quote.ts'

/**
 * The one error type that a user may see. A fault says what is wrong, where (file, row, flag) and what to do; the
 * command line prints its message and exits with its code: 2 for bad input, 1 for a failure while running.
 * Anything else that is thrown is a defect of attune.
 */
export class Fault extends Error {
  /** Always 'Fault'. */
  override readonly name = 'Fault'
  /** A short stable word for programs: 'bad-file', 'bad-row', 'bad-flag', 'not-finite', 'no-space', ... */
  readonly code: string
  /** What the command line exits with: 2 for bad input, 1 for a failure while running. */
  readonly exitCode: 1 | 2
  /** File, row, line, column or flag, as far as they are known. */
  readonly where: Where
  /** More about it, one line each, where one line is too little. */
  readonly details: readonly string[]

  constructor(code: string, message: string, where: Where = {}, exitCode: 1 | 2 = 2, details: readonly string[] = []) {
    super(cut(visible(prefix(where) + message), 1900))
    this.code = code
    this.where = where
    this.exitCode = exitCode
    this.details = details.map((line) => cut(visible(line), 300))
  }
}

/** Where a fault is: rows count records from 0, lines count physical lines from 1, offset counts bytes. */
export type Where = { file?: string; line?: number; row?: number; column?: string; offset?: number; flag?: string }

const prefix = ({ file, line, row, column, offset, flag }: Where): string => {
  const place = [
    file === undefined ? undefined : shortened(file),
    line !== undefined && `line ${line}`,
    row !== undefined && `row ${row}`,
    column !== undefined && `column ${quoted(column)}`,
    offset !== undefined && `byte ${offset}`,
    flag,
  ].filter(Boolean)
  return place.length ? `${place.join(', ')}: ` : ''
}

/** A path as long as a file system allows, but no longer than one reads. */
const shortened = (file: string) => (file.length > 300 ? `${file.slice(0, 80)}…${file.slice(-200)}` : file)

/** Bad input: exit code 2. */
export const badInput = (code: string, message: string, where?: Where, details?: readonly string[]) =>
  new Fault(code, message, where, 2, details)

/** A failure at run time: exit code 1. */
export const runFailure = (code: string, message: string, where?: Where) => new Fault(code, message, where, 1)

/** The same fault with something more to say at its end. */
export const withNote = ({ code, message, where, exitCode, details }: Fault, note: string): Fault =>
  new Fault(code, message.slice(visible(prefix(where)).length) + note, where, exitCode, details)

/**
 * Runs work on something that stands at a place: a Fault gets the place, unless it names a row already, or is about a flag
 * or another file.
 */
export const atPlace = <T>(where: Where, work: () => T): T => {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof Fault) || error.where.row !== undefined || error.where.file || error.where.flag) throw error
    throw new Fault(error.code, error.message, where, error.exitCode, error.details)
  }
}

/** A broken promise inside attune (not the user's doing). */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`attune: ${message}`)
}
