/**
 * Questions of mathematics with a right and a wrong answer, for judges of rows that have none: each wrong answer is as long
 * and as sure of itself as the right one, and its working has one slip.
 */
import { rng } from '../../util/rng.ts'

export type MathQuestion = { id: string; question: string; right: string; wrong: string; reference: string }

type Made = Omit<MathQuestion, 'id'>

const percentOff = (a: number, b: number): Made => {
  const [price, off] = [20 * a, 5 * b]
  const cut = (price * off) / 100
  const answer = (saved: number) =>
    `${off} % of ${price} dollars is ${saved} dollars. So the coat costs ${price} - ${saved} = ${price - saved} dollars.`
  return {
    question: `A coat costs ${price} dollars. In the sale it is ${off} % cheaper. What does it cost in the sale?`,
    right: answer(cut),
    wrong: answer(cut + a),
    reference: `${off} % of ${price} is ${cut}, so it costs ${price - cut} dollars.`,
  }
}

const meeting = (a: number, b: number): Made => {
  const [slow, fast] = [10 * a, 10 * (a + b)]
  const distance = (slow + fast) * 3
  const answer = (together: number, hours: number) =>
    `Together they come ${together} km closer each hour. ${distance} / ${together} = ${hours}, so they meet after ${hours} hours.`
  const wrongly = Math.round((100 * distance) / fast) / 100
  return {
    question: `Two trains start ${distance} km apart and drive towards each other, one at ${slow} km/h and one at ${fast} km/h. After how many hours do they meet?`,
    right: answer(slow + fast, 3),
    wrong: answer(fast, wrongly),
    reference: `They approach at ${slow + fast} km/h, and ${distance} / ${slow + fast} = 3 hours.`,
  }
}

const equation = (a: number, b: number): Made => {
  const x = b + 2
  const [factor, plus] = [a + 1, 3 * b + 1]
  const total = factor * x + plus
  const answer = (rest: number, value: number) =>
    `Subtracting ${plus} on both sides gives ${factor}x = ${rest}. Dividing by ${factor} gives x = ${value}.`
  return {
    question: `Solve ${factor}x + ${plus} = ${total} for x.`,
    right: answer(total - plus, x),
    wrong: answer(total - plus + factor, x + 1),
    reference: `${factor}x = ${total} - ${plus} = ${total - plus}, so x = ${x}.`,
  }
}

const order = (a: number, b: number): Made => {
  const [x, y, z] = [a + 3, b + 2, a + b]
  const answer = (steps: string, value: number) => `${steps} So the result is ${value}.`
  return {
    question: `What is ${x} + ${y} * ${z}?`,
    right: answer(`First ${y} * ${z} = ${y * z}, then ${x} + ${y * z} = ${x + y * z}.`, x + y * z),
    wrong: answer(`First ${x} + ${y} = ${x + y}, then ${x + y} * ${z} = ${(x + y) * z}.`, (x + y) * z),
    reference: `Multiplication comes first: ${y} * ${z} = ${y * z}, and ${x} + ${y * z} = ${x + y * z}.`,
  }
}

const chance = (a: number, b: number): Made => {
  const [red, blue] = [a + 2, b + 2]
  const all = red + blue
  const answer = (second: number, below: number) =>
    `The first is red with probability ${red}/${all}, the second with ${second}/${below}. So both are red with probability ${red * second}/${all * below}.`
  return {
    question: `A bag holds ${red} red and ${blue} blue balls. Two are drawn without putting the first back. What is the probability that both are red?`,
    right: answer(red - 1, all - 1),
    wrong: answer(red, all),
    reference: `${red}/${all} * ${red - 1}/${all - 1} = ${red * (red - 1)}/${all * (all - 1)}.`,
  }
}

const rectangle = (a: number, b: number): Made => {
  const [width, length] = [a + 2, a + b + 3]
  const answer = (rest: number, other: number) =>
    `Half of the perimeter is ${rest} m. The other side is ${rest} - ${width} = ${other} m, so the area is ${width} * ${other} = ${width * other} square metres.`
  return {
    question: `A rectangle has a perimeter of ${2 * (width + length)} m, and one side is ${width} m long. What is its area?`,
    right: answer(width + length, length),
    wrong: answer(width + length + 1, length + 1),
    reference: `The other side is ${width + length} - ${width} = ${length} m, and the area ${width * length} square metres.`,
  }
}

const kinds = [percentOff, meeting, equation, order, chance, rectangle]
const eachKind = 5

/** Thirty questions, always the same. */
export const mathQuestions = (): MathQuestion[] => {
  const random = rng(1)
  const draw = (i: number) => 2 + Math.floor(7 * random.uniform(i))
  return Array.from({ length: kinds.length * eachKind }, (_, i) => ({
    id: `math-${i + 1}`,
    ...kinds[i % kinds.length](draw(2 * i), draw(2 * i + 1)),
  }))
}

/** What a judge is asked, to solve a question by itself before it judges answers to it. */
export const solveRequest = (question: string): string =>
  `Solve this problem. Work it out step by step in a few lines, then say the result.\n\n${question}`
