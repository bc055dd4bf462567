/**
 * From bias figures to an answer: may this judge be believed? The bounds are a judgement of this project, not a law. They are
 * compared with intervals, so that few judgements never make a judge look good or bad.
 */

import type { Figure } from '../../feedback/bias/figure.ts'
import type { BiasFigures, FailureFigures } from '../../feedback/bias/figures.ts'
import type { LengthFigures } from '../../feedback/bias/length.ts'
import { percent } from '../../util/format.ts'

export type Grade = 'good' | 'care' | 'bad' | 'unknown'

/** One question about a judge, and what the figures say. */
export type Point = { name: PointName; question: string; grade: Grade; said: string; meaning: string }
export type PointName = 'people' | 'verdicts' | 'order' | 'length' | 'math' | 'self'

export type Belief = {
  answer: 'yes' | 'care' | 'no' | 'unknown'
  /** The answer in words, with which the headline begins. */
  begins: string
  headline: string
  advice: string[]
  points: Point[]
}

/** An interval as wide as this tells nothing. */
const tooWide = 0.35

/** A figure that is good counts as good if its interval reaches no farther beyond the bound. */
const margin = 0.1

/**
 * Of a share of failures. Good: the value is at most `good`, and its interval ends near it. Bad: the whole interval is above
 * `bad`. Between them it is a weakness, unless the interval is so wide that nothing is known.
 */
const failureGrade = ({ value, low, high }: Figure, good: number, bad: number): Grade => {
  if (value <= good) return high <= good + margin ? 'good' : 'unknown'
  if (low > bad) return 'bad'
  return high - low > tooWide ? 'unknown' : 'care'
}

const success = ({ value, low, high, n }: Figure): Figure => ({ value: 1 - value, low: 1 - high, high: 1 - low, n })

const rangeText = ({ value, low, high, n }: Figure): string =>
  `${percent(value, 1)} (${percent(low, 1)} to ${percent(high, 1)}, n = ${n})`

/** What people agree on among themselves in the projects that this one builds on. */
const usualPeople = 0.7

export const beliefOf = (figures: BiasFigures): Belief => {
  const points = [people, verdicts, order, length, math, self].flatMap((point) => point(figures) ?? [])
  const grade = (name: PointName) => points.find((point) => point.name === name)?.grade
  const weak = points.filter(({ grade }) => grade === 'bad' || grade === 'care')
  const answer = ((): Belief['answer'] => {
    if ((['people', 'verdicts', 'order'] as const).some((name) => grade(name) === 'bad')) return 'no'
    if (grade('people') === undefined || grade('people') === 'unknown') return 'unknown'
    return weak.length || points.some((point) => point.grade === 'unknown') ? 'care' : 'yes'
  })()
  return {
    answer,
    begins: beginnings[answer],
    headline: headlineOf(answer, figures, points),
    advice: adviceOf(figures, points),
    points,
  }
}

const beginnings = {
  yes: 'Yes, to compare many answers.',
  care: 'With care.',
  no: 'No.',
  unknown: 'That cannot be said yet:',
} as const

const headlineOf = (answer: Belief['answer'], figures: BiasFigures, points: readonly Point[]): string => {
  const { judge, agreement } = figures
  const reasonFor = (name: PointName) =>
    name === 'order' && followsNames(figures) ? 'which answer is called A decides too often' : reasons[name]
  const bad = points.filter(({ grade }) => grade === 'bad').map(({ name }) => reasonFor(name))
  if (answer === 'no') return `${beginnings.no} On this data ${judge} should not decide anything: ${listed(bad)}.`
  const weak = points.filter(({ grade }) => grade === 'bad' || grade === 'care').map(({ name }) => weaknesses[name])
  const found = weak.length ? `What was found: ${listed(weak)}.` : 'No fault was found in what was measured.'
  if (answer === 'unknown') {
    const why = agreement?.judge_human_no_ties
      ? 'there are too few votes of people to say whether it is right'
      : 'no votes of people are there, and without them nobody knows whether it is right'
    return `${beginnings.unknown} ${why}. ${found}`
  }
  const agrees = `On this data ${judge} agrees with people in ${percent(agreement!.judge_human_no_ties!.value)} of the comparisons that both decided`
  if (answer === 'yes')
    return `${beginnings.yes} ${agrees}, and no fault was found that would turn a result round. It is no substitute for people on a single answer.`
  const unclear = points.filter(({ grade }) => grade === 'unknown').map(({ name }) => weaknesses[name])
  return `${beginnings.care} ${agrees}${weak.length ? `, but: ${listed(weak)}` : ''}.${unclear.length ? ` Too few judgements to tell: ${listed(unclear)}.` : ''}`
}

