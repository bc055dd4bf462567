/** What to type after a run, by what it made. */
import { basename, relative } from 'node:path'
import { originOf, pathOf, type RunPaths } from '../../runs/modelName.node.ts'
import { runFolderOf } from '../../runs/resultFolder.node.ts'
import { listed, shellWord } from '../../util/format.ts'

export type Ended = {
  method: string
  /** As a shell takes it. */
  folder: string
  interrupted: boolean
  /** The tokenizer of the model has a chat template. */
  chats: boolean
} & RunPaths

/**
 * What stands for a file or a judge that attune does not know, in capitals as in the help of a command. A name that could be
 * a real one would be typed as it is.
 */
const unknown = {
  rows: 'ROWS.jsonl',
  candidates: 'CANDIDATES.jsonl',
  pairs: 'PAIRS.jsonl',
  prompts: 'PROMPTS.jsonl',
  reward: 'REWARD',
  judge: 'JUDGE',
}

/** What the words in capitals are; nothing where there are none. */
export const placeholdersText = (commands: readonly string[]): string | undefined => {
  const words = commands.flatMap((command) => command.split(' '))
  const found = Object.values(unknown).filter((name) => words.includes(name))
  return found.length ? standText(found) : undefined
}

/** @returns 'PAIRS.jsonl and JUDGE stand for what you have' */
export const standText = (names: readonly string[]): string =>
  `${listed(names)} ${names.length > 1 ? 'stand' : 'stands'} for what you have`

/** Commands, the most useful first: the model tried, measured against what it was, looked at, trained further, exported. */
export const nextCommands = (ended: Ended): string[] => {
  const { method, folder, interrupted, chats } = ended
  if (interrupted) return [`attune ${method} --output ${folder} --resume`]
  const show = `attune runs show ${folder}`
  if (method === 'reward') {
    const isPairRanker = ended.config.kind === 'pair'
    const use = isPairRanker
      ? `rank --model ${folder} --data ${unknown.candidates}`
      : `score --model ${folder} --data ${unknown.rows}`
    return [`attune ${use}`, show, ...furtherTraining(ended)]
  }
  return [
    chats ? `attune chat --model ${folder}` : `attune generate --model ${folder} --prompt "..."`,
    show,
    ...comparison(ended),
    ...furtherTraining(ended),
    `attune export --model ${folder} --gguf F16 --output model.gguf`,
  ]
}

const textsOf = (value: unknown): string[] =>
  [value].flat().flatMap((each) => (typeof each === 'string' ? [shellWord(each)] : []))

/** How the rows of the run's own files are read, with a space before. */
const columnFlags = (config: Ended['config']): string =>
  Object.entries((config.column ?? {}) as Record<string, string>)
    .map(([name, column]) => ` --column ${shellWord(`${name}=${column}`)}`)
    .join('')

/** The run that the model before the training came from, else its adapter or the model itself. */
const startOf = (run: RunPaths): string | undefined => {
  const path = pathOf(run, 'adapter') ?? pathOf(run, 'model')
  return path && shorter(runFolderOf(...path) ?? path[0])
}

/** From here, where that is shorter. */
const shorter = (path: string): string => {
  const near = relative('.', path)
  return near && near.length < path.length ? near : path
}

/**
 * With the model before all training, and with what the run went on from, which says what this run alone has added. On the
 * held-out file; by the rewards of the run where it has some, and by a judge that it was not trained on.
 */
const comparison = ({ folder, config, places }: Ended): string[] => {
  const [start, origin] = [startOf({ config, places }), originOf({ config, places })]
  const held = textsOf(config.evalData)
  if (start === undefined || origin === undefined || !held.length) return []
  const base = shorter(origin)
  const isNamedAlike = basename(start) === basename(String(config.output ?? folder))
  const before = start === base ? [] : [shellWord(isNamedAlike ? `start=${start}` : start)]
  const rewards = textsOf(config.reward)
  const judges = [...rewards.map((reward) => `--reward ${reward}`), `--judge ${unknown.judge}`]
  const data = `${held.map((file) => `--data ${file}`).join(' ')}${columnFlags(config)}`
  return [['attune compare', ...before, folder, `--base ${shellWord(base)}`, data, ...judges].join(' ')]
}

/** What usually follows: preferences or rewards after demonstrations, a policy after a reward model. */
const furtherTraining = ({ method, folder, config, places }: Ended): string[] => {
  const chat = config.chat === true ? ' --chat' : ''
  if (method === 'sft')
    return [
      `attune dpo --model ${folder} --data ${unknown.pairs}${chat}`,
      `attune grpo --model ${folder} --data ${unknown.prompts} --reward ${unknown.reward}${chat}`,
    ]
  const before = startOf({ config, places })
  return method === 'reward' && before !== undefined
    ? [`attune grpo --model ${shellWord(before)} --data ${unknown.prompts} --reward ${folder}${chat} --kl-budget 10`]
    : []
}
