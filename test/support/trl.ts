/**
 * TRL's golden training runs, and the same runs with attune's recipes.
 * Rows from files go through tokenization, packing, passes, loss and optimizer to the saved weights. Where TRL differs from
 * attune's defaults, the settings that reproduce TRL are set here.
 */
import { readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { dpo } from '../../src/recipes/dpo.ts'
import { kto } from '../../src/recipes/kto.ts'
import { sft } from '../../src/recipes/sft.ts'
import type { Extras, Recipe, TrainEvent } from '../../src/recipes/trainer/recipe.ts'
import { fixture } from './golden.ts'

/** L2 norm, sum and first values of a tensor. */
export type Summary = { norm: number; sum: number; first: number[] }
type Logged = { step: number; loss: number; grad_norm: number; learning_rate: number; epoch: number }

export type TrlRun = {
  name: string
  data: string
  asked: {
    beta?: number
    loss_type?: string | string[]
    loss_weights?: number[]
    label_smoothing?: number
    cpo_alpha?: number
    simpo_gamma?: number
    alpha?: number
    ld_alpha?: number
    use_weighting?: boolean
    discopop_tau?: number
    f_divergence_type?: string
    f_alpha_divergence_coef?: number
    desirable_weight?: number
    undesirable_weight?: number
    assistant_only_loss?: boolean
    label_smoothing_factor?: number
    max_length?: number | null
  }
  optimizer: {
    learning_rate: number
    schedule: string
    warmup_steps: number
    weight_decay: number
    max_grad_norm: number
    steps: number
    accumulation: number
    batch: number
  }
  lora: { r: number } | null
  /** The difference between TRL (f32) and a replay in f64. */
  tolerance: { loss: number; grad_norm: number; first_gradient: number; final: number }
  steps: (Logged & Record<string, number>)[]
  first_gradient: Record<string, Summary>
  final: Record<string, Summary>
}

export const trlRuns = async (): Promise<TrlRun[]> =>
  JSON.parse(gunzipSync(await readFile(fixture('trl/runs.json.gz'))).toString())

const recipes: Record<string, Recipe> = { sft, dpo: dpo, kto }
/** The recipe of a run, by its name. */
export const methodOf = (name: string) => (/^(sft|kto)/.exec(name)?.[0] ?? 'dpo') as 'sft' | 'dpo' | 'kto'

const shared = ({ data, optimizer, lora, name }: TrlRun) => ({
  model: fixture('trl/model'),
  data: [fixture(`trl/data/${data}`)],
  shuffle: false,
  batchSize: optimizer.batch,
  gradAccum: optimizer.accumulation,
  learningRate: optimizer.learning_rate,
  schedule: optimizer.schedule,
  warmupSteps: optimizer.warmup_steps,
  weightDecay: optimizer.weight_decay,
  maxGradNorm: optimizer.max_grad_norm,
  maxSteps: optimizer.steps,
  threads: 1,
  ...(lora && { adapter: fixture(`trl/lora-${name.endsWith('pretrained') ? 'pretrained' : 'start'}`), loraDropout: 0 }),
})

const sftSettings = ({ asked }: TrlRun) => ({
  loss: asked.loss_type === 'dft' ? 'dft' : 'nll',
  labelSmoothing: asked.label_smoothing_factor,
  assistantOnlyLoss: asked.assistant_only_loss,
  maxLength: asked.max_length ?? undefined,
})

const lossOf = ({ asked: { loss_type, loss_weights } }: TrlRun) =>
  [loss_type ?? 'sigmoid']
    .flat()
    .map((name, i) => `${name}:${loss_weights?.[i] ?? 1}`)
    .join()

const dpoSettings = (run: TrlRun) => ({
  loss: lossOf(run),
  beta: run.asked.beta,
  // TRL's sigmoid loss has no label smoothing
  labelSmoothing: run.name === 'dpo-smoothing' ? undefined : run.asked.label_smoothing,
  ldAlpha: run.asked.ld_alpha,
  wpo: run.asked.use_weighting,
  discopopTau: run.asked.discopop_tau,
  fDivergence: run.asked.f_divergence_type,
  fAlpha: run.asked.f_alpha_divergence_coef,
})

/** Settings of TRL's CPO and ORPO trainers: losses without a reference model, plus the likelihood of the chosen response. */
const cpoSettings = (run: TrlRun) => {
  const { beta, loss_type, label_smoothing, cpo_alpha, simpo_gamma, alpha } = run.asked
  const kind = run.name === 'orpo' ? 'orpo' : String(loss_type ?? 'sigmoid')
  const named = { sigmoid: 'cpo', alphapo: 'simpo', hinge: `hinge,sft:${cpo_alpha}`, ipo: `ipo,sft:${cpo_alpha}` }
  const loss: string = named[kind as keyof typeof named] ?? kind
  return {
    loss,
    referenceFree: kind === 'hinge' || kind === 'ipo',
    // ORPO's likelihood covers the prompt
    orpoPrompt: kind === 'orpo',
    ...{ beta, labelSmoothing: label_smoothing },
    ...(['cpo', 'simpo'].includes(loss) && { cpoAlpha: cpo_alpha, alpha }),
    ...(loss === 'simpo' && { simpoGamma: simpo_gamma }),
  }
}

const ktoSettings = ({ asked }: TrlRun) => ({
  loss: asked.loss_type,
  beta: asked.beta,
  desirableWeight: asked.desirable_weight,
  undesirableWeight: asked.undesirable_weight,
})

const settingsOf = (run: TrlRun) => {
  if (run.name.startsWith('sft')) return sftSettings(run)
  if (run.name.startsWith('kto')) return ktoSettings(run)
  return run.name.startsWith('dpo') ? dpoSettings(run) : cpoSettings(run)
}

/** Trains with TRL's settings into `output`. */
export const replay = (
  run: TrlRun,
  output: string,
  changes: object = {},
  extras?: Extras,
): AsyncIterable<TrainEvent> => {
  const recipe = recipes[methodOf(run.name)]
  return recipe.run(recipe.schema.parse({ ...shared(run), ...settingsOf(run), output, ...changes }), extras)
}
