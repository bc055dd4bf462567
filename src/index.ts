/**
 * attune as a library: every training command is a function here, with the settings of the command line in camelCase, and
 * so are models, merging and export. Engine, models, tokenizers and objectives have their own subpaths (attune/tensor,
 * attune/models, attune/text, attune/objectives, ...).
 *
 * ```ts
 * import { dpo, load } from 'attune'
 *
 * const { model, metrics } = await dpo({ model: 'HuggingFaceTB/SmolLM2-135M-Instruct', data: 'pairs.jsonl', loraR: 16 })
 * console.log(metrics['rewards/accuracies'])
 *
 * const tuned = await load(model)
 * for await (const text of tuned.chat('Why is the sky blue?')) process.stdout.write(text)
 * await tuned.close()
 * ```
 *
 * Nothing of the engine is loaded before a function is called. What is wrong with a setting, a file or a model is thrown as a
 * `Fault`.
 */

import { inWordsOfSettings } from './library/given.ts'
import type { LanguageModel, LoadOptions, ModelName, RewardModel } from './library/load.ts'
import type { BestOfNRun, ComparisonRun } from './library/policies.ts'
import type { PromptRow, UnknownPromptRow } from './library/rows.ts'
import { makeRun } from './library/run.ts'
import type {
  AsftSettings,
  BestOfNSettings,
  CompareSettings,
  DistillSettings,
  DpoSettings,
  GrpoSettings,
  KtoSettings,
  OnlineDpoSettings,
  PpoSettings,
  ReinforceSettings,
  RewardSettings,
  RlooSettings,
  SelfrewardSettings,
  SftSettings,
  SpinSettings,
} from './library/settings.ts'
import { type TrainingOptions, type TrainingRun, trainingRun } from './library/train.ts'
import type {
  GgufBeside,
  GgufSettings,
  MergeSettings,
  OnnxReport,
  OnnxSettings,
  Sources,
} from './publish/convertModel.ts'
import type { GgufReport } from './publish/exportGguf.ts'

export type { Message } from './data/messages.ts'
export type {
  Completion,
  EmbedOptions,
  Generation,
  LanguageModel,
  LoadOptions,
  ModelName,
  RewardModel,
  Score,
} from './library/load.ts'
export type { BestOfNRun, Comparison, ComparisonRun } from './library/policies.ts'
export type { RewardFunction, RewardRow, RewardSource } from './library/rewards.ts'
export type { Data, KtoRow, PreferenceRow, PromptRow, RankingRow, RowText, SftRow } from './library/rows.ts'
export type { Run } from './library/run.ts'
export type * from './library/settings.ts'
export type { TrainingOptions, TrainingResult, TrainingRun } from './library/train.ts'
export type {
  GgufBeside,
  GgufSettings,
  MergeSettings,
  OnnxReport,
  OnnxSettings,
  Sources,
} from './publish/convertModel.ts'
export type { GgufReport } from './publish/exportGguf.ts'
export type { BestOfN } from './recipes/bestOfN.ts'
export type { CustomLoss, PreferenceLosses, RankedInputs } from './recipes/trainer/objectives.ts'
export type { TrainEvent } from './recipes/trainer/recipe.ts'
export { Fault } from './util/fault.ts'

// Training from data

/**
 * Supervised fine-tuning (SFT) on texts, conversations, or prompts with completions.
 *
 * ```ts
 * const data = [{ messages: [{ role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Hello!' }] }]
 * const { model } = await sft({ model: 'HuggingFaceTB/SmolLM2-135M-Instruct', data, loraR: 16 })
 * ```
 */
export const sft = (settings: SftSettings, options?: TrainingOptions): TrainingRun =>
  trainingRun('sft', settings, options)

/**
 * Learns from preferences: DPO (arXiv 2305.18290) and its family on pairs, Plackett-Luce on rankings, or a loss of your own.
 *
 * ```ts
 * const data = [{ prompt: 'Once upon a time', chosen: ', a dog was kind.', rejected: ', a dog was bad.' }]
 * for await (const event of dpo({ model: 'model', data, loraR: 8 }))
 *   if (event.event === 'step') console.log(event.step, event.loss, event['rewards/accuracies'])
 * ```
 */
export const dpo = (settings: DpoSettings, options?: TrainingOptions): TrainingRun =>
  trainingRun('dpo', settings, options)

/**
 * Learns from single completions that are good or bad: KTO (arXiv 2402.01306), APO-zero.
 *
 * ```ts
 * const data = [{ prompt: 'Once upon a time', completion: ', a dog was kind.', label: true }]
 * const { metrics } = await kto({ model: 'model', data, loraR: 8 })
 * ```
 */
export const kto = (settings: KtoSettings, options?: TrainingOptions): TrainingRun =>
  trainingRun('kto', settings, options)

