/**
 * New prompts by self-instruction (arXiv 2212.10560): the model sees tasks and writes further ones, which are kept if they pass
 * the filters of length, words and likeness.
 */
import { rng } from '../../util/rng.ts'
import { rougeL, rougeTokens } from '../metrics/rouge.ts'
import { filled } from './prompts.ts'

/** Tasks in the prompt: of people, and of those that the model wrote before. */
export const shotCounts = { seed: 6, generated: 2 } as const

/** Words of tasks that a model of text cannot do, as Self-Instruct has them. */
export const blockedWords = [
  'image',
  'images',
  'graph',
  'graphs',
  'picture',
  'pictures',
  'photo',
  'file',
  'files',
  'map',
  'maps',
  'draw',
  'plot',
  'chart',
  'video',
  'audio',
  'music',
  'flowchart',
  'diagram',
  'website',
  'url',
  'http',
  'https',
]

export const wordLimits = { least: 4, most: 150 } as const
/** A prompt whose ROUGE-L with another of the pool is larger is rejected. */
export const mostSimilar = 0.7

/** The tasks as the model sees them; it goes on behind the last number. @param template with the place {tasks} */
export const askForTask = (shots: readonly string[], template: string): string => {
  const tasks = shots.map((shot, i) => `Task ${i + 1}: ${shot.trim()}`)
  return filled(template, { tasks: [...tasks, `Task ${shots.length + 1}:`].join('\n') }).trimEnd()
}

const taskNumber = /(?:^|\n)[ \t]*(?:\*\*)?Task[ \t]+\d+[ \t]*[:.)](?:\*\*)?/i

/**
 * Tasks in what a model wrote, in order: each is one paragraph behind its number; the first may stand without one. Words that only
 * lead to a task ("Here is one:") are none. Where a limit cut the text, its last sentence is left out; a task of one sentence then
 * is `cut`.
 * @example tasksIn(' Name three rivers.\nTask 10: Explain tides.') // [{ task: 'Name three rivers.' }, { task: 'Explain tides.' }]
 */
export const tasksIn = (text: string, isCut = false): { task: string; cut?: true }[] => {
  const parts = text.split(taskNumber)
  return parts.flatMap((part, i) => {
    const [task, ...more] = part.trim().split(/\n[ \t]*\n/)
    if (task === '' || (i === 0 && parts.length > 1 && /:$/.test(task))) return []
    if (!isCut || i < parts.length - 1 || more.length) return [{ task: task.trim() }]
    const whole = /^.*[.?!](?=\s)/su.exec(task)?.[0]
    return [whole ? { task: whole.trim() } : { task, cut: true as const }]
  })
}

/** @returns `count` different numbers below `below`, or as many as there are, in the order in which they were drawn */
const draw = (count: number, below: number, uniform: () => number): number[] => {
  const left = Array.from({ length: below }, (_, i) => i)
  return Array.from({ length: Math.min(count, below) }, () => left.splice(Math.floor(uniform() * left.length), 1)[0])
}

/** Tasks to show for one attempt: 6 of people and 2 of the model; where it wrote fewer, more of people. Mixed. */
export const drawShots = (
  seedTasks: readonly string[],
  generated: readonly string[],
  { seed, stream, attempt }: { seed: number; stream: number; attempt: number },
): string[] => {
  const { uniform } = rng(seed, stream, attempt)
  let drawn = 0
  const next = () => uniform(drawn++)
  const own = draw(shotCounts.generated, generated.length, next).map((i) => generated[i])
  const wanted = shotCounts.seed + shotCounts.generated - own.length
  const shots = [...draw(wanted, seedTasks.length, next).map((i) => seedTasks[i]), ...own]
  return draw(shots.length, shots.length, next).map((i) => shots[i])
}

const wordCount = (text: string) => text.split(/\s+/).filter(Boolean).length

// Filters

/** Why a task is not kept. */
export type Rejection = 'cut' | 'too-short' | 'too-long' | 'blocked-word' | 'similar'
export type Verdict = { rejected?: Rejection /** The word, or the prompt that is too similar. */; because?: string }

export type PromptFilter = {
  /** Adds a prompt to the pool that later ones are held against. */
  add(prompt: string): void
  verdict(prompt: string): Verdict
}

/** @param blocked words, in any case */
export const promptFilter = (blocked: readonly string[]): PromptFilter => {
  const pool: { prompt: string; tokens: string[] }[] = []
  const words = new Set(blocked.map((word) => word.toLowerCase()))
  return {
    add: (prompt) => void pool.push({ prompt, tokens: rougeTokens(prompt) }),
    verdict(prompt) {
      const count = wordCount(prompt)
      if (count < wordLimits.least) return { rejected: 'too-short' }
      if (count > wordLimits.most) return { rejected: 'too-long' }
      const word = prompt
        .toLowerCase()
        .split(/[^\p{L}\p{N}]+/u)
        .find((each) => words.has(each))
      if (word !== undefined) return { rejected: 'blocked-word', because: word }
      const tokens = rougeTokens(prompt)
      const like = pool.find((other) => other.prompt === prompt || rougeL(tokens, other.tokens).f > mostSimilar)
      return like ? { rejected: 'similar', because: like.prompt } : {}
    },
  }
}
