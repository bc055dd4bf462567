/** Completions of the prompts of sums by a model that a lab has trained. */
import { encodePrompt } from '../data/examples.ts'
import { completions } from '../generate/completions.ts'
import { endIds, generate } from '../generate/generate.ts'
import { openModel } from '../passes/open.node.ts'
import type { ProgressEvent } from '../runs/events.ts'
import { assert } from '../util/fault.ts'

type CompletePromptsOptions = {
  /** The folder of a model or of a run. */
  model: string
  threads?: number
  seed: number
  /** How many completions of each prompt to sample, at temperature 1. By default one, decoded greedily. */
  samples?: number
  signal: AbortSignal
}

/** Most tokens of a completion: no correct sum needs more. */
export const maxNewTokens = 6
const batchSize = 256

/** @returns [prompts][samples] the completions. Throws the signal's reason when it aborts. */
export async function* completePrompts(
  prompts: readonly string[],
  { model: name, threads, seed, samples = 0, signal }: CompletePromptsOptions,
): AsyncGenerator<ProgressEvent, string[][]> {
  const texts: string[][] = prompts.map(() => [])
  const { model, tokenizer, generationConfig, close } = await openModel({ model: name, threads })
  try {
    assert(tokenizer, 'a model of the labs has a tokenizer')
    const eosIds = endIds(model.config.raw, generationConfig, tokenizer.eosId)
    const ids = prompts.map((prompt) => encodePrompt(tokenizer, prompt))
    const sampling = samples ? { temperature: 1, samples } : { temperature: 0 }
    const pieces = generate(model, tokenizer, ids, { ...sampling, maxNewTokens, batchSize, seed, eosIds })
    const total = prompts.length * (samples || 1)
    let done = 0
    for await (const { row, sample, text } of completions(pieces)) {
      signal.throwIfAborted()
      texts[row][sample] = text
      yield { event: 'progress', phase: 'generate', done: ++done, total }
    }
    return texts
  } finally {
    await close()
  }
}
