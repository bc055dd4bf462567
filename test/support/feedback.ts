/** Published votes and figures: copies in test/fixtures/feedback, and what may not be copied where a checkout stands beside it. */
import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { fixture } from './golden.ts'

/** A file of test/fixtures/feedback. */
export const feedbackFile = (name: string) => fixture(`feedback/${name}`)

const text = (path: string) => {
  const bytes = readFileSync(path)
  return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString()
}

export const feedbackJson = (name: string) => JSON.parse(text(feedbackFile(name)))

// biome-ignore lint/suspicious/noExplicitAny: rows of many kinds
export const jsonRows = (path: string): any[] =>
  text(path)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

/**
 * The path of a folder of goldens that stand beside the repository and may not be part of it, as AlpacaEval's (CC BY-NC 4.0);
 * undefined where they are not there.
 */
export const sharedGolden = (name: string): string | undefined => {
  const path = new URL(`../../../shared/golden/${name}`, import.meta.url).pathname
  return existsSync(path) ? path : undefined
}
