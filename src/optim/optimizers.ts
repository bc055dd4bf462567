/**
 * Optimizers as pure elementwise updates of one slice of a parameter, after torch.optim's formulas.
 *
 * The backend writes each output over the input of the same name. So an old array may be read only by the node that
 * replaces it and by that node's ancestors, which have run before it; everything else reads the new array. A test
 * checks this for every optimizer. Values that change from step to step are scalar inputs, computed in double
 * precision.
 */
import type { Tensor } from '../tensor/tensor.ts'

/** Optimizers by their names in torch.optim. */
export type OptimizerName = 'adamw' | 'adam' | 'sgd' | 'rmsprop'

/** torch.optim's settings and defaults; each optimizer reads its own. */
export type Hyper = {
  /** 0 */
  weightDecay?: number
  /** adamw, adam: [0.9, 0.999] */
  betas?: readonly [number, number]
  /** adamw, adam, rmsprop: 1e-8 */
  eps?: number
  /** sgd, rmsprop: 0 */
  momentum?: number
  /** sgd: false */
  nesterov?: boolean
  /** sgd: 0 */
  dampening?: number
  /** rmsprop: 0.99 */
  alpha?: number
}

/** One step's settings for one slice. */
export type StepSettings = {
  /** From 1. */
  step: number
  /** That of this step, after the schedule. */
  learningRate: number
  /** Factor for the gradient: clipping, and any division that is still to be done. */
  gradScale: number
  /** Whether weight decay applies to this parameter. */
  decays: boolean
}

/** A part of the parameters, with what its update reads. */
export type Slice = {
  /** [n] parameters. */
  param: Tensor
  /** [n] their gradient. */
  grad: Tensor
  /** [n] arrays of the optimizer, by name. */
  state: Readonly<Record<string, Tensor>>
}

/** The new parameter and state arrays. */
export type Updated = Pick<Slice, 'param' | 'state'>

/** An optimizer as functions of tensors, from which a program is made. */
export type Optimizer = {
  /** Names of the state arrays: each has the parameter's shape and starts as zeros. */
  state: readonly string[]
  /** Names of the f32 scalar inputs. */
  scalars: readonly string[]
  /** Their values. */
  scalarValues: (settings: StepSettings) => Record<string, number>
  /** The new parameters and state of a slice. @param slice [n] arrays   @param scalars [] by name */
  update: (slice: Slice, scalars: Readonly<Record<string, Tensor>>) => Updated
}

type Settings = Required<Hyper>

const defaults: Settings = {
  weightDecay: 0,
  betas: [0.9, 0.999],
  eps: 1e-8,
  momentum: 0,
  nesterov: false,
  dampening: 0,
  alpha: 0.99,
}

/** The optimizer of a name, with its settings. */
export const optimizer = (name: OptimizerName, hyper: Hyper = {}): Optimizer =>
  optimizers[name]({ ...defaults, ...hyper })

/** m <- beta1 m + mGain g,  v <- beta2 v + vGain g^2,  and stepSize m / (sqrt(v) + epsilon): as few passes as it takes. */
const adamStep = (g: Tensor, state: Slice['state'], s: Readonly<Record<string, Tensor>>, { betas }: Settings) => {
  const m = state.m.mul(betas[0]).add(g.mul(s.mGain))
  const v = state.v.mul(betas[1]).add(g.mul(s.vGain).mul(g))
  return { state: { m, v }, change: m.mul(s.stepSize).div(v.sqrt().add(s.epsilon)) }
}

/**
 * lr / (1 - beta1^t) m / (sqrt(v / c) + eps), c = 1 - beta2^t, is lr sqrt(c) / (1 - beta1^t) m / (sqrt(v) + eps sqrt(c)).
 * @param gradScale factor for the gradient
 */
const adamScalars = ({ step, learningRate }: StepSettings, gradScale: number, { betas, eps }: Settings) => {
  const correction = Math.sqrt(1 - betas[1] ** step)
  return {
    mGain: (1 - betas[0]) * gradScale,
    vGain: (1 - betas[1]) * gradScale ** 2,
    stepSize: (learningRate * correction) / (1 - betas[0] ** step),
    epsilon: eps * correction,
  }
}

