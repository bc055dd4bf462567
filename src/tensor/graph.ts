/**
 * Walks and prints traced programs. A program is given by its outputs; nodes that they do not depend on are no part of
 * it.
 */

import { typeText } from './primitives.ts'
import type { Tensor } from './tensor.ts'

/** All nodes that the outputs depend on, inputs before users. Without recursion, since programs are deep. */
export const topological = (outputs: readonly Tensor[]): Tensor[] => {
  const order: Tensor[] = []
  const seen = new Set<Tensor>()
  const stack: [Tensor, number][] = outputs.map((t) => [t, 0] as [Tensor, number]).reverse()
  while (stack.length) {
    const top = stack[stack.length - 1]
    const [t, next] = top
    if (next === 0 && seen.has(t)) {
      stack.pop()
    } else if (next < t.inputs.length) {
      seen.add(t)
      top[1]++
      if (!seen.has(t.inputs[next])) stack.push([t.inputs[next], 0])
    } else {
      seen.add(t)
      order.push(t)
      stack.pop()
    }
  }
  return order
}

/** Named inputs of a program, in the order in which they are first needed. */
export const inputsOf = (order: readonly Tensor[]): Tensor<'input'>[] =>
  order.filter((t): t is Tensor<'input'> => t.op === 'input')

/** One line for each node, numbered from 0 and stable between runs, for snapshots and for reading. */
export const print = (outputs: readonly Tensor[]): string => {
  const order = topological(outputs)
  const index = new Map(order.map((t, i) => [t, i]))
  const line = (t: Tensor) => {
    const args = t.inputs.map((x) => `%${index.get(x)}`).join(' ')
    return `%${index.get(t)} = ${t.op}${args && ` ${args}`}${printParams(t)} : ${typeText(t)}`
  }
  return [...order.map(line), `return ${outputs.map((t) => `%${index.get(t)}`).join(' ')}`].join('\n')
}

/** The parameters that the type does not show. */
const printParams = (t: Tensor): string => {
  const { shape: _, dtype: __, rule: ___, ...rest } = t.params as Record<string, unknown>
  return Object.keys(rest).length ? ` ${paramsText(rest)}` : ''
}

/** JSON, extended by infinities, NaN and -0. */
export const paramsText = (params: object): string =>
  JSON.stringify(params, (_, value) =>
    Object.is(value, -0) ? '-0' : typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
  )
