import { statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { configDefaults, defineConfig } from 'vitest/config'

// What replaces a module, or weighs the heap, has a process of its own; all others share two, and what they have loaded.
const alone = [
  'src/train/loop.test.ts',
  'src/train/rangeTest.test.ts',
  'src/data/openRows.test.ts',
  'test/parity/jinjaLibrary.test.ts',
]
const shared = ['src/**/*.test.ts', 'test/**/*.test.ts']

// Some tests import onnxruntime themselves, and inherit this; test/sendsNothing.test.ts starts processes without it.
process.env.ORT_DISABLE_TELEMETRY = '1'

// Tests write much that nobody reads again: into memory, where there is room for it, rather than onto a disk.
const memory = '/dev/shm'
const roomOf = (path: string) => {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch {
    return 0
  }
}
if (tmpdir() === '/tmp' && roomOf(memory) > 4e9) process.env.TMPDIR = memory

// Engine tests use both cores themselves, so files run two at a time at most.
export default defineConfig({
  test: {
    testTimeout: 60_000,
    maxWorkers: 3,
    pool: 'forks',
    projects: [
      { extends: true, test: { name: 'alone', include: alone } },
      {
        extends: true,
        test: { name: 'shared', include: shared, exclude: [...configDefaults.exclude, ...alone], isolate: false },
      },
    ],
  },
})
