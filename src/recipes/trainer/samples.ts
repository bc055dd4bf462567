/**
 * Samples for the page of a run: what the model wrote to a few prompts before its first step, and what the result writes to the
 * same. The prompts are of held-out rows, or else of the first rows; completions are greedy and short. They lie in a file of
 * their own, so a resumed run does not make them again, and no random number depends on them; the log only has a warning where
 * they go round in circles.
 */
import { join } from 'node:path'
import { z } from 'zod'
import { asPrompts } from '../../data/convert.ts'
import { encodePrompt } from '../../data/examples.ts'
import { promptText } from '../../data/prompts.ts'
import type { Row } from '../../data/rows.ts'
import type { RowSource } from '../../data/source.ts'
import { memoryLines, sampleCompletions } from '../../generate/completionSampler.ts'
import { openScheduler } from '../../generate/scheduler.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { ProgressEvent, WarningEvent } from '../../runs/events.ts'
import type { Run } from '../../runs/run.node.ts'
import { Fault } from '../../util/fault.ts'
import { writeWhole } from '../../util/files.node.ts'
import { plural } from '../../util/format.ts'
import { readSealed, sealedFile } from '../../util/sealed.node.ts'
import type { Policy } from './policy.ts'

const samplesSchema = z.object({
  samples: z.array(z.object({ prompt: z.string(), before: z.string(), after: z.string().optional() })),
  /** Why there are none. */
  none: z.string().optional(),
})
export type Samples = z.infer<typeof samplesSchema>

/** In the run's folder. */
export const samplesFile = 'samples.json'

/** Undefined where a run has no such file, or a damaged one. */
export const readSamples = async (dir: string): Promise<Samples | undefined> =>
  samplesSchema.safeParse(await readSealed(join(dir, samplesFile))).data

export type SampleOptions = {
  run: Run
  policy: Policy
  tokenization: Tokenization
  /** Held-out rows where there are any, else those that are trained on. */
  rows: RowSource<Row>
  signal: AbortSignal
}

const promptCount = 4
/** Tokens of a completion, at most. */
export const longestSample = 48
/** Longer prompts are passed over: reading them would take longer than writing the completion. */
const longestPrompt = 512
/** Rows that are looked through for such prompts, at most. */
const lookedThrough = 64
/** Of a text without a prompt the first so many tokens are one. */
const textBeginning = 12

/** Before the first step. Nothing where it is done, which it is where a killed run begins anew. */
export const sampleBefore = (options: SampleOptions) => harmless(before(options))

/** With the weights of the result. Nothing where there are no samples of before, as in runs of earlier versions. */
export const sampleAfter = (options: SampleOptions) => harmless(after(options))

/** Samples are worth a warning, and no run. */
async function* harmless(
  work: AsyncGenerator<ProgressEvent | WarningEvent, void>,
): AsyncGenerator<ProgressEvent | WarningEvent, void> {
  try {
    yield* work
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    yield { event: 'warning', code: 'no-samples', message: `no samples for the page of the run: ${error.message}` }
  }
}

async function* before(options: SampleOptions): AsyncGenerator<ProgressEvent, void> {
  if (await readSamples(options.run.dir)) return
  const prompts = await samplePrompts(options)
  if (typeof prompts === 'string') return writeSamples(options, { samples: [], none: prompts })
  const completions = yield* complete(options, prompts)
  if (!completions) return
  await writeSamples(options, { samples: prompts.map(({ text }, i) => ({ prompt: text, before: completions[i] })) })
}

async function* after(options: SampleOptions): AsyncGenerator<ProgressEvent | WarningEvent, void> {
  const { samples = [] } = (await readSamples(options.run.dir)) ?? {}
  const prompts = samples.length ? await samplePrompts(options) : []
  if (typeof prompts === 'string' || prompts.length !== samples.length || prompts.length === 0) return
  const completions = yield* complete(options, prompts)
  if (!completions) return
  await writeSamples(options, { samples: samples.map((sample, i) => ({ ...sample, after: completions[i] })) })
  const loop = loopsText(
    samples.map(({ before }) => before),
    completions,
  )
  if (loop) yield { event: 'warning', code: 'samples-loop', message: loop }
}

