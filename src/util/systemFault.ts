/**
 * Errors of the operating system (a file, a disk, a limit, memory) as Faults, since they are no defects of attune. Code that
 * knows more about the operation, such as `diskFault` and the readers, makes a Fault with better advice first.
 */
import { badInput, type Fault, runFailure } from './fault.ts'

/** Errors of a path that the user gave: bad input. All other errors are failures at run time. */
const paths: Record<string, string> = {
  ENOENT: 'is not there',
  ENOTDIR: 'has a file where a folder must be',
  EISDIR: 'is a folder',
  EACCES: 'may not be opened (permission denied)',
  EPERM: 'may not be opened (not permitted)',
  ENAMETOOLONG: 'is longer than a name of this file system may be',
  ELOOP: 'is a link in a circle',
}

const limits: Record<string, string> = {
  EMFILE: 'too many files are open; raise the limit (ulimit -n)',
  ENFILE: 'too many files are open on this machine',
  EFBIG: 'the file would be larger than the limit of this process or file system (ulimit -f)',
  ENOMEM: 'there is not enough memory',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EIO: 'the disk reported an error',
  EROFS: 'the file system is read-only',
}

/** Messages of Node for memory that cannot be allocated. */
const memory =
  /^(Array buffer allocation failed|Invalid string length|Invalid (typed )?array length|.*heap out of memory)/

/** @returns undefined for errors that the system did not cause */
export const systemFault = (error: unknown): Fault | undefined => {
  if (!(error instanceof Error) || error.name === 'Fault') return undefined
  const { code, syscall, path } = error as NodeJS.ErrnoException
  const where = path === undefined ? {} : { file: path }
  if (code === 'ERR_INVALID_ARG_VALUE' && error.message.includes('null bytes'))
    return badInput('no-file', 'a path holds a NUL character; no file has such a name')
  if (code && syscall !== undefined) {
    if (Object.hasOwn(paths, code)) return badInput('no-file', paths[code], where)
    return runFailure('system', `${limits[code] ?? `the system refuses ${syscall}`} (${code})`, where)
  }
  if (error instanceof RangeError && (memory.test(error.message) || code === 'ERR_STRING_TOO_LONG'))
    return runFailure('memory', `there is not enough memory (${error.message})`)
  if (code === 'ERR_FS_FILE_TOO_LARGE' || code === 'ERR_STRING_TOO_LONG' || code === 'ERR_BUFFER_TOO_LARGE')
    return runFailure('memory', error.message)
  return undefined
}
