/** The number of elements of arrays. */

/** Of one array of this shape; 1 for a scalar. */
export const numel = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)

/** Of several tensors together, such as the parameters of a model. */
export const countParameters = (tensors: Iterable<{ readonly shape: readonly number[] }>): number => {
  let count = 0
  for (const { shape } of tensors) count += numel(shape)
  return count
}
