/**
 * Refuses settings that would change nothing, such as --simpo-gamma without --loss simpo. A setting counts as given where it is
 * not its default.
 */
import type { z } from 'zod'
import { badInput } from '../../util/fault.ts'
import { kebab } from '../../util/kebab.ts'

type Settings = Readonly<Record<string, unknown>>

/** Whether one of the losses that `--loss` names is among these. */
const loss =
  (...names: string[]) =>
  (s: Settings) =>
    `${s.loss}`.split(',').some((part) => names.includes(part.split(':')[0].trim()))

const evaluated = (s: Settings) => s.evalData !== undefined || (s.evalSplit ?? 0) !== 0

/** Whether completions are sampled: always, but in a distillation on those of the data. */
const samples = (s: Settings) => s.lmbda !== 0 || s.seqKd === true

/** When each setting is read, and what it needs, for the message. */
const readers: Readonly<Record<string, readonly [reads: (s: Settings) => boolean, needs: string]>> = {
  simpoGamma: [loss('simpo'), '--loss simpo'],
  cpoAlpha: [loss('cpo', 'simpo'), '--loss cpo or simpo'],
  alpha: [loss('cpo', 'simpo'), '--loss cpo or simpo'],
  orpoPrompt: [loss('orpo'), '--loss orpo'],
  discopopTau: [loss('discopop'), '--loss discopop'],
  fAlpha: [(s) => s.fDivergence === 'alpha_divergence', '--f-divergence alpha_divergence'],
  historicWeight: [(s) => s.loss === 't-spin', '--loss t-spin'],
  pairLoss: [(s) => s.kind === 'pair', '--kind pair'],
  baselineMomentum: [(s) => s.baseline === 'ema', '--baseline ema'],
  baselineWindow: [(s) => s.baseline === 'window', '--baseline window'],
  delta: [(s) => !['cispo', 'sapo', 'vespo'].includes(`${s.lossType}`), 'a --loss-type that clips'],
  epsilonHigh: [(s) => !['sapo', 'vespo'].includes(`${s.lossType}`), 'a --loss-type that clips'],
  epsilon: [(s) => !['sapo', 'vespo'].includes(`${s.lossType}`), 'a --loss-type that clips'],
  useBiasCorrectionKl: [(s) => s.klCoef !== 0, '--kl-coef'],
  klHorizon: [(s) => s.klTarget !== undefined, '--kl-target'],
  vfCoef: [(s) => s.valueModel === undefined, 'a value head on the policy, and --value-model is given'],
  seqKd: [(s) => s.lmbda !== 1, '--lmbda below 1'],
  temperature: [samples, '--lmbda above 0, or --seq-kd'],
  maxNewTokens: [samples, '--lmbda above 0, or --seq-kd'],
  ptxCoef: [(s) => s.ptxData !== undefined, '--ptx-data'],
  ptxBatchSize: [(s) => s.ptxData !== undefined, '--ptx-data'],
  warmupSteps: [(s) => s.schedule !== 'constant', 'a --schedule with a warm-up, such as constant_with_warmup'],
  patience: [(s) => evaluated(s) && s.bestMetric !== 'none', '--eval-data or --eval-split, and a --best-metric'],
  evalEvery: [evaluated, '--eval-data or --eval-split'],
  bestMetric: [evaluated, '--eval-data or --eval-split'],
}

/** Throws a Fault 'bad-flag' for a setting that nothing would read. @param defaults where they are not those of the schema */
export const refuseUnused = (schema: z.ZodObject, settings: Settings, defaults: Settings = {}): void => {
  for (const [name, [reads, needs]] of Object.entries(readers)) {
    if (!(name in schema.shape) || reads(settings)) continue
    const standard = (schema.shape[name] as z.ZodType).safeParse(undefined).data
    if ([undefined, standard, defaults[name]].includes(settings[name])) continue
    throw badInput('bad-flag', `changes nothing here: it needs ${needs}`, { flag: `--${kebab(name)}` })
  }
}