/** Half of the samples or more, and more than before the training, repeat themselves until they are cut off. */
export const loopsText = (before: readonly string[], after: readonly string[]): string | undefined => {
  const loops = after.filter(isLoop).length
  if (2 * loops < after.length || loops <= before.filter(isLoop).length) return undefined
  return `${loops} of ${plural(after.length, 'sample')} on the page of the run repeat themselves until they are cut off: they take the likeliest token each time (--temperature 0), which leads small models into loops. Ask the model at --temperature 0.7 as well; if it repeats itself there too, give it more rows, or rows that are less alike`
}

/** At the end of a text that was cut off, the same characters four times or more in a row. */
const isLoop = (text: string): boolean => {
  if (!text.endsWith('…')) return false
  const shown = text.slice(0, -1)
  for (let period = 1; period <= shown.length / 4; period++) {
    let at = shown.length - 1
    while (at >= period && shown[at] === shown[at - period]) at--
    if (shown.length - 1 - at >= Math.max(3 * period, shortestLoop - period)) return true
  }
  return false
}

/** In characters: "....." may be meant. */
const shortestLoop = 24

const writeSamples = ({ run }: SampleOptions, samples: Samples) => {
  const path = join(run.dir, samplesFile)
  return writeWhole(path, sealedFile(path, samples, 2))
}

type SamplePrompt = { text: string; ids: number[] }

/** The first different prompts that are short enough, or why there are none. */
const samplePrompts = async ({ tokenization, rows }: SampleOptions): Promise<SamplePrompt[] | string> => {
  if (!tokenization.tokenizer) return 'the model has no tokenizer, so there is no text to show'
  const found = new Map<string, SamplePrompt>()
  for (let i = 0; i < Math.min(rows.length, lookedThrough) && found.size < promptCount; i++) {
    const prompt = samplePrompt(tokenization, await rows.row(i))
    if (prompt) found.set(prompt.text, prompt)
  }
  return found.size ? [...found.values()] : `none of the first rows has a prompt of at most ${longestPrompt} tokens`
}

const samplePrompt = (tokenization: Tokenization, row: Row): SamplePrompt | undefined => {
  const { encoder, limits, tokenizer, vocabulary } = tokenization
  try {
    const [{ prompt, template }] = asPrompts(row)
    const whole = encodePrompt(encoder, prompt, template)
    const ids = row.kind === 'text' ? whole.slice(0, Math.min(textBeginning, whole.length >> 1)) : whole
    const longest = Math.min(longestPrompt, limits.maxPromptLength ?? longestPrompt, limits.maxLength - 1)
    if (ids.length === 0 || ids.length > longest || ids.some((id) => id >= vocabulary)) return undefined
    const text =
      row.kind === 'text' ? tokenizer!.decode(ids, { skipSpecialTokens: true }) : promptText(tokenization, prompt)
    return { text, ids }
  } catch (error) {
    // A template may refuse a conversation without its answer
    if (error instanceof Fault) return undefined
    throw error
  }
}

/** @returns a text for each prompt, ending in an ellipsis where it was cut off; undefined after an abort */
async function* complete(
  { policy, tokenization, signal }: SampleOptions,
  prompts: readonly SamplePrompt[],
): AsyncGenerator<ProgressEvent, string[] | undefined> {
  const total = prompts.length
  yield { event: 'progress', phase: 'generate', done: 0, total }
  const scheduler = openScheduler(policy.model, tokenization.tokenizer, { batchSize: total })
  const lines = memoryLines<{ text: string }>(total)
  try {
    yield* sampleCompletions(
      {
        scheduler,
        tokenization: { ...tokenization, limits: { maxLength: Number.POSITIVE_INFINITY } },
        settings: { temperature: 0, maxNewTokens: longestSample, seed: 0 },
        samples: 1,
        prompts: { length: total, ids: (i) => prompts[i].ids },
        line: (made) => ({ text: 'dropped' in made ? '' : `${made.text}${made.finishReason === 'length' ? '…' : ''}` }),
        signal,
        stopAtOnce: true,
      },
      lines,
    )
  } finally {
    await scheduler.close()
  }
  if (lines.length < total) return undefined
  return Promise.all(prompts.map(async (_, i) => (await lines.read(i)).text))
}
