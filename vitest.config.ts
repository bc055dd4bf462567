import { defineConfig } from 'vitest/config'

// Engine tests use both cores themselves, so files run two at a time at most.
export default defineConfig({
  test: { include: ['src/**/*.test.ts', 'test/**/*.test.ts'], testTimeout: 60_000, maxWorkers: 2, pool: 'forks' },
})
