/** What the controls of a template ask, as one of the modes of labelling. */
import { quoted } from '../../util/quote.ts'
import type { Template } from './template.ts'
import { type Control, checkAttributes, type Found, fault, nameOf } from './templateTags.ts'
import type { Element } from './xml.ts'

type Asked = Omit<Template, 'title' | 'guidelines' | 'css' | 'leftOut'>

export const asked = (found: Found, root: Element): Asked => {
  const { controls, texts } = found
  const of = (name: string) => controls.filter(({ element }) => element.name === name)
  const [rankers, pairwise] = [of('ranker'), of('pairwise')]
  const known = new Set([...texts, ...found.lists].map(({ name }) => name))
  for (const { element, to } of controls)
    for (const name of to.split(',').map((one) => one.trim()))
      if (!known.has(name)) throw fault(found, element, `is about ${quoted(name)}, which is no tag of this template`)
  if (found.lists.length > 1) throw fault(found, found.lists[1].element, 'is a second List; attune asks about one')
  for (const second of [rankers[1], pairwise[1]])
    if (second) throw fault(found, second.element, 'is a second one; attune asks one question of this kind')
  if (rankers[0] && pairwise[0]) throw fault(found, pairwise[0].element, 'stands beside a Ranker; keep one of the two')
  const empty: Pick<Asked, 'responses' | 'scales' | 'questions'> = { responses: [], scales: [], questions: [] }
  if (rankers[0]) return withRest(found, ranked(found, rankers[0], empty), [rankers[0]])
  if (found.lists[0])
    throw fault(found, found.lists[0].element, 'has no Ranker about it; attune asks to rank the items of a list')
  if (pairwise[0]) return withRest(found, compared(found, pairwise[0], empty), [pairwise[0]])
  const other = rated(found, empty) ?? chosen(found, empty) ?? edited(found, empty)
  if (other) return withRest(found, other.asked, other.used)
  throw fault(
    found,
    controls[0]?.element ?? root,
    controls.length
      ? 'asks what attune does not: it asks for an order (Ranker), the better of two (Pairwise), ratings of responses (Rating), the best or good and bad (Choices), or a better answer (TextArea)'
      : 'asks nothing; add a Ranker, a Pairwise, a Rating, Choices or a TextArea',
  )
}

type Part = { asked: Asked; used: Control[] }
type Empty = Pick<Asked, 'responses' | 'scales' | 'questions'>

const ranked = (found: Found, { element, name, to }: Control, empty: Empty): Asked => {
  const [own] = found.lists
  if (own?.name !== to) throw fault(found, element, 'must be about a List')
  const buckets = element.children
  for (const child of buckets) {
    checkAttributes(child, found)
    if (child.name !== 'bucket') throw fault(found, child, 'cannot be inside of a Ranker')
  }
  if (buckets.length > 1)
    throw fault(
      found,
      buckets[1],
      'is a second Bucket; attune asks for one order, of which responses may be left out: keep one Bucket, or none',
    )
  const { element: _, ...list } = own
  const bucket = buckets[0] && nameOf(buckets[0], found)
  return { ...empty, mode: 'rank', prompts: found.texts, list, rank: { name, ...(bucket && { bucket }) } }
}

const compared = (found: Found, { element, name, to }: Control, empty: Empty): Asked => {
  const sides = to.split(',').map((one) => found.texts.find((text) => text.name === one.trim()))
  const [left, right, more] = sides
  if (!left || !right || more || left === right)
    throw fault(found, element, 'must be about two Text tags: toName="answer1,answer2"')
  const prompts = found.texts.filter((text) => text !== left && text !== right)
  return { ...empty, mode: 'pair', prompts, responses: [left, right], pair: { name } }
}

/** How many stars; Label Studio's default is 5. */
const maxOf = ({ element }: Control) => Math.min(100, Math.max(1, Number(element.attributes.maxrating) || 5))

