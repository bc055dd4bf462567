/** The command line inside the process of a test. */
import { afterAll, afterEach, beforeAll, vi } from 'vitest'
import { main } from '../../src/cli/main.ts'
import { errorOf } from './runs.ts'

/** @param cache the folder of the cache @returns runs a command, and what it came to */
export const commandLine = (cache: string) => {
  beforeAll(() => {
    vi.stubEnv('ATTUNE_CACHE', cache)
    // Each call of main() adds listeners to both
    process.stdout.setMaxListeners(100)
    process.stderr.setMaxListeners(100)
  })
  afterEach(() => void (process.exitCode = undefined))
  afterAll(() => void vi.unstubAllEnvs())
  return async (argv: readonly string[]) => {
    const written: string[] = []
    const keep = (text: unknown) => {
      written.push(String(text))
      return true
    }
    const spies = [process.stderr, process.stdout].map((stream) =>
      vi.spyOn(stream, 'write').mockImplementation(keep as never),
    )
    await main(argv).finally(() => {
      for (const spy of spies) spy.mockRestore()
    })
    return { code: process.exitCode, errors: errorOf({ stderr: written.join('') }) }
  }
}
