/**
 * log(1 - e^x) for x < 0, the denominator of log odds. The primitives have neither expm1 nor log1p. With t = tanh(x /
 * 2), 1 - e^x = -2t / (1 - t): it cancels nowhere near 0 and is exact to rounding far from it, so one formula serves
 * all x.
 */
import type { Tensor } from '../tensor/tensor.ts'

/** @param x any shape, below 0; a probability that rounded to 1 (x = 0) is taken as e^-1e-30, with no gradient */
export const log1mexp = (x: Tensor): Tensor => {
  const t = x.min(-1e-30).mul(0.5).tanh()
  return t.mul(-2).log().sub(t.neg().add(1).log())
}

/** Log odds of a log-probability: x - log(1 - e^x). */
export const logOdds = (x: Tensor): Tensor => x.sub(log1mexp(x))
