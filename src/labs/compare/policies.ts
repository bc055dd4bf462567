/**
 * What is asked for answers: the SFT policy, each run of each policy, and the checkpoints that it kept. Peculiar: each has
 * a key made of the bytes of its weights, so answers are known again whatever a folder is called now, and two names for
 * one model are found out before anything is computed.
 */

import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { openAdapter } from '../../checkpoint/folder.node.ts'
import { readState } from '../../checkpoint/state.node.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import { openTokenization } from '../../generate/tokenization.node.ts'
import { loadPretrained } from '../../models/load.node.ts'
import { type ModelFolders, resolveModel } from '../../models/resolve.node.ts'
import { requireLanguageHead } from '../../models/scored.ts'
import type { Model } from '../../passes/model.ts'
import { openModel } from '../../passes/open.node.ts'
import { openPolicy, type PolicySettings } from '../../recipes/trainer/policy.ts'
import { settingsOf } from '../../recipes/trainer/settingsPaths.ts'
import { findRun } from '../../runs/find.node.ts'
import { type RunInfo, readInfo } from '../../runs/run.node.ts'
import { tokenizerFolders } from '../../text/tokenizer.node.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { restoreState } from '../../train/state.ts'
import { assert, badInput } from '../../util/fault.ts'
import { digestOf, sha256File } from '../../util/sha256.node.ts'
import type { EngineSettings } from './settings.ts'

export type OpenedPolicy = { model: Model; close(): Promise<void> }

/** One model that answers. */
export type ComparedPolicy = {
  /** As progress and messages call it: 'level1', 'level1 (2) step 20'. */
  title: string
  /** 'end', 'step 20'. */
  name: string
  key: string
  tokenization: Tokenization & { tokenizer: Tokenizer }
  /** Equal keys, equal tokens. */
  tokenizerKey: string
  /** Equal keys, equal prompts: of the tokenizer and the chat template. */
  promptKey: string
  /** Where its model and its tokenizer lie. */
  folders: ModelFolders
  open(engine: EngineSettings): Promise<OpenedPolicy>
}

type RunSubjects = {
  /** Checkpoints in order, the end last. */
  stops: ComparedPolicy[]
  /** Of a run: what it was rewarded by. Undefined where nothing is known of the training. */
  rewards?: readonly string[]
}

export type PolicyRuns = { name: string; runs: RunSubjects[] }

/** `NAME=RUN,RUN`, `NAME=RUN` or a run, model or adapter by itself. */
export const parsePolicy = (text: string): { name: string; runs: string[] } => {
  const [, name, list] = /^([^=/\\]+)=(.+)$/s.exec(text) ?? []
  return name === undefined
    ? { name: basename(text.replace(/[/\\]+$/, '')), runs: [text] }
    : { name, runs: list.split(',').filter(Boolean) }
}

export const keyOf = (parts: unknown): string => digestOf(JSON.stringify(parts))

/** Throws Faults where a name leads nowhere. */
export const openSft = async (model: string): Promise<{ subject: ComparedPolicy; folders: ModelFolders }> => {
  const folders = await resolveModel({ model })
  return { folders, subject: await endSubject(folders, basename(model)) }
}

/** @param withStops the checkpoints too */
export const openPolicyRuns = async (text: string, sft: ModelFolders, withStops: boolean): Promise<PolicyRuns> => {
  const { name, runs } = parsePolicy(text)
  const each = await Promise.all(
    runs.map(async (run, i): Promise<RunSubjects> => {
      const title = runs.length > 1 ? `${name} (${i + 1})` : name
      const dir = await findRun(run)
      const info = dir === undefined ? undefined : await readInfo(dir)
      const stops = dir !== undefined && info && withStops ? await checkpointsOf(dir, info, title) : []
      const rewards =
        info &&
        z
          .array(z.string())
          .catch([])
          .parse((await settingsOf(info)).reward)
      return { stops: [...stops, await endSubject(await placeOf(run, sft), title)], rewards }
    }),
  )
  return { name, runs: each }
}

/** An adapter's folder stands beside the SFT policy. */
const placeOf = async (name: string, sft: ModelFolders): Promise<ModelFolders> => {
  const isAdapter = await stat(join(name, 'adapter_config.json')).catch(() => undefined)
  if (!isAdapter || (await findRun(name))) return resolveModel({ model: name })
  if (sft.adapter === undefined) return { dir: sft.dir, adapter: name }
  throw badInput('bad-flag', 'is an adapter, and the SFT policy has one already; give the run, or merge it', {
    file: name,
  })
}

const weightsKey = async ({ dir, adapter }: ModelFolders): Promise<unknown[]> => {
  const { files } = await loadPretrained(dir)
  const own = adapter === undefined ? [] : (await openAdapter(adapter)).files
  const settings = adapter === undefined ? [] : [join(adapter, 'adapter_config.json')]
  return Promise.all([...files, join(dir, 'config.json'), ...own, ...settings].map(sha256File))
}