const adamScalarNames = ['mGain', 'vGain', 'stepSize', 'epsilon']

/** g + weightDecay p: decay as an L2 penalty, 0 where the parameter does not decay. */
const penalised = ({ param, grad }: Slice, s: Readonly<Record<string, Tensor>>) =>
  grad.mul(s.gradScale).add(param.mul(s.weightDecay))

const penalty = ({ gradScale, decays }: StepSettings, { weightDecay }: Settings) => ({
  gradScale,
  weightDecay: decays ? weightDecay : 0,
})

const optimizers: { [N in OptimizerName]: (hyper: Settings) => Optimizer } = {
  // p <- p (1 - lr wd) - lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)   (arXiv 1711.05101, algorithm 2)
  adamw: (hyper) => ({
    state: ['m', 'v'],
    scalars: ['keep', ...adamScalarNames],
    scalarValues: (at) => ({
      keep: at.decays ? 1 - at.learningRate * hyper.weightDecay : 1,
      ...adamScalars(at, at.gradScale, hyper),
    }),
    update: ({ param, grad, state }, s): Updated => {
      const { state: next, change } = adamStep(grad, state, s, hyper)
      return { param: param.mul(s.keep).sub(change), state: next }
    },
  }),
  // The same without `keep`, on g + wd p   (arXiv 1412.6980, algorithm 1)
  adam: (hyper) => ({
    state: ['m', 'v'],
    scalars: ['gradScale', 'weightDecay', ...adamScalarNames],
    scalarValues: (at) => ({ ...penalty(at, hyper), ...adamScalars(at, 1, hyper) }),
    update: (slice, s): Updated => {
      const { state, change } = adamStep(penalised(slice, s), slice.state, s, hyper)
      return { param: slice.param.sub(change), state }
    },
  }),
  // b <- momentum b + (1 - dampening) g (the first b is g),  p <- p - lr b, or p - lr (g + momentum b) with Nesterov's
  sgd: (hyper) => ({
    state: hyper.momentum ? ['momentum'] : [],
    scalars: ['gradScale', 'weightDecay', 'learningRate', ...(hyper.momentum ? ['share'] : [])],
    scalarValues: (at) => ({
      ...penalty(at, hyper),
      learningRate: at.learningRate,
      ...(hyper.momentum && { share: at.step === 1 ? 1 : 1 - hyper.dampening }),
    }),
    update: (slice, s): Updated => {
      const g = penalised(slice, s)
      if (!hyper.momentum) return { param: slice.param.sub(g.mul(s.learningRate)), state: {} }
      const momentum = slice.state.momentum.mul(hyper.momentum).add(g.mul(s.share))
      const step = hyper.nesterov ? g.add(momentum.mul(hyper.momentum)) : momentum
      return { param: slice.param.sub(step.mul(s.learningRate)), state: { momentum } }
    },
  }),
  // v <- alpha v + (1 - alpha) g^2,  u = g / (sqrt(v) + eps),  p <- p - lr u, or with b <- momentum b + u, p - lr b
  rmsprop: (hyper) => ({
    state: hyper.momentum ? ['v', 'momentum'] : ['v'],
    scalars: ['gradScale', 'weightDecay', 'learningRate'],
    scalarValues: (at) => ({ ...penalty(at, hyper), learningRate: at.learningRate }),
    update: (slice, s): Updated => {
      const g = penalised(slice, s)
      const v = slice.state.v.mul(hyper.alpha).add(g.mul(1 - hyper.alpha).mul(g))
      const u = g.div(v.sqrt().add(hyper.eps))
      if (!hyper.momentum) return { param: slice.param.sub(u.mul(s.learningRate)), state: { v } }
      const momentum = slice.state.momentum.mul(hyper.momentum).add(u)
      return { param: slice.param.sub(momentum.mul(s.learningRate)), state: { v, momentum } }
    },
  }),
}
