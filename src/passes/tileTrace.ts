/** What the programs of a head's tiles have alike, in fp32 and in 8-bit codes (tiledHead.ts). */
import type { TokenStats } from '../nn/head.ts'
import { input, type Tensor } from '../tensor/tensor.ts'

export type StatName = keyof TokenStats

/** What is accumulated over the tiles, [R, 1]. */
export const column = (name: string) => input(name, ['R', 1])

/** Whether the label is in this tile, and its index there (0 where it is not); both [R, 1]. */
export const placeOf = () => {
  const label = input('label', ['R'], 'i64').reshape(['R', 1])
  const [start, end] = [input('start', [1], 'i64'), input('end', [1], 'i64')]
  const inside = label.ge(start).and(label.lt(end))
  return { inside, place: inside.where(label.sub(start), start.sub(start)) }
}

/** log(exp(a) + exp(b)) */
export const nextLogSum = (a: Tensor, b: Tensor): Tensor => {
  const larger = a.max(b)
  return larger.add(a.sub(larger).exp().add(b.sub(larger).exp()).log())
}
