/**
 * The Porter stemmer (Porter 1980, "An algorithm for suffix stripping") with the extensions of NLTK, which rouge-score
 * uses: irregular words, "ties" to "tie", "y" kept after a vowel. The stemmers of npm (stemmer, porter-stemmer) are the
 * original algorithm, which gives other stems for 13 of the 158 golden words.
 */

type Condition = (stem: string) => boolean
type Rule = readonly [suffix: string, replacement: string, condition?: Condition]

const irregular = new Map([
  ['sky', 'sky'],
  ['skies', 'sky'],
  ['dying', 'die'],
  ['lying', 'lie'],
  ['tying', 'tie'],
  ['news', 'news'],
  ['innings', 'inning'],
  ['inning', 'inning'],
  ['outings', 'outing'],
  ['outing', 'outing'],
  ['cannings', 'canning'],
  ['canning', 'canning'],
  ['howe', 'howe'],
  ['proceed', 'proceed'],
  ['exceed', 'exceed'],
  ['succeed', 'succeed'],
])

/** One letter for each of the word: v, a vowel, or c, a consonant. A "y" is a vowel after a consonant. */
const soundsOf = (word: string): string => {
  let sounds = ''
  for (const letter of word) sounds += 'aeiou'.includes(letter) || (letter === 'y' && sounds.endsWith('c')) ? 'v' : 'c'
  return sounds
}

/** How often a vowel is followed by a consonant: m in the paper. */
const measure = (stem: string) => soundsOf(stem).split('vc').length - 1
const positive: Condition = (stem) => measure(stem) > 0
const aboveOne: Condition = (stem) => measure(stem) > 1
const hasVowel: Condition = (stem) => soundsOf(stem).includes('v')
const endsInConsonant: Condition = (stem) => soundsOf(stem).endsWith('c')
const endsDouble: Condition = (word) => word.length > 1 && word.at(-1) === word.at(-2) && endsInConsonant(word)
/** Consonant, vowel, consonant at the end, the last not w, x or y; or a word of a vowel and a consonant. */
const endsShort: Condition = (word) => {
  const sounds = soundsOf(word)
  return sounds === 'vc' || (sounds.endsWith('cvc') && !'wxy'.includes(word.at(-1)!))
}

/** The first rule whose suffix the word has; the word stays where the rule's condition fails. */
const byRules = (word: string, rules: readonly Rule[]): string => {
  const rule = rules.find(([suffix]) => word.endsWith(suffix))
  if (!rule) return word
  const [suffix, replacement, condition] = rule
  const stem = word.slice(0, word.length - suffix.length)
  return !condition || condition(stem) ? stem + replacement : word
}

const plurals: readonly Rule[] = [
  ['sses', 'ss'],
  ['ies', 'i'],
  ['ss', 'ss'],
  ['s', ''],
]

const withoutPlural = (word: string) =>
  word.length === 4 && word.endsWith('ies') ? word.slice(0, -1) : byRules(word, plurals)

const withoutTense = (word: string): string => {
  if (word.endsWith('ied')) return word.slice(0, word.length === 4 ? -1 : -2)
  if (word.endsWith('eed')) return byRules(word, [['eed', 'ee', positive]])
  const suffix = ['ed', 'ing'].find((end) => word.endsWith(end) && hasVowel(word.slice(0, -end.length)))
  if (suffix === undefined) return word
  const stem = word.slice(0, -suffix.length)
  if (/(at|bl|iz)$/.test(stem)) return `${stem}e`
  if (endsDouble(stem)) return /[lsz]$/.test(stem) ? stem : stem.slice(0, -1)
  return measure(stem) === 1 && endsShort(stem) ? `${stem}e` : stem
}

const finalY: readonly Rule[] = [['y', 'i', (stem) => stem.length > 1 && endsInConsonant(stem)]]

const doubleSuffixes: readonly Rule[] = [
  ['ational', 'ate', positive],
  ['tional', 'tion', positive],
  ['enci', 'ence', positive],
  ['anci', 'ance', positive],
  ['izer', 'ize', positive],
  ['bli', 'ble', positive],
  ['alli', 'al', positive],
  ['entli', 'ent', positive],
  ['eli', 'e', positive],
  ['ousli', 'ous', positive],
  ['ization', 'ize', positive],
  ['ation', 'ate', positive],
  ['ator', 'ate', positive],
  ['alism', 'al', positive],
  ['iveness', 'ive', positive],
  ['fulness', 'ful', positive],
  ['ousness', 'ous', positive],
  ['aliti', 'al', positive],
  ['iviti', 'ive', positive],
  ['biliti', 'ble', positive],
  ['fulli', 'ful', positive],
  ['logi', 'log', (stem) => positive(`${stem}l`)],
]

const withoutDoubleSuffix = (word: string): string =>
  word.endsWith('alli') && positive(word.slice(0, -4))
    ? byRules(word.slice(0, -2), doubleSuffixes)
    : byRules(word, doubleSuffixes)

const endings: readonly Rule[] = [
  ['icate', 'ic', positive],
  ['ative', '', positive],
  ['alize', 'al', positive],
  ['iciti', 'ic', positive],
  ['ical', 'ic', positive],
  ['ful', '', positive],
  ['ness', '', positive],
]

const suffixes: readonly Rule[] = [
  ...['al', 'ance', 'ence', 'er', 'ic', 'able', 'ible', 'ant', 'ement', 'ment', 'ent'].map(
    (suffix): Rule => [suffix, '', aboveOne],
  ),
  ['ion', '', (stem) => aboveOne(stem) && /[st]$/.test(stem)],
  ...['ou', 'ism', 'ate', 'iti', 'ous', 'ive', 'ize'].map((suffix): Rule => [suffix, '', aboveOne]),
]

const finalE: readonly Rule[] = [['e', '', (stem) => measure(stem) > 1 || (measure(stem) === 1 && !endsShort(stem))]]
const finalL: readonly Rule[] = [['ll', 'l', (stem) => aboveOne(`${stem}l`)]]

/** The stem of a word in lower case, equal to NLTK's PorterStemmer: `stem('happiness')` is "happi". */
export const stem = (word: string): string => {
  const known = irregular.get(word)
  if (known !== undefined) return known
  if (word.length <= 2) return word
  const inflected = byRules(withoutTense(withoutPlural(word)), finalY)
  const derived = byRules(byRules(withoutDoubleSuffix(inflected), endings), suffixes)
  return byRules(byRules(derived, finalE), finalL)
}