const commonOf = async (folders: ModelFolders) => {
  const tokenization = await openTokenization(folders, await loadPretrained(folders.dir))
  const { tokenizer } = tokenization
  if (!tokenizer) throw badInput('no-tokenizer', 'has no tokenizer.json, and judges read text', { file: folders.dir })
  const from = await tokenizerFolders(folders)
  const tokenizerKey = await sha256File(join(from.tokenizer, 'tokenizer.json'))
  const beside = ['tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json']
  const templates = [
    ...beside.map((name) => join(from.tokenizer, name)),
    ...['chat_template.jinja', 'chat_template.json'].map((name) => join(from.templates, name)),
  ].map((path) => readFile(path, 'utf8').catch(() => ''))
  return {
    folders,
    tokenizerKey,
    promptKey: keyOf([tokenizerKey, ...(await Promise.all(templates))]),
    tokenization: { ...tokenization, tokenizer },
  }
}

const endSubject = async (folders: ModelFolders, title: string): Promise<ComparedPolicy> => {
  requireLanguageHead(await loadPretrained(folders.dir), folders.dir)
  const common = await commonOf(folders)
  return {
    ...{ title, name: 'end', key: keyOf([common.tokenizerKey, ...(await weightsKey(folders))]), ...common },
    open: (engine) => openModel({ model: folders.dir, adapter: folders.adapter, ...engine }),
  }
}

/** What `openPolicy` asks of a run's settings; a run without them (of another kind) has no points on its way. */
const policySchema = z.object({
  model: z.string(),
  adapter: z.string().optional(),
  loraR: z.number().optional(),
  loraAlpha: z.number().optional(),
  loraDropout: z.number(),
  loraTarget: z.array(z.string()).optional(),
  ...{ quantize: z.string(), optimizer: z.string(), weightDecay: z.number(), seed: z.number() },
})

/** Between the beginning and the end, by step. */
const checkpointsOf = async (dir: string, info: RunInfo, run: string): Promise<ComparedPolicy[]> => {
  const { total_steps } = info
  const config = await settingsOf(info)
  const { data } = policySchema.safeParse(config)
  const folder = join(dir, 'checkpoints')
  const steps = (await readdir(folder).catch(() => []))
    .flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .filter((step) => step > 0 && step !== total_steps)
    .sort((a, b) => a - b)
  if (!data || !steps.length) return []
  const folders = await resolveModel(data)
  const [common, base] = [await commonOf(folders), await weightsKey(folders)]
  return Promise.all(
    steps.map(async (step): Promise<ComparedPolicy> => {
      const path = join(folder, `step-${step}`)
      const manifest = await readFile(join(path, 'manifest.json'), 'utf8')
      return {
        ...{
          title: `${run} step ${step}`,
          name: `step ${step}`,
          key: keyOf([common.tokenizerKey, ...base, manifest]),
          ...common,
        },
        open: (engine) =>
          openCheckpoint(path, { ...(config as PolicySettings), ...data, ...engine } as PolicySettings, folders),
      }
    }),
  )
}

const openCheckpoint = async (path: string, settings: PolicySettings, folders: ModelFolders): Promise<OpenedPolicy> => {
  const state = await readState(path)
  const policy = await openPolicy(settings, folders)
  await restoreState(policy.backend, policy.arenas, state.file).catch(async (error) => {
    await policy.close()
    throw error
  })
  return policy
}

/** Throws a Fault where two policies, or a policy and the SFT policy, are one. */
export const refuseTwins = (sft: ComparedPolicy, policies: readonly PolicyRuns[]) => {
  const names = new Set<string>()
  const keys = new Map([[sft.key, `the SFT policy ${sft.title}`]])
  const runs = policies[0].runs.length
  for (const policy of policies) {
    if (names.has(policy.name) || policy.name === sft.title)
      throw badInput('twice', `is the name of two policies; give them names: one=RUN other=RUN`, { file: policy.name })
    names.add(policy.name)
    if (policy.runs.length !== runs)
      throw badInput(
        'bad-flag',
        `has ${policy.runs.length} runs and ${policies[0].name} ${runs}; give as many of each`,
        {
          file: policy.name,
        },
      )
    for (const { stops } of policy.runs) {
      const end = stops.at(-1)
      assert(end, 'a run has an end')
      const twin = keys.get(end.key)
      if (twin)
        throw badInput('twice', `has the same weights as ${twin}: there is nothing to compare`, { file: end.title })
      keys.set(end.key, end.title)
    }
  }
}

/** The folders that a reward names, to know it again: a run's model, a folder, a file; anything else is its own name. */
export const rewardPlace = async (spec: string): Promise<string> => {
  const plain = spec.replace(/^[\w-]+=/, '')
  return realpath((await findRun(plain)) ?? plain).catch(() => plain)
}