/**
 * Trains a reward model: a score, or a distribution over scores, for a completion. `loadRewardModel` opens the result, and the
 * setting `reward` of other methods takes it.
 *
 * ```ts
 * const { model } = await reward({ model: 'model', data: 'pairs.jsonl', evalSplit: 0.1, loraR: 8 })
 * ```
 */
export const reward = (settings: RewardSettings, options?: TrainingOptions): TrainingRun =>
  trainingRun('reward', settings, options)

// Training from completions of its own

/**
 * REINFORCE: policy gradient on the rewards of its own completions, less a moving baseline.
 *
 * ```ts
 * const short = (rows: readonly RewardRow[]) => rows.map(({ completion }) => -completion.length)
 * const { metrics } = await reinforce({ model: 'model', data: 'prompts.jsonl', reward: short, loraR: 8 })
 * ```
 */
export const reinforce = <Row extends PromptRow = UnknownPromptRow>(
  settings: ReinforceSettings<Row>,
  options?: TrainingOptions,
): TrainingRun => trainingRun('reinforce', settings, options)

/**
 * REINFORCE leave-one-out (RLOO, arXiv 2402.14740): the rewards of its own completions, each less the mean of the others of its
 * prompt. Rewards are given as in `grpo`.
 */
export const rloo = <Row extends PromptRow = UnknownPromptRow>(
  settings: RlooSettings<Row>,
  options?: TrainingOptions,
): TrainingRun => trainingRun('rloo', settings, options)

/**
 * GRPO (arXiv 2402.03300) and its kin: the rewards of its own completions, relative to the group of completions of the same
 * prompt.
 *
 * ```ts
 * const data = [{ prompt: '2 + 3 =', answer: '5' }, { prompt: '4 + 4 =', answer: '8' }]
 * const run = grpo({
 *   model: 'model',
 *   data,
 *   reward: (rows) => rows.map(({ completion, answer }) => Number(completion.trim() === answer)),
 *   loraR: 8,
 * })
 * for await (const event of run) if (event.event === 'step') console.log(event.step, event.reward)
 * const { model } = await run
 * ```
 */
export const grpo = <Row extends PromptRow = UnknownPromptRow>(
  settings: GrpoSettings<Row>,
  options?: TrainingOptions,
): TrainingRun => trainingRun('grpo', settings, options)

/**
 * PPO (arXiv 1707.06347): the rewards of its own completions, with advantages from a value function. Rewards are given as in
 * `grpo`.
 */
export const ppo = <Row extends PromptRow = UnknownPromptRow>(
  settings: PpoSettings<Row>,
  options?: TrainingOptions,
): TrainingRun => trainingRun('ppo', settings, options)

/**
 * Online DPO (arXiv 2402.04792): preferences between its own completions, ranked by their rewards. Rewards are given as in
 * `grpo`.
 */
export const onlineDpo = <Row extends PromptRow = UnknownPromptRow>(
  settings: OnlineDpoSettings<Row>,
  options?: TrainingOptions,
): TrainingRun => trainingRun('onlineDpo', settings, options)

/**
 * Self-play against the model's last snapshot: SPIN (arXiv 2401.01335), T-SPIN.
 *
 * ```ts
 * const { metrics } = await spin({ model: 'model', data: 'chats.jsonl', iterations: 2, evalSplit: 0.1, loraR: 8 })
 * ```
 */
export const spin = (settings: SpinSettings, options?: TrainingOptions): TrainingRun =>
  trainingRun('spin', settings, options)

/**
 * Self-play with helper models (aSFT): ranks the data first, then the helpers' completions, then those of the last snapshot.
 *
 * ```ts
 * const data = [{ prompt: 'Tom had a', completion: ' red ball.', larger: ' big ball.' }]
 * await asft({ model: 'model', data, helper: ['column:larger'], loraR: 8 })
 * ```
 */
export const asft = (settings: AsftSettings, options?: TrainingOptions): TrainingRun =>
  trainingRun('asft', settings, options)

/**
 * On-policy distillation (GKD, arXiv 2306.13649): learns at each token of its own completions what a teacher with the same tokenizer,
 * a larger model or a server, would have said there.
 *
 * ```ts
 * const data = [{ prompt: 'Tom had a' }, { prompt: 'One day, Ben' }]
 * await distill({ model: 'model', teacher: 'teacher', data, lmbda: 1, beta: 1, maxNewTokens: 32 })
 * ```
 */
export const distill = (settings: DistillSettings, options?: TrainingOptions): TrainingRun =>
  trainingRun('distill', settings, options)

