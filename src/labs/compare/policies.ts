/**
 * The policies of a comparison: the base model (the model before training), every run of each policy, and the checkpoints
 * that the runs kept.
 *
 * A policy is known by a hash of its weights and its tokenizer. So completions are found again whatever its folder is called
 * now, and two names for the same weights are refused before anything is computed.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { isThere, openAdapter } from '../../checkpoint/folder.node.ts'
import { readState } from '../../checkpoint/state.node.ts'
import { shareModel } from '../../generate/sharedModel.node.ts'
import type { ShareSampling } from '../../generate/sharedSampling.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import { openTokenization } from '../../generate/tokenization.node.ts'
import { loadPretrained } from '../../models/load.node.ts'
import { type ModelFolders, resolveModel } from '../../models/resolve.node.ts'
import { requireLanguageHead } from '../../models/scored.ts'
import type { Model } from '../../passes/model.ts'
import { openModel } from '../../passes/open.node.ts'
import { openPolicy, type PolicySettings, restorePolicy } from '../../recipes/trainer/policy.ts'
import { settingsOf } from '../../recipes/trainer/settingsPaths.ts'
import { findRun, learnedChats, trainedWithChat } from '../../runs/find.node.ts'
import { modelName } from '../../runs/modelName.node.ts'
import { type RunInfo, readInfo } from '../../runs/run.node.ts'
import { tokenizerFolders, tokenizerText } from '../../text/tokenizer.node.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { assert, badInput } from '../../util/fault.ts'
import { digestOf, sha256File } from '../../util/sha256.node.ts'
import type { Sharing } from '../../util/sharing.ts'
import type { EngineSettings } from './settings.ts'
import { rewardsOf, runOf } from './trainedOn.ts'

export type OpenedPolicy = {
  model: Model
  /** Has workers complete for it. */
  share?: ShareSampling
  close(): Promise<void>
}

/** One model that completes the prompts: the base model, or a checkpoint or the final model of a run. */
export type ComparedPolicy = {
  /** Its name in progress and messages: 'level1', 'level1 (2) step 20'. */
  title: string
  /** Which point of its run it is: 'step 20', or 'end' for the final model. */
  name: string
  /** Equal keys, equal weights and tokenizer. */
  key: string
  tokenization: Tokenization & { tokenizer: Tokenizer }
  /** Equal keys, equal tokenizer.json. */
  tokenizerKey: string
  /** Equal keys, equal prompt tokens: a hash of the tokenizer and the chat template. */
  promptKey: string
  /** The folders of its model and its tokenizer. */
  folders: ModelFolders
  /** @param sharing workers that may compute with it, where it is no checkpoint */
  open(engine: EngineSettings, sharing?: Sharing): Promise<OpenedPolicy>
}

type PolicyRun = {
  /** By step; the final model is the last. */
  checkpoints: ComparedPolicy[]
  /** The rewards that it and the runs before it were trained with. Undefined for a model that is in no run folder. */
  rewards?: readonly string[]
  /** Whether it was trained with --chat. Undefined for a model that is in no run folder. */
  chat?: boolean
  /** Whether it learned from conversations alone, of messages or by --chat. Undefined where no run says so. */
  learnedChats?: boolean
}

/** A policy as the user names it: one run, or several that differ in their training seed. */
export type PolicyRuns = { name: string; runs: PolicyRun[] }

/** Parses `NAME=RUN,RUN`, `NAME=RUN`, or a run, model or adapter without a name. */
export const parsePolicy = (text: string): { name: string; runs: string[] } => {
  const [, name, list] = /^([^=/\\]+)=(.+)$/s.exec(text) ?? []
  return name === undefined ? { name: modelName(text), runs: [text] } : { name, runs: list.split(',').filter(Boolean) }
}

/** A hash of any JSON value. */
export const keyOf = (parts: unknown): string => digestOf(JSON.stringify(parts))

/** Throws Faults for a name that is no model, run or hub id. */
export const openBase = async (model: string): Promise<ComparedPolicy> =>
  openFinal(await resolveModel({ model }), modelName(model))

/** @param withCheckpoints the checkpoints that the runs kept, too. Throws Faults as `openBase`. */
export const openPolicyRuns = async (
  text: string,
  sft: ModelFolders,
  withCheckpoints: boolean,
): Promise<PolicyRuns> => {
  const { name, runs } = parsePolicy(text)
  const each = await Promise.all(
    runs.map(async (run, i): Promise<PolicyRun> => {
      const title = runs.length > 1 ? `${name} (${i + 1})` : name
      const dir = await findRun(run)
      const info = dir === undefined ? undefined : await readInfo(dir)
      const madeBy = await runOf(run)
      const kept = dir !== undefined && info && withCheckpoints ? await checkpointsOf(dir, info, title) : []
      const final = await openFinal(await foldersOf(run, sft), title)
      return {
        checkpoints: [...kept, final],
        rewards: madeBy === undefined ? undefined : await rewardsOf(madeBy),
        chat: await trainedWithChat(run),
        learnedChats: await learnedChats(run),
      }
    }),
  )
  return { name, runs: each }
}

/** A folder that holds an adapter alone is an adapter of the base model. */
const foldersOf = async (name: string, sft: ModelFolders): Promise<ModelFolders> => {
  const isAdapter = await stat(join(name, 'adapter_config.json')).catch(() => undefined)
  if (!isAdapter || (await findRun(name))) return resolveModel({ model: name })
  if (sft.adapter === undefined) return { dir: sft.dir, adapter: name }
  throw badInput(
    'bad-flag',
    'is an adapter, and the model before training has one already; give the run, or merge it',
    {
      file: name,
    },
  )
}

