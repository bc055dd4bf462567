/**
 * attune as a library: what the commands do, a program does with the same words. Settings are those of the command line
 * in camelCase, events those of --json. Engine, models, tokenizers and objectives stand under their own subpaths
 * (attune/tensor, attune/models, attune/text, attune/objectives, ...).
 */
import type { z } from 'zod'
import { asft as asftRecipe } from './recipes/asft.ts'
import { preference } from './recipes/dpo.ts'
import { grpo as grpoRecipe } from './recipes/grpo.ts'
import { kto as ktoRecipe } from './recipes/kto.ts'
import { onlineDpo as onlineDpoRecipe } from './recipes/onlineDpo.ts'
import { ppo as ppoRecipe } from './recipes/ppo.ts'
import { reinforce as reinforceRecipe } from './recipes/reinforce.ts'
import { reward as rewardRecipe } from './recipes/reward.ts'
import { rloo as rlooRecipe } from './recipes/rloo.ts'
import { sft as sftRecipe } from './recipes/sft.ts'
import { spin as spinRecipe } from './recipes/spin.ts'
import type { Extras, Recipe, TrainEvent } from './recipes/trainer/recipe.ts'
import { keptRows } from './store/rows.node.ts'
import { badInput } from './util/fault.ts'

export type { CustomLoss, RankedInputs } from './recipes/trainer/objectives.ts'
export type { Extras, TrainEvent } from './recipes/trainer/recipe.ts'
export { Fault } from './util/fault.ts'

/** Rows of a program's own: objects as a jsonl file would hold them, however many. */
export type Rows = Iterable<object> | AsyncIterable<object>

/** A recipe's settings as a program writes them: defaults may be left out, data may be files or rows. */
export type Settings<S extends z.ZodObject> = Omit<z.input<S>, 'data'> & { data: string | string[] | Rows }

/**
 * A recipe as a function. Faults are thrown before the first event for bad settings, else by the iteration. Ending the
 * iteration early stops at once; `signal` stops after the step under way, with a checkpoint to resume from.
 */
const program = <S extends z.ZodObject>(recipe: Recipe<S>) =>
  async function* (settings: Settings<S>, extras: Omit<Extras, 'command'> = {}): AsyncGenerator<TrainEvent, void> {
    const { data } = settings
    const files = typeof data === 'string' ? [data] : isFiles(data) ? data : [await keptRows(data)]
    const parsed = recipe.schema.safeParse({ ...settings, data: files })
    if (!parsed.success) {
      const { path, message } = parsed.error.issues[0]
      throw badInput('bad-setting', `${path.join('.')}: ${message}`, { flag: `${recipe.name}()` })
    }
    yield* recipe.run(parsed.data, extras)
  }

const isFiles = (data: string[] | Rows): data is string[] =>
  Array.isArray(data) && data.every((item) => typeof item === 'string')

/** Supervised fine-tuning on texts, conversations, or prompts with completions. */
export const sft = program(sftRecipe)

/** Preferences and rankings: DPO and its family, K-wise Plackett-Luce, or a loss of one's own. */
export const dpo = program(preference)

/** Reward models: a score, or a distribution over scores, for every reply. */
export const reward = program(rewardRecipe)

/** Rewards of its own samples against a moving baseline. */
export const reinforce = program(reinforceRecipe)

/** Rewards of its own samples, each against the others of its prompt. */
export const rloo = program(rlooRecipe)

/** Rewards of its own samples, each within its group. */
export const grpo = program(grpoRecipe)

/** Rewards of its own samples against a value function. */
export const ppo = program(ppoRecipe)

/** Its own samples, ranked by their rewards. */
export const onlineDpo = program(onlineDpoRecipe)

/** Self-play against the last snapshot: SPIN, T-SPIN. */
export const spin = program(spinRecipe)

/** Self-play with help: lists of the data, the helpers' answers and the last snapshot's. */
export const asft = program(asftRecipe)

/** Single replies marked good or bad: KTO, APO-zero. */
export const kto = program(ktoRecipe)
