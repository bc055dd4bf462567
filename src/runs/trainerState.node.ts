/**
 * Reads `trainer_state.json`, the log that transformers' Trainer and TRL keep in each checkpoint and write beside the model
 * at the end. Its `log_history` is the whole run up to there.
 */
import { z } from 'zod'
import { badInput } from '../util/fault.ts'
import { textFile } from '../util/files.node.ts'
import { jsonOf } from '../util/json.ts'
import type { Curves } from './curves.ts'

const schema = z.object({
  global_step: z.number().optional(),
  max_steps: z.number().optional(),
  log_history: z.array(z.record(z.string(), z.unknown())),
})

export type TrainerState = { curves: Curves; steps: number; totalSteps?: number }

/** Throws Faults 'no-file', 'bad-file', 'bad-json'. */
export const readTrainerState = async (path: string): Promise<TrainerState> => {
  const parsed = schema.safeParse(jsonOf(withoutNaN(await textFile(path)), { file: path }))
  if (!parsed.success)
    throw badInput('bad-file', 'is no trainer_state.json: it has no list log_history', { file: path })
  const { global_step, max_steps, log_history } = parsed.data
  const curves = new Map<string, [number, number][]>()
  let last = 0
  for (const { step, ...metrics } of log_history) {
    if (typeof step !== 'number') continue
    last = Math.max(last, step)
    for (const [name, value] of Object.entries(metrics)) {
      if (typeof value !== 'number') continue
      if (!curves.has(name)) curves.set(name, [])
      curves.get(name)!.push([step, value])
    }
  }
  return {
    curves,
    steps: global_step ?? last,
    ...(max_steps !== undefined && max_steps > 0 && { totalSteps: max_steps }),
  }
}

/** Python writes numbers that JSON has no word for; each is read as null. */
const withoutNaN = (text: string): string => {
  if (!/NaN|Infinity/.test(text)) return text
  let plain = ''
  let from = 0
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (char === '"') {
      for (at++; at < text.length && text[at] !== '"'; at++) if (text[at] === '\\') at++
      continue
    }
    const word = wordsOfPython.find((known) => text.startsWith(known, at))
    if (word === undefined) continue
    plain += `${text.slice(from, at)}null`
    from = at + word.length
    at = from - 1
  }
  return plain + text.slice(from)
}

const wordsOfPython = ['NaN', 'Infinity', '-Infinity']
