/**
 * A completion token by token: how much likelier training made each, or how much each adds to a reward. Computed when it is
 * asked for, with `attune score` and `attune credit`, and kept while the studio runs.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { resultOf } from '../../runs/find.node.ts'
import type { RunInfo } from '../../runs/run.node.ts'
import { badInput, runFailure } from '../../util/fault.ts'
import type { TokensBody, TokenView } from './api.ts'
import type { CliQueue } from './cli.node.ts'
import type { OpenRun } from './store.node.ts'

const longestText = 20_000

export const tokensSchema = z.object({
  prompt: z.string().max(longestText),
  completion: z.string().min(1, 'there is nothing to look at').max(longestText),
  view: z.enum(['reference', 'reward']),
})

const scored = z.object({ token_logps: z.array(z.number()), token_texts: z.array(z.string()) })
const credited = z.object({
  reward: z.number(),
  tokens: z.array(z.looseObject({ text: z.string(), reward: z.number() })),
})

/** Views that are kept. */
const mostKept = 200

export type TokenViews = (run: OpenRun, body: TokensBody) => Promise<TokenView>

export const makeTokenViews = (cli: CliQueue): TokenViews => {
  const kept = new Map<string, Promise<TokenView>>()
  return (run, body) => {
    const key = createHash('sha256')
      .update(JSON.stringify([run.dir, run.log.size, body]))
      .digest('hex')
    const there = kept.get(key)
    if (there) return there
    const made = compute(cli, run, body)
    kept.set(key, made)
    made.catch(() => kept.delete(key))
    if (kept.size > mostKept) kept.delete(kept.keys().next().value!)
    return made
  }
}

const compute = async (cli: CliQueue, run: OpenRun, { prompt, completion, view }: TokensBody): Promise<TokenView> => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-tokens-'))
  try {
    const data = join(folder, 'row.jsonl')
    // Samples that were cut off are shown with an ellipsis
    await writeFile(data, `${JSON.stringify(rowOf(prompt, completion.replace(/…$/, '')))}\n`)
    return view === 'reward' ? await rewardView(cli, run, data) : await referenceView(cli, run, data)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Samples show a conversation as `role: text`, message by message. */
const rowOf = (prompt: string, completion: string) => {
  const turns = prompt.split(/^(?=(?:system|user|assistant): )/m)
  const messages = turns.map((turn) => /^(system|user|assistant): ([\s\S]*?)\n?$/.exec(turn))
  if (!messages.every((match) => match !== null)) return { prompt, completion }
  const own = messages.map(([, role, content]) => ({ role, content }))
  return { messages: [...own, { role: 'assistant', content: completion }] }
}

const textOf = (value: unknown): string[] => (typeof value === 'string' ? [value] : [])

/** The model before the training, as flags. */
const beginning = ({ config, places = {} }: RunInfo): string[] => {
  const [model] = [...textOf(places.model), ...textOf(config.model)]
  const [adapter] = [...textOf(places.adapter), ...textOf(config.adapter)]
  if (model === undefined) throw badInput('no-file', 'the run does not say which model it began from')
  return ['--model', model, ...(adapter === undefined ? [] : ['--adapter', adapter])]
}

const referenceView = async (cli: CliQueue, { dir, info }: OpenRun, data: string): Promise<TokenView> => {
  if (!(await resultOf(dir)))
    throw runFailure('no-file', 'the run has not made a model yet; look again when it has ended')
  if (info.method === 'reward')
    throw badInput('wrong-kind', 'a reward model writes nothing, so its tokens have no log-probs')
  const assistant = ['--assistant-only-loss', '--texts', '--data', data]
  // In one line after the other, so that a second question does not come in between
  const [now] = await cli.run(['score', '--model', dir, ...assistant], { cwd: dir })
  const [before] = await cli.run(['score', ...beginning(info), ...assistant], { cwd: dir })
  const [after, reference] = [scored.parse(now), scored.parse(before)]
  const tokens = after.token_texts.map((text, i) => ({ text, value: after.token_logps[i] - reference.token_logps[i] }))
  return {
    meaning: ['likelier than before training', 'less likely'],
    unit: 'nats',
    total: tokens.reduce((sum, { value }) => sum + value, 0),
    tokens,
  }
}

/** The reward model: the run itself, or the one that it learned from. */
const rewardView = async (cli: CliQueue, { dir, info }: OpenRun, data: string): Promise<TokenView> => {
  const model = info.method === 'reward' ? dir : rewardModelsOf(info)[0]
  if (model === undefined)
    throw badInput('wrong-kind', 'the run learned from no reward model, so no reward can be spread over tokens')
  const [line] = await cli.run(['credit', '--model', model, '--data', data], { cwd: dir })
  const { reward, tokens } = credited.parse(line)
  return {
    meaning: ['raises the reward', 'lowers it'],
    unit: 'reward',
    total: reward,
    tokens: tokens.map(({ text, reward: value }) => ({ text, value })),
  }
}

/** Folders of reward models, by the files that the run read: reward.json lies beside their weights. */
export const rewardModelsOf = ({ model_files = [] }: RunInfo): string[] =>
  model_files.flatMap(({ path, absolute = path }) => /^(.*)[\\/]reward\.json$/.exec(absolute)?.[1] ?? [])
