/**
 * A few steps of a training command, for what they cost: run as a process of its own in a folder that is removed, so that its
 * memory is that of the run alone, and running out of it ends nothing else.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export type Trial = {
  /** Of each step. */
  steps: { seconds: number; tokens: number }[]
  /** Seconds before the first step, without the reference model's. */
  setup: number
  /** Batches that the reference model read before the first step, and the seconds between the first and the last of them. */
  reference: { batches: number; seconds: number }
  /** Seconds after the last step: a checkpoint, the result, samples. */
  finish: number
  peakBytes: number
}
/** `refused`: the run itself would not begin. */
export type FailedTrial = { failed: string; refused: boolean }

/** @param settings of the method, all of them   @returns undefined after an abort */
export const trialRun = async (
  method: string,
  settings: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<Trial | FailedTrial | undefined> => {
  const dir = await mkdtemp(join(tmpdir(), 'attune-trial-'))
  try {
    const file = join(dir, 'settings.yaml')
    // JSON is YAML
    await writeFile(file, JSON.stringify({ ...settings, output: join(dir, 'run') }))
    const cache = join(dir, 'cache')
    return await runToEnd([method, '--config', file, '--json'], cache, signal)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

const program = fileURLToPath(new URL('../../bin/attune.js', import.meta.url))

/** Characters of what a failed trial wrote. */
const keptCharacters = 4000

type Line = { event: string } & Readonly<Record<string, unknown>>

/** @param cache of its own: values of the reference model that are there already would take no time */
const runToEnd = (args: readonly string[], cache: string, signal: AbortSignal) =>
  new Promise<Trial | FailedTrial | undefined>((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ATTUNE_CACHE: cache },
      signal,
      killSignal: 'SIGKILL',
    })
    const watch = makeStopwatch()
    let said = ''
    child.stderr.on('data', (text) => {
      said = (said + text).slice(-keptCharacters)
    })
    createInterface({ input: child.stdout }).on('line', (line) => watch.note(JSON.parse(line)))
    child.on('error', (error) => (signal.aborted ? undefined : reject(error)))
    child.on('close', (code, killedBy) => {
      if (signal.aborted) return resolve(undefined)
      resolve(watch.trial() ?? failureOf(code, killedBy, said))
    })
  })

const failureOf = (code: number | null, killedBy: string | null, said: string): FailedTrial => {
  if (killedBy) return { failed: `the system ended it (${killedBy}), as it does where memory runs out`, refused: false }
  const message = /^error: (.*)$/m.exec(said)?.[1] ?? `it ended with exit code ${code}`
  return { failed: message, refused: code === 2 }
}

/** Measures by when the lines of a run come. */
const makeStopwatch = () => {
  const began = performance.now()
  const seconds = () => (performance.now() - began) / 1000
  const steps: Trial['steps'] = []
  const reference = { batches: 0, first: 0, last: 0, before: 0 }
  let tokens = 0
  let setup = 0
  let stepped = 0
  let end: { finish: number; peakBytes: number } | undefined
  let previous = 0
  return {
    note: (line: Line) => {
      const now = seconds()
      if (line.event === 'progress' && line.phase === 'reference') {
        if (!reference.batches++) Object.assign(reference, { first: now, before: previous })
        reference.last = now
      }
      if (line.event === 'step') {
        const took = Number(line.seconds)
        if (!steps.length) setup = now - took - (reference.last - reference.before)
        steps.push({ seconds: took, tokens: Number(line.num_tokens) - tokens })
        tokens = Number(line.num_tokens)
        stepped = now
      }
      if (line.event === 'end') end = { finish: now - stepped, peakBytes: Number(line.peak_memory) }
      previous = now
    },
    trial: (): Trial | undefined =>
      end && steps.length
        ? { steps, setup, ...end, reference: { batches: reference.batches, seconds: reference.last - reference.first } }
        : undefined,
  }
}
