import { defineConfig } from 'vitest/config'

process.env.ORT_DISABLE_TELEMETRY = '1'

// Each campaign takes minutes to hours and is run by name: npm run kill, npm run disk, npm run soak.
export default defineConfig({
  test: { include: ['test/campaigns/*.campaign.ts'], testTimeout: 24 * 3_600_000, maxWorkers: 1, pool: 'forks' },
})
