/** Asking a model questions, many at once. */

import { encodePrompt } from '../../data/examples.ts'
import { completions, endIds, generate } from '../../generate/generate.ts'
import { openModel } from '../../passes/open.node.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { assert } from '../../util/fault.ts'

type AskOptions = {
  /** A folder or a run. */
  model: string
  threads?: number
  seed: number
  /** Answers to each, at temperature 1; undefined asks for the likeliest one. */
  samples?: number
  signal: AbortSignal
}

/** Longer answers are none to a sum. */
export const longestAnswer = 6
const batchSize = 256

/** @returns the answers to each question, in order. Throws the signal's reason when it aborts. */
export async function* ask(
  questions: readonly string[],
  { model: name, threads, seed, samples = 0, signal }: AskOptions,
): AsyncGenerator<ProgressEvent, string[][]> {
  const answers: string[][] = questions.map(() => [])
  const { model, tokenizer, generationConfig, close } = await openModel({ model: name, threads })
  try {
    assert(tokenizer, 'a model of the labs has a tokenizer')
    const eosIds = endIds(model.config.raw, generationConfig, tokenizer.eosId)
    const ids = questions.map((question) => encodePrompt(tokenizer, question))
    const sampling = samples ? { temperature: 1, samples } : { temperature: 0 }
    const pieces = generate(model, tokenizer, ids, {
      ...sampling,
      maxNewTokens: longestAnswer,
      batchSize,
      seed,
      eosIds,
    })
    const total = questions.length * (samples || 1)
    let done = 0
    for await (const { row, sample, text } of completions(pieces)) {
      signal.throwIfAborted()
      answers[row][sample] = text
      yield { event: 'progress', phase: 'generate', done: ++done, total }
    }
    return answers
  } finally {
    await close()
  }
}
