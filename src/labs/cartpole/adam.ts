/** Adam (Kingma and Ba 2015, algorithm 1) on a flat array, for the network of this lab. */

export type Adam = { step: number; mean: Float64Array; square: Float64Array }

const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-8]

export const makeAdam = (length: number): Adam => ({
  step: 0,
  mean: new Float64Array(length),
  square: new Float64Array(length),
})

/** Updates weights and state in place, and sets the gradient to 0. */
export const adamStep = (state: Adam, weights: Float64Array, gradient: Float64Array, learningRate: number) => {
  const { mean, square } = state
  state.step++
  const correction = 1 - beta1 ** state.step
  const rootCorrection = Math.sqrt(1 - beta2 ** state.step)
  for (let i = 0; i < weights.length; i++) {
    const g = gradient[i]
    mean[i] = beta1 * mean[i] + (1 - beta1) * g
    square[i] = beta2 * square[i] + (1 - beta2) * g * g
    weights[i] -= ((learningRate / correction) * mean[i]) / (Math.sqrt(square[i]) / rootCorrection + epsilon)
    gradient[i] = 0
  }
}

/** Scales a gradient down to this norm if its norm is larger. */
export const clipNorm = (gradient: Float64Array, maxNorm: number) => {
  let sum = 0
  for (const g of gradient) sum += g * g
  const scale = maxNorm / Math.sqrt(sum)
  if (scale < 1) for (let i = 0; i < gradient.length; i++) gradient[i] *= scale
}
