/**
 * Evaluates the sums in a text exactly: + - * / ^, brackets, decimals, thousands (1,000). What cannot be read for certain is
 * not a sum, so that a verifier fails rather than rewards a wrong completion.
 */

/** A fraction in lowest terms; the denominator is positive. */
type Fraction = readonly [numerator: bigint, denominator: bigint]

const gcd = (a: bigint, b: bigint): bigint => (b === 0n ? a : gcd(b, a % b))

const fraction = (a: bigint, b: bigint): Fraction | undefined => {
  if (b === 0n) return undefined
  const d = gcd(a < 0n ? -a : a, b < 0n ? -b : b) * (b < 0n ? -1n : 1n)
  return d === 0n ? [0n, 1n] : [a / d, b / d]
}

/** 12, 1,000, 3.5; undefined for 007, 1,00 and 3,5, which mean different things to different people. */
const numberOf = (text: string): Fraction | undefined => {
  const [, whole, decimals = ''] = /^(0|[1-9]\d*|[1-9]\d{0,2}(?:,\d{3})+)(?:\.(\d+))?$/.exec(text) ?? []
  return whole === undefined
    ? undefined
    : fraction(BigInt(whole.replaceAll(',', '') + decimals), 10n ** BigInt(decimals.length))
}

/** The largest exponent, and the most characters of an expression; larger ones are not evaluated. */
const largestPower = 1000n
const longest = 1000

type Operation = (a: Fraction, b: Fraction) => Fraction | undefined

const operations: Readonly<Record<string, Operation>> = {
  '+': ([a, b], [c, d]) => fraction(a * d + c * b, b * d),
  '-': ([a, b], [c, d]) => fraction(a * d - c * b, b * d),
  '*': ([a, b], [c, d]) => fraction(a * c, b * d),
  '/': ([a, b], [c, d]) => fraction(a * d, b * c),
  '^': ([a, b], [n, one]) => {
    const size = n < 0n ? -n : n
    if (one !== 1n || size > largestPower || `${a}${b}`.length * Number(size) > longest * 10) return undefined
    return n < 0n ? fraction(b ** size, a ** size) : fraction(a ** size, b ** size)
  },
}

/**
 * The value of an expression by the usual rules: powers from the right, then signs, products, sums; undefined for what is no
 * whole expression. A parser by precedence, an operand at a time.
 */
export const workOut = (expression: string): Fraction | undefined => {
  const tokens = expression.match(/[\d.,]+|\*\*|[-+*/^()]|\S/g) ?? []
  if (tokens.length > longest) return undefined
  let at = 0
  const binary = (levels: readonly string[], operand: () => Fraction | undefined) => (): Fraction | undefined => {
    let value = operand()
    while (value && levels.includes(tokens[at])) {
      const operation = operations[tokens[at++]]
      const right = operand()
      value = right && operation(value, right)
    }
    return value
  }
  const primary = (): Fraction | undefined => {
    const token = tokens[at++] ?? ''
    if (token !== '(') return numberOf(token)
    const value = sum()
    return tokens[at++] === ')' ? value : undefined
  }
  const power = (): Fraction | undefined => {
    const base = primary()
    if (!base || (tokens[at] !== '^' && tokens[at] !== '**')) return base
    at++
    const exponent = signed()
    return exponent && operations['^'](base, exponent)
  }
  const signed = (): Fraction | undefined => {
    if (tokens[at] !== '-' && tokens[at] !== '+') return power()
    const negative = tokens[at++] === '-'
    const value = signed()
    return value && negative ? [-value[0], value[1]] : value
  }
  const product = binary(['*', '/'], signed)
  const sum: () => Fraction | undefined = binary(['+', '-'], product)
  const value = sum()
  return at === tokens.length ? value : undefined
}

/** A run of numbers, operators and brackets, on one line. */
const runs = /-?[\d(](?:[\d.,+\-*/^() \t]*[\d)])?/g
const hasOperator = /[\d)]\s*[-+*/^]|\(/

/** A character right beside a sum that makes it part of something else: 2x, 5%, 3², $5. */
const strange = (char: string) => /[\p{L}\p{N}\p{M}\p{S}.,%!_*/-]/u.test(char) && char !== '='

/** Words that make something else of the numbers beside them. */
const wordsBefore =
  /(?:root|half|third|quarter|double|twice|triple|square|cube|factorial|percent|log|ln|sin|cos|tan|sqrt|abs|exp)\b[\s\w]{0,12}$/i
const wordsAfter =
  /^\s*(?:mod|modulo|percent|squared|cubed|times|plus|minus|divided|multiplied|over|to the|factorial|and a half)\b/i

/** Signs as they are typed and printed: 3 x 4, 3 × 4, 6 ÷ 2, a true minus. */
const plain = (text: string) =>
  text
    .replace(/[−–]/g, '-')
    .replace(/÷/g, '/')
    .replace(/(?<=[\d)][ \t]*)[x×·⋅∙](?=[ \t]*[\d(])/g, '*')

/**
 * The last sum of a text (the last that an equals sign follows, where there is one), worked out.
 * @returns undefined where there is none, or where it cannot be read for certain
 */
export const lastSum = (text: string): Fraction | undefined => {
  if (/\b0x/i.test(text)) return undefined
  const clear = plain(text).replace(/^[ \t]*\d+[.)][ \t]+/gm, '')
  const found = [...clear.matchAll(runs)].flatMap((match) => {
    // A bracket may belong to the sentence, not to the sum
    const run = match[0].length > longest ? match[0] : unpaired(match[0])
    const start = match.index + match[0].indexOf(run)
    return hasOperator.test(run) ? [{ run, before: clear.slice(0, start), after: clear.slice(start + run.length) }] : []
  })
  const asked = found.findLast(({ after }) => /^[ \t]*=/.test(after)) ?? found.at(-1)
  if (!asked) return undefined
  const { run, before, after } = asked
  const [left, right] = [before.slice(-1), after.slice(0, 1)]
  const cutInTwo = (left === '(' && !after.includes(')')) || (right === ')' && !before.includes('('))
  const ends = right === '' || /^[.,](?!\d)/.test(after) || !strange(right)
  if (run.length > longest || cutInTwo || strange(left) || !ends || wordsBefore.test(before) || wordsAfter.test(after))
    return undefined
  return workOut(run)
}

/** Without an opening bracket at the beginning, or a closing one at the end, that has no partner. */
const unpaired = (run: string): string => {
  const count = (text: string, char: string) => text.split(char).length - 1
  const surplus = count(run, '(') - count(run, ')')
  if (surplus > 0 && run.startsWith('(')) return unpaired(run.slice(1).trimStart())
  if (surplus < 0 && run.endsWith(')')) return unpaired(run.slice(0, -1).trimEnd())
  return run
}

/** The number at the beginning of an answer, perhaps after an equals sign: -2, 1,000, 2.5, 5/2; undefined where there is none. */
export const numberAtStart = (text: string): Fraction | undefined => {
  const said = /^\s*=?\s*([-−+]?)\s*((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)(?:\s*\/\s*(\d+))?(?![\d/]|[.,]\d)/.exec(text)
  if (!said) return undefined
  const [, sign, number, under] = said
  const [top, bottom] = [numberOf(number), under === undefined ? ([1n, 1n] as const) : numberOf(under)]
  const value = top && bottom && operations['/'](top, bottom)
  return value && (sign === '-' || sign === '−') ? [-value[0], value[1]] : value
}

export const equal = (a: Fraction, b: Fraction): boolean => a[0] === b[0] && a[1] === b[1]