/**
 * Self-rewarding (arXiv 2401.10020): the model writes prompts, answers them, scores its answers, and learns from the best against
 * the worst. With `judge` another model scores them.
 *
 * ```ts
 * await selfreward({ model: 'model', data: 'chats.jsonl', rankings: ['ranked.jsonl'], evalSplit: 0.2, iterations: 2, loraR: 8 })
 * ```
 */
export const selfreward = (settings: SelfrewardSettings, options?: TrainingOptions): TrainingRun =>
  trainingRun('selfreward', settings, options)

// What every method must beat, and which policy is better

/**
 * Best-of-N: samples N completions of each prompt and keeps the one with the highest reward. `table` estimates every smaller N.
 *
 * ```ts
 * const { rows, table } = await bestOfN({ model: 'model', data: 'prompts.jsonl', reward: 'runs/reward', numGenerations: 16 })
 * ```
 */
export const bestOfN = <Row extends PromptRow = UnknownPromptRow>(
  settings: BestOfNSettings<Row>,
  options: TrainingOptions = {},
): BestOfNRun =>
  makeRun(async function* () {
    const { bestOfNEvents } = await import('./library/policies.ts')
    return yield* bestOfNEvents(settings, options)
  })

/**
 * Compares policies by their completions of the same prompts: rewards, win rates, KL, length, diversity. It writes a report, and
 * what is in its folder already is not computed again.
 *
 * ```ts
 * const { words } = await compare({
 *   policies: ['one=runs/one', 'two=runs/two'],
 *   base: 'model',
 *   data: 'held-out.jsonl',
 *   judge: 'runs/reward',
 * })
 * ```
 */
export const compare = <Row extends PromptRow = UnknownPromptRow>(
  settings: CompareSettings<Row>,
  options: TrainingOptions = {},
): ComparisonRun =>
  makeRun(async function* () {
    const { comparisonEvents } = await import('./library/policies.ts')
    return yield* comparisonEvents(settings, options)
  })

// Models

/**
 * Opens a language model. Close it when it is no longer needed, or open it with `await using`. The engine runs in a thread of
 * its own.
 *
 * ```ts
 * const model = await load('HuggingFaceTB/SmolLM2-135M-Instruct', { quantize: 'int8' })
 * for await (const text of model.chat('Why is the sky blue?')) process.stdout.write(text)
 * const { text, finishReason } = await model.generate('Once upon a time', { maxNewTokens: 20, temperature: 0 })
 * const { logp } = await model.score({ prompt: 'Once upon', completion: ' a time' })
 * const [one, two] = await model.embed(['a kind dog', 'a friendly dog'])
 * await model.close()
 * ```
 *
 * Throws Faults for a name that is no model, files that cannot be read, and a reward model (`no-language-head`).
 */
export const load = async (model: ModelName, options?: LoadOptions): Promise<LanguageModel> =>
  (await import('./library/load.ts')).loadLanguageModel(model, options)

/**
 * Opens a reward model.
 *
 * ```ts
 * const judge = await loadRewardModel('runs/reward')
 * const [good, bad] = await judge.score([
 *   { prompt: 'Once upon a time', completion: ', a dog was kind.' },
 *   { prompt: 'Once upon a time', completion: ' the the the' },
 * ])
 * console.log(good.reward > bad.reward)
 * await judge.close()
 * ```
 *
 * Throws Faults as `load` does, and `no-score-head` for a model that gives no scores.
 */
export const loadRewardModel = async (model: ModelName, options?: LoadOptions): Promise<RewardModel> =>
  (await import('./library/load.ts')).loadRewardModel(model, options)

/**
 * Merges an adapter into its base model, and writes a model folder that transformers reads.
 *
 * ```ts
 * await merge({ model: 'runs/dpo', output: 'merged' })
 * ```
 */
export const merge = async (settings: MergeSettings): Promise<Required<Sources>> =>
  inWordsOfSettings(async () => (await import('./publish/convertModel.ts')).mergeModel(settings))

/**
 * Writes a model, its adapter merged in, as one GGUF file for llama.cpp, with a Modelfile for Ollama and a model card beside it.
 *
 * ```ts
 * const { bytes } = await exportGguf({ model: 'runs/dpo', output: 'model.gguf', type: 'Q8_0' })
 * ```
 */
export const exportGguf = async (settings: GgufSettings): Promise<Sources & GgufReport & GgufBeside> =>
  inWordsOfSettings(async () => (await import('./publish/convertModel.ts')).convertToGguf(settings))

/**
 * Writes a model, its adapter merged in, as a folder for transformers.js, with weights in float32.
 *
 * ```ts
 * const { files } = await exportOnnx({ model: 'runs/dpo', output: 'onnx' })
 * ```
 */
export const exportOnnx = async (settings: OnnxSettings): Promise<Sources & OnnxReport> =>
  inWordsOfSettings(async () => (await import('./publish/convertModel.ts')).convertToOnnx(settings))
