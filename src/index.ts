/**
 * attune as a library: every training command is a function here. Settings are those of the command line in camelCase,
 * events those of --json. Engine, models, tokenizers and objectives have their own subpaths (attune/tensor,
 * attune/models, attune/text, attune/objectives, ...).
 */
import type { z } from 'zod'
import { loadRecipe } from './recipes/load.ts'
import type { MethodKey, SchemaOf } from './recipes/methods.ts'
import type { Extras, Recipe, TrainEvent } from './recipes/trainer/recipe.ts'
import { withLikeDefaults } from './recipes/trainer/trlDefaults.ts'
import { storeRows } from './store/content.node.ts'
import { badInput } from './util/fault.ts'

export type { CustomLoss, RankedInputs } from './recipes/trainer/objectives.ts'
export type { Extras, TrainEvent } from './recipes/trainer/recipe.ts'
export { Fault } from './util/fault.ts'

/** Rows that a program makes itself: objects as they would stand in a jsonl file, any number of them. */
export type Rows = Iterable<object> | AsyncIterable<object>

/** The settings of a method in a program: those with a default may be left out, data may be files or rows. */
export type Settings<S extends z.ZodObject> = Omit<z.input<S>, 'data'> & { data: string | string[] | Rows }

/**
 * A method as a function. Bad settings throw a Fault before the first event, later failures throw in the iteration. To end
 * the iteration early stops at once; `signal` stops after the current step, with a checkpoint to resume from.
 */
const trainer = <K extends MethodKey>(key: K) =>
  async function* (
    settings: Settings<SchemaOf<K>>,
    extras: Omit<Extras, 'command'> = {},
  ): AsyncGenerator<TrainEvent, void> {
    const { data } = settings
    const files = typeof data === 'string' ? [data] : isFiles(data) ? data : [await storeRows(data)]
    const recipe = (await loadRecipe(key)) as unknown as Recipe
    const parsed = recipe.schema.safeParse(withLikeDefaults(recipe.name, { ...settings, data: files }))
    if (!parsed.success) {
      const { path, message } = parsed.error.issues[0]
      throw badInput('bad-setting', `${path.join('.')}: ${message}`, { flag: `${recipe.name}()` })
    }
    yield* recipe.run(parsed.data, extras)
  }

const isFiles = (data: string[] | Rows): data is string[] =>
  Array.isArray(data) && data.every((item) => typeof item === 'string')

/** Supervised fine-tuning on texts, conversations, or prompts with completions. */
export const sft = trainer('sft')

/** Preferences: DPO and its family on pairs or rankings (K-wise Plackett-Luce), or a loss of your own. */
export const dpo = trainer('dpo')

/** Reward models: a score, or a distribution over scores, for every completion. */
export const reward = trainer('reward')

/** Policy gradient on the rewards of its own completions, less a moving baseline. */
export const reinforce = trainer('reinforce')

/** REINFORCE leave-one-out: rewards of its own completions, each less the mean of the others of its prompt. */
export const rloo = trainer('rloo')

/** Rewards of its own completions, relative to the group of completions of the same prompt. */
export const grpo = trainer('grpo')

/** Rewards of its own completions, with advantages from a value function. */
export const ppo = trainer('ppo')

/** Preferences between its own completions, ranked by their rewards. */
export const onlineDpo = trainer('onlineDpo')

/** Self-play against the model's last snapshot: SPIN, T-SPIN. */
export const spin = trainer('spin')

/** Self-play with helper models: rankings of the data, the helpers' completions and those of the last snapshot. */
export const asft = trainer('asft')

/** Single completions marked good or bad: KTO, APO-zero. */
export const kto = trainer('kto')