/** Ratings of several texts, or of the only one: scales are told by their names, helpful-1 and helpful-2. */
const rated = (found: Found, empty: Empty): Part | undefined => {
  const ratings = found.controls.filter(({ element }) => element.name === 'rating')
  if (!ratings.length) return undefined
  const about = found.texts.filter(({ name }) => ratings.some(({ to }) => to === name))
  const scales = new Map<string, Control[]>()
  for (const rating of ratings) {
    const at = about.findIndex(({ name }) => name === rating.to)
    const scale = rating.name.replace(/[-_ ]?\d+$/, '') || rating.name
    const of = scales.get(scale) ?? scales.set(scale, []).get(scale)!
    if (of[at]) throw fault(found, rating.element, `is a second rating named ${quoted(scale)} of the same text`)
    of[at] = rating
  }
  for (const [scale, of] of scales) {
    const missing = about.findIndex((_, i) => !of[i])
    if (missing >= 0)
      throw fault(
        found,
        of.find(Boolean)!.element,
        `rates some responses only: ${quoted(about[missing].name)} has no rating named ${quoted(`${scale}-${missing + 1}`)}`,
      )
    const odd = of.find((rating) => maxOf(rating) !== maxOf(of[0]))
    if (odd) throw fault(found, odd.element, `has another maxRating than ${quoted(of[0].name)}`)
  }
  return {
    used: ratings,
    asked: {
      ...empty,
      mode: 'rate',
      prompts: found.texts.filter((text) => !about.includes(text)),
      responses: about,
      scales: Array.from(scales, ([name, of]) => ({ name, max: maxOf(of[0]), controls: of.map(({ name }) => name) })),
    },
  }
}

const optionsOf = (found: Found, { element }: Control): string[] =>
  element.children.map((child) => {
    checkAttributes(child, found)
    if (child.name !== 'choice') throw fault(found, child, 'cannot be inside of Choices')
    const value = child.attributes.alias || child.attributes.value
    if (!value) throw fault(found, child, 'needs a value')
    if (value.startsWith('$')) throw fault(found, child, 'differs from task to task, which attune cannot honour')
    if (child.children.length) throw fault(found, child.children[0], 'is a choice below a choice; attune has none')
    return value
  })

const yes = /^(good|yes|true|up|like|accept(ed|able)?|correct|right|pass(ed)?|positive|1|👍)$|thumbs?[ _-]?up/i
const no =
  /^(bad|no|false|down|dislike|reject(ed)?|unacceptable|incorrect|wrong|fail(ed)?|negative|0|👎)$|thumbs?[ _-]?down/i

/** A choice of good or bad of one text, or of as many options as there are texts behind the prompt. */
const chosen = (found: Found, empty: Empty): Part | undefined => {
  const { texts } = found
  for (const control of found.controls.filter(({ element }) => element.name === 'choices')) {
    if (isMultiple(control)) continue
    const options = optionsOf(found, control)
    const [good, bad] = [options.find((option) => yes.test(option)), options.find((option) => no.test(option))]
    const own = texts.find(({ name }) => name === control.to)!
    if (options.length === 2 && good !== undefined && bad !== undefined)
      return {
        used: [control],
        asked: {
          ...empty,
          mode: 'good',
          prompts: texts.filter((text) => text !== own),
          responses: [own],
          good: { name: control.name, good, bad },
        },
      }
    const responses = texts.slice(-options.length)
    if (options.length > 1 && responses.length === options.length && texts.length > options.length)
      return {
        used: [control],
        asked: {
          ...empty,
          mode: 'best',
          prompts: texts.slice(0, -options.length),
          responses,
          best: { name: control.name, options },
        },
      }
  }
  return undefined
}

const isMultiple = ({ element }: Control) => element.attributes.choice === 'multiple'

/** A text area about the last text, where nothing else is asked. */
const edited = (found: Found, empty: Empty): Part | undefined => {
  const area = found.controls.find(({ element }) => element.name === 'textarea')
  const own = found.texts.find(({ name }) => name === area?.to)
  if (!area || !own || found.texts.length < 2 || own === found.texts[0]) return undefined
  const prompts = found.texts.filter((text) => text !== own)
  return {
    used: [area],
    asked: { ...empty, mode: 'edit', prompts, responses: [own], edit: { name: area.name } },
  }
}

/** What the other controls ask: how clearly, whether all are bad, a note, and questions of their own. */
const withRest = (found: Found, base: Asked, used: Control[]): Asked => {
  const asked: Asked = { ...base, questions: [] }
  for (const control of found.controls.filter((one) => !used.includes(one))) {
    const { element, name, to } = control
    const question = { name, to, line: element.line }
    if (element.name === 'rating') {
      if (asked.pair && name === 'strength') asked.pair = { ...asked.pair, strength: { name, steps: maxOf(control) } }
      else asked.questions.push({ ...question, kind: 'rating', max: maxOf(control) })
    } else if (element.name === 'choices') {
      const options = optionsOf(found, control)
      if (options.length === 1 && !asked.bothBad && /bad/i.test(name)) asked.bothBad = { name, option: options[0] }
      else asked.questions.push({ ...question, kind: 'choices', options, multiple: isMultiple(control) })
    } else if (asked.edit || !/edit|better|rewrite|correct/i.test(name)) {
      if (asked.note) asked.questions.push({ ...question, kind: 'text' })
      else asked.note = { name }
    } else asked.edit = { name }
  }
  return asked
}
