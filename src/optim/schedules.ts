/**
 * Learning-rate schedules with the names, shapes and defaults of transformers' get_scheduler. The first step is step
 * 0, so a warm-up begins at a rate of 0 and its first update changes nothing.
 */
import { badInput } from '../util/fault.ts'

export const scheduleNames = [
  'linear',
  'cosine',
  'cosine_with_restarts',
  'cosine_with_min_lr',
  'polynomial',
  'constant',
  'constant_with_warmup',
  'inverse_sqrt',
  'warmup_stable_decay',
] as const
export type ScheduleName = (typeof scheduleNames)[number]

export type Ramp = 'linear' | 'cosine' | '1-sqrt'

export type ScheduleOptions = {
  learningRate: number
  warmupSteps: number
  totalSteps: number
  /** cosine, cosine_with_min_lr: waves, 0.5 by default (half a wave, down to the end); cosine_with_restarts: how often it begins anew, 1. */
  numCycles?: number
  /** polynomial: its power, 1 by default. */
  power?: number
  /** polynomial: the learning rate at the end, 1e-7 by default. */
  lrEnd?: number
  /** inverse_sqrt: steps after the warm-up until the rate is its peak divided by the root of 2; by default as many as the warm-up has, or 10,000 without one. */
  timescale?: number
  /** cosine_with_min_lr: the floor as a part of the learning rate. */
  minLrRate?: number
  /** warmup_stable_decay: steps of the last phase. */
  numDecaySteps?: number
  /** warmup_stable_decay: linear */
  warmupType?: Ramp
  /** warmup_stable_decay: cosine */
  decayType?: Ramp
  /** warmup_stable_decay: where both ramps end, as a part of the learning rate; 0. */
  minLrRatio?: number
}

/**
 * @returns the learning rate of step 0, 1, ...
 * @throws Fault where a schedule lacks an option that it needs, or its options contradict each other
 */
export const schedule = (name: ScheduleName, options: ScheduleOptions): ((step: number) => number) => {
  const shape = shapes[name](options)
  const { learningRate, warmupSteps } = options
  const warm = name === 'constant' || name === 'warmup_stable_decay' ? 0 : warmupSteps
  return (step) => learningRate * (step < warm ? step / warm : shape(step))
}

/** Part of the way from the warm-up's end to the last step; may pass 1. */
const progress = (step: number, { warmupSteps, totalSteps }: ScheduleOptions) =>
  (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps)

/** 1 at 0, 0 at half a wave. */
const wave = (cycles: number) => 0.5 * (1 + Math.cos(2 * Math.PI * cycles))

const refuse = (message: string) => badInput('bad-flag', message, { flag: '--schedule' })

/** The part of the learning rate at each step after the warm-up. */
const shapes: { [N in ScheduleName]: (o: ScheduleOptions) => (step: number) => number } = {
  linear: (o) => (step) => Math.max(0, 1 - progress(step, o)),
  cosine: (o) => (step) => Math.max(0, wave((o.numCycles ?? 0.5) * progress(step, o))),
  cosine_with_restarts: (o) => (step) => {
    const p = progress(step, o)
    return p >= 1 ? 0 : Math.max(0, wave((((o.numCycles ?? 1) * p) % 1) / 2))
  },
  cosine_with_min_lr: (o) => {
    const { minLrRate: floor, numCycles = 0.5 } = o
    if (floor === undefined) throw refuse('cosine_with_min_lr needs minLrRate, a part of the learning rate such as 0.1')
    return (step) => Math.max(0, wave(numCycles * progress(step, o)) * (1 - floor) + floor)
  },
  polynomial: (o) => {
    const { learningRate, totalSteps, lrEnd = 1e-7, power = 1 } = o
    if (lrEnd >= learningRate) throw refuse(`polynomial ends at ${lrEnd}, not below the learning rate ${learningRate}`)
    const decay = (step: number) => (learningRate - lrEnd) * (1 - progress(step, o)) ** power + lrEnd
    return (step) => (step > totalSteps ? lrEnd : decay(step)) / learningRate
  },
  constant: () => () => 1,
  constant_with_warmup: () => () => 1,
  inverse_sqrt: ({ warmupSteps, timescale = warmupSteps || 10_000 }) => {
    return (step) => 1 / Math.sqrt((step + timescale - warmupSteps) / timescale)
  },
  warmup_stable_decay: (o) => {
    const { warmupSteps, totalSteps, numDecaySteps, numCycles = 0.5, minLrRatio: floor = 0 } = o
    if (numDecaySteps === undefined)
      throw refuse('warmup_stable_decay needs numDecaySteps, the length of its last phase')
    const decayStart = totalSteps - numDecaySteps
    const lifted = (part: number) => Math.max(0, part * (1 - floor) + floor)
    return (step) => {
      if (step < warmupSteps) return lifted(rising(step / warmupSteps, o.warmupType ?? 'linear'))
      if (step < decayStart) return 1
      if (step >= decayStart + numDecaySteps) return floor
      return lifted(falling((step - decayStart) / numDecaySteps, o.decayType ?? 'cosine', numCycles))
    }
  },
}

/** 0 to 1 over x from 0 to 1. */
const rising = (x: number, ramp: Ramp) =>
  ramp === 'linear' ? x : ramp === 'cosine' ? 1 - wave(x / 2) : 1 - Math.sqrt(1 - x)

/** 1 to 0 over x from 0 to 1. */
const falling = (x: number, ramp: Ramp, cycles: number) =>
  ramp === 'linear' ? 1 - x : ramp === 'cosine' ? wave(cycles * x) : 1 - Math.sqrt(x)