const listed = (parts: readonly string[]) =>
  parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`

const reasons: Record<PointName, string> = {
  people: 'it agrees with people hardly more often than a coin',
  verdicts: 'too many of its replies have no verdict',
  order: 'which answer stands first decides too often',
  length: 'it takes length for quality',
  math: 'it does not see wrong mathematics',
  self: "it favours its own model's answers",
}

const weaknesses: Record<PointName, string> = {
  people: 'it agrees with people less than one would wish',
  verdicts: 'some of its replies have no verdict',
  order: 'the order of the answers sways it',
  length: 'length sways it',
  math: 'it misses wrong mathematics',
  self: "it may favour its own model's answers",
}

/** Whether the names A and B, and not the places, are what the tilt goes to. */
const followsNames = ({ names }: BiasFigures): boolean =>
  names?.name !== undefined && names.place !== undefined && Math.abs(names.name.value) > 2 * Math.abs(names.place.value)

// ---- the questions ---------------------------------------------------------------------------------------------------

type Question = (figures: BiasFigures) => Point | undefined

const people: Question = ({ agreement }) => {
  const ours = agreement?.judge_human_no_ties
  if (!ours) return undefined
  const theirs = agreement.human_human_no_ties
  const bound = Math.min(usualPeople, theirs?.value ?? usualPeople)
  const grade: Grade = ((): Grade => {
    if (ours.high < 0.55) return 'bad'
    if (ours.low <= 0.5) return ours.n >= 100 ? 'bad' : 'unknown'
    return ours.low >= bound ? 'good' : ours.high - ours.low > tooWide ? 'unknown' : 'care'
  })()
  return {
    name: 'people',
    question: 'Does it say what people say?',
    grade,
    said: `Where neither side says tie, it agrees with a person in ${rangeText(ours)}${theirs ? `; two people agree in ${rangeText(theirs)}` : ''}.`,
    meaning: theirs
      ? 'A judge cannot be more right than people are of one mind. One that agrees with them as often as they do with each other is as good as one more person.'
      : 'A coin would agree in 50 %. People often agree with each other in about 70 % to 80 % of such comparisons; here nobody voted twice on the same pair, so that is not known for this data.',
  }
}

const verdicts: Question = ({ position }) => {
  if (!position) return undefined
  return {
    name: 'verdicts',
    question: 'Does it give verdicts at all?',
    grade: failureGrade(position.unreadable, 0.05, 0.2),
    said: `${rangeText(position.unreadable)} of its replies have no readable verdict.`,
    meaning: 'Pairs with such a reply count nowhere. If these are the hard ones, what is left looks too easy.',
  }
}

const order: Question = (figures) => {
  const { position, consistent } = figures
  const steady = position ? position.steady : consistent
  if (!steady) return undefined
  const leanings = position
    ? ` Of all pairs it leans in ${rangeText(position.first)} to what stands first and in ${rangeText(position.second)} to what stands second.`
    : ''
  return {
    name: 'order',
    question: 'Does the order of the answers decide?',
    grade: failureGrade(success(steady), 0.2, 0.5),
    said: `Where it gives two verdicts, it says the same in ${rangeText(steady)} of the pairs when the two answers change places.${leanings}${followsNames(figures) ? ' With the names exchanged the verdicts go with the name, so it is the name A or B that sways it, and not the place.' : ''}`,
    meaning:
      'GPT-4 said the same on 65 % of the pairs of MT-bench, GPT-3.5 on 46 %. Asked in both orders, with a win only where both agree, a judge that is swayed gives more ties, and none the wrong way.',
  }
}

const length: Question = ({ length: figures, padding }) => {
  if (!padding && !figures) return undefined
  const byPadding = padding && failureGrade(padding.wrong, 0.15, 0.5)
  const byPeople = figures?.excess && failureGrade(figures.excess, 0.1, 0.25)
  const plain = figures && failureGrade(figures.longer, 0.65, 0.85)
  const enough = figures && figures.longer.n >= fewest
  const grades = [byPadding, byPeople ?? plain].filter((grade) => grade !== undefined)
  const worst = (['bad', 'care', 'unknown', 'good'] as const).find((grade) => grades.includes(grade))!
  return {
    name: 'length',
    question: 'Does it take length for quality?',
    grade: worst,
    said: [padding ? paddingText(padding) : '', enough ? longerText(figures) : ''].filter(Boolean).join(' '),
    meaning:
      'A list said twice is never better: GPT-4 was fooled in 9 % of such pairs, GPT-3.5 in 91 %. That longer answers win may be right, since they may be better; only compared with people, or by the padded lists, is it a fault.',
  }
}

/** Fewer verdicts are not worth a sentence. */
const fewest = 10

const paddingText = ({ wrong }: FailureFigures) =>
  `It prefers a list that says everything twice to the same list once in ${rangeText(wrong)}.`

const longerText = ({ longer, people: byPeople, excess }: LengthFigures) => {
  const compared =
    byPeople && excess
      ? `; people on the same pairs in ${rangeText(byPeople)}. The difference is ${pointsText(excess)}`
      : ''
  return `Where lengths differ by more than 30 characters, it prefers the longer answer in ${rangeText(longer)}${compared}.`
}

const pointsText = ({ value, low, high }: Figure) =>
  `${(100 * value).toFixed(1)} points (${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)})`

const mathText: Record<string, string> = {
  plain: 'plainly asked',
  own_solution: 'with its own solution first',
  reference: 'with a reference',
}

const math: Question = ({ math: figures }) => {
  const plain = figures?.modes.plain
  if (!figures || !plain) return undefined
  const modes = Object.entries(figures.modes) as [string, FailureFigures][]
  return {
    name: 'math',
    question: figures.ownQuestions ? 'Does it see which answer is right?' : 'Does it see wrong mathematics?',
    grade: failureGrade(plain.failure, 0.15, 0.5),
    said: `It does not prefer the right answer to a wrong one in ${listed(modes.map(([mode, { failure }]) => `${rangeText(failure)} ${mathText[mode]}`))}.`,
    meaning: `${figures.ownQuestions ? 'The questions are the rows with a reference.' : 'The questions are thirty of school mathematics that come with attune; right and wrong answers look alike.'} A wrong answer can lead a judge along. Where a reference helps, give references (attune judge --mode reference).`,
  }
}

const self: Question = ({ self: figures }) => {
  if (!figures) return undefined
  return {
    name: 'self',
    question: 'Does it favour its own model?',
    grade: failureGrade(figures.difference, 0.05, 0.2),
    said: `${figures.model} wins ${rangeText(figures.by_itself)} by this judge, and ${rangeText(figures.by_others)} by others on the same pairs. The difference is ${pointsText(figures.difference)}.`,
    meaning: 'MT-bench found 10 points for GPT-4 and 25 for Claude-v1, on too little data to be sure of.',
  }
}

const adviceOf = (figures: BiasFigures, points: readonly Point[]): string[] => {
  const weak = (name: PointName) => points.some((point) => point.name === name && ['bad', 'care'].includes(point.grade))
  const reference = figures.math?.modes.reference?.failure
  const plain = figures.math?.modes.plain?.failure
  return [
    ...(weak('order')
      ? ['Ask in both orders, and count a win only where both agree (attune judge does). Never ask in one order.']
      : []),
    ...(weak('length') ? ['Look at win rates at equal length (attune winrate), not at plain ones alone.'] : []),
    ...(weak('math') && reference && plain && reference.value < plain.value
      ? ['Give references for questions that have a right answer (--mode reference).']
      : []),
    ...(weak('verdicts')
      ? ['Give replies more room (--max-new-tokens), or ask for JSON (--structured), and look at what has no verdict.']
      : []),
    ...(weak('self') ? ['Do not let it compare its own model with others; take a judge of another family.'] : []),
    ...(figures.agreement?.judge_human_no_ties
      ? []
      : ['Let people vote on a hundred of these pairs, and run this again with --votes.']),
  ]
}
