import { configDefaults, defineConfig } from 'vitest/config'

// What replaces a module, or weighs the heap, has a process of its own; all others share two, and what they have loaded.
const alone = ['src/train/loop.test.ts', 'src/data/openRows.test.ts', 'test/parity/jinjaLibrary.test.ts']
const shared = ['src/**/*.test.ts', 'test/**/*.test.ts']

// Some tests import onnxruntime themselves, and inherit this; test/sendsNothing.test.ts starts processes without it.
process.env.ORT_DISABLE_TELEMETRY = '1'

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