/** Hashes of the files that determine the weights. */
const weightHashes = async ({ dir, adapter }: ModelFolders): Promise<unknown[]> => {
  const { files } = await loadPretrained(dir)
  const adapterFiles =
    adapter === undefined ? [] : [...(await openAdapter(adapter)).files, join(adapter, 'adapter_config.json')]
  const config = (await isThere(dir)) ? [] : [join(dir, 'config.json')]
  return Promise.all([...files, ...config, ...adapterFiles].map(sha256File))
}

/** What `ComparedPolicy` says of a model's folders and tokenizer. */
const withTokenization = async (folders: ModelFolders) => {
  const tokenization = await openTokenization(folders, await loadPretrained(folders.dir))
  const { tokenizer } = tokenization
  if (!tokenizer) throw badInput('no-tokenizer', 'has no tokenizer.json, and judges read text', { file: folders.dir })
  const from = await tokenizerFolders(folders)
  const isGguf = await isThere(from.tokenizer)
  const tokenizerKey = isGguf
    ? keyOf([await tokenizerText(from.tokenizer, 'tokenizer.json')])
    : await sha256File(join(from.tokenizer, 'tokenizer.json'))
  const beside = ['tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json']
  const templates = [
    ...beside.map((name) => tokenizerText(from.tokenizer, name)),
    ...['chat_template.jinja', 'chat_template.json'].map((name) => tokenizerText(from.templates, name)),
  ]
  return {
    folders,
    tokenizerKey,
    promptKey: keyOf([tokenizerKey, ...(await Promise.all(templates)).map((text) => text ?? '')]),
    tokenization: { ...tokenization, tokenizer },
  }
}

const openFinal = async (folders: ModelFolders, title: string): Promise<ComparedPolicy> => {
  requireLanguageHead(await loadPretrained(folders.dir), folders.dir)
  const common = await withTokenization(folders)
  return {
    title,
    name: 'end',
    key: keyOf([common.tokenizerKey, ...(await weightHashes(folders))]),
    ...common,
    open: async (engine, sharing) => {
      const opened = await openModel({ model: folders.dir, adapter: folders.adapter, ...engine })
      const shared = sharing && shareModel(opened, { quantize: 'none', compute: 'fp32' }, sharing)
      return { ...opened, model: shared?.model ?? opened.model, share: shared?.sampling }
    },
  }
}

/** The settings of a run that `openPolicy` needs. A run without them, of another kind, has no checkpoints to compare. */
const policySchema = z.object({
  model: z.string(),
  adapter: z.string().optional(),
  loraR: z.number().optional(),
  loraAlpha: z.number().optional(),
  loraDropout: z.number(),
  loraTarget: z.array(z.string()).optional(),
  useDora: z.boolean().optional(),
  quantize: z.string(),
  /** Runs of earlier versions have none. */
  compute: z.string().default('fp32'),
  optimizer: z.string(),
  weightDecay: z.number(),
  seed: z.number(),
})

/** The checkpoints that a run kept between its first step and its last, by step. */
const checkpointsOf = async (dir: string, info: RunInfo, title: string): Promise<ComparedPolicy[]> => {
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
  const common = await withTokenization(folders)
  const baseHashes = await weightHashes(folders)
  return Promise.all(
    steps.map(async (step): Promise<ComparedPolicy> => {
      const path = join(folder, `step-${step}`)
      const manifest = await readFile(join(path, 'manifest.json'), 'utf8')
      return {
        title: `${title} step ${step}`,
        name: `step ${step}`,
        key: keyOf([common.tokenizerKey, ...baseHashes, manifest]),
        ...common,
        open: (engine) =>
          openCheckpoint(path, { ...(config as PolicySettings), ...data, ...engine } as PolicySettings, folders),
      }
    }),
  )
}

const openCheckpoint = async (path: string, settings: PolicySettings, folders: ModelFolders): Promise<OpenedPolicy> => {
  const state = await readState(path)
  const policy = await openPolicy(settings, folders)
  await restorePolicy(policy, state.file).catch(async (error) => {
    await policy.close()
    throw error
  })
  return policy
}

/** Throws Faults 'twice' for two policies, or a policy and the base model, of one name or of the same weights. */
export const refuseDuplicates = (sft: ComparedPolicy, policies: readonly PolicyRuns[]) => {
  const names = new Set<string>()
  const keys = new Map([[sft.key, `${sft.title}, the model before training`]])
  const runs = policies[0].runs.length
  for (const policy of policies) {
    if (names.has(policy.name) || policy.name === sft.title)
      throw badInput('twice', `is the name of two models; give them names: one=RUN other=RUN`, { file: policy.name })
    names.add(policy.name)
    if (policy.runs.length !== runs)
      throw badInput(
        'bad-flag',
        `has ${policy.runs.length} runs and ${policies[0].name} ${runs}; give as many of each`,
        { file: policy.name },
      )
    for (const { checkpoints } of policy.runs) {
      const final = checkpoints.at(-1)
      assert(final, 'a run has a final model')
      const same = keys.get(final.key)
      if (same)
        throw badInput('twice', `has the same weights as ${same}: there is nothing to compare`, { file: final.title })
      keys.set(final.key, final.title)
    }
  }
}
