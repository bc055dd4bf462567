/** What a project asks, written as a labelling template of Label Studio: what parseTemplate reads as the same. */
import { badInput } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'
import type { TemplateMode } from './template.ts'
import { attributeText } from './xml.ts'

export type TemplateSettings = {
  mode: TemplateMode
  title?: string
  guidelines?: readonly string[]
  /** How many responses a task has. Of rank it does not matter, since they are a list. */
  responses: number
  /** Of rank: some may stay without a rank. */
  unranked?: boolean
  /** Of pair: how many steps say how clearly one is better. */
  strengths?: number
  /** Of rate. Label Studio's ratings count from 1. */
  scales?: readonly { name: string; min?: number; max: number }[]
  /** In any mode: a better answer may be written, and that all are bad can be said. */
  edits?: boolean
  bothBad?: boolean
  /** As cleanCss makes it. */
  css?: string
}

/** @throws Fault 'bad-value' for a scale that Label Studio's stars cannot be */
export const writeTemplate = (settings: TemplateSettings): string => {
  const { mode, title, guidelines = [], strengths = 1, edits = false, bothBad = false, css } = settings
  const headers = [title, ...guidelines].filter((text) => text?.trim() && !text.trim().startsWith('$'))
  const lines = [
    ...(css
      ? [
          '<Style>',
          ...css.split('\n').map((line) => `  ${line.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}`),
          '</Style>',
        ]
      : []),
    ...headers.map((text) => tag('Header', { value: text })),
    tag('Text', { name: 'prompt', value: '$prompt' }),
    ...asking[mode](settings),
    ...(mode === 'pair' && strengths > 1
      ? [tag('Rating', { name: 'strength', toName: 'prompt', maxRating: strengths })]
      : []),
    ...(bothBad
      ? [
          tag('Choices', { name: 'all_bad', toName: 'prompt', choice: 'multiple' }, [
            tag('Choice', { value: 'all are bad' }),
          ]),
        ]
      : []),
    ...(edits && mode !== 'edit' ? [textArea('edit', 'prompt', 'A better answer')] : []),
    textArea('note', 'prompt', 'A note'),
  ]
  return `${['<View>', ...lines.map((line) => line.replace(/^/gm, '  ')), '</View>'].join('\n')}\n`
}

const tag = (
  name: string,
  attributes: Record<string, string | number | undefined>,
  children: readonly string[] = [],
) => {
  const written = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [` ${key}="${attributeText(String(value))}"`],
  )
  const start = `<${name}${written.join('')}`
  return children.length
    ? [`${start}>`, ...children.map((child) => `  ${child}`), `</${name}>`].join('\n')
    : `${start}/>`
}

const textArea = (name: string, toName: string, placeholder: string, value?: string) =>
  tag('TextArea', { name, toName, placeholder, rows: 3, editable: 'true', maxSubmissions: 1, value })

const responseNames = (count: number) => Array.from({ length: count }, (_, i) => `response${i + 1}`)
const texts = (names: readonly string[]) => names.map((name) => tag('Text', { name, value: `$${name}` }))

const asking: Record<TemplateMode, (settings: TemplateSettings) => string[]> = {
  rank: ({ unranked }) => [
    tag('List', { name: 'answers', value: '$items', title: unranked ? 'Not ranked' : 'Best first' }),
    tag(
      'Ranker',
      { name: 'rank', toName: 'answers' },
      unranked ? [tag('Bucket', { name: 'best', title: 'Best first' })] : [],
    ),
  ],
  pair: () => [...texts(['answer1', 'answer2']), tag('Pairwise', { name: 'better', toName: 'answer1,answer2' })],
  rate: ({ responses, scales = [] }) =>
    responseNames(responses).flatMap((name, i) => [
      ...texts([name]),
      ...scales.flatMap((scale) => {
        if ((scale.min ?? 1) !== 1 || !Number.isInteger(scale.max) || scale.max < 1 || scale.max > 100)
          throw badInput(
            'bad-value',
            `the scale ${quoted(scale.name)} is from ${scale.min ?? 1} to ${scale.max}; ratings of Label Studio are stars from 1 to at most 100`,
          )
        return [
          // With the number, so that it is read as part of the rating and not as a guideline
          tag('Header', { value: `${scale.name}-${i + 1}`, size: 5 }),
          tag('Rating', { name: `${scale.name}-${i + 1}`, toName: name, maxRating: scale.max }),
        ]
      }),
    ]),
  best: ({ responses }) => {
    const names = responseNames(responses)
    const options = names.map((_, i) => tag('Choice', { value: `response ${i + 1}` }))
    return [...texts(names), tag('Choices', { name: 'best', toName: 'prompt', choice: 'single' }, options)]
  },
  good: () => [
    ...texts(['response1']),
    tag('Choices', { name: 'good', toName: 'response1', choice: 'single' }, [
      tag('Choice', { value: 'good' }),
      tag('Choice', { value: 'bad' }),
    ]),
  ],
  edit: () => [...texts(['response1']), textArea('edit', 'response1', 'The better answer', '$response1')],
}
