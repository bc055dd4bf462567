/** Contrast of the studio's colours in both themes, as WCAG 2.2 AA asks: 4.5 for text, 3 for what has to be seen. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from './support/project.ts'

const css = readFileSync(join(root, 'src/web/ui/tokens.css'), 'utf8')

/** The colours of the rule that begins at `selector`. */
const colours = (selector: string): Map<string, string> => {
  const rule = css.slice(css.indexOf(selector) + selector.length).split('}')[0]
  return new Map([...rule.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value]))
}

const luminance = (colour: string) => {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

const contrast = (a: string, b: string) => {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (light + 0.05) / (dark + 0.05)
}

const grounds = ['paper', 'card', 'sunk']
const series = ['c0', 'c1', 'c2', 'c3', 'c4', 'c5']
const pairs: readonly [fore: string, back: string, least: number][] = [
  ...['ink', 'soft', 'accent', 'good', 'bad', 'warn'].flatMap((fore) =>
    grounds.map((back) => [fore, back, 4.5] as [string, string, number]),
  ),
  ['accent-ink', 'accent', 4.5],
  ['accent-ink', 'accent-strong', 4.5],
  ['ink', 'accent-soft', 4.5],
  ...['accent', 'good', 'bad', 'warn'].map((name) => [name, `${name}-soft`, 4.5] as [string, string, number]),
  // Edges of fields, the ring of the focus, lines of plots
  ...['line-strong', 'focus', ...series].flatMap((fore) =>
    grounds.map((back) => [fore, back, 3] as [string, string, number]),
  ),
]

describe.each([
  ['light', ':root {'],
  ['dark', ':root[data-theme="dark"] {'],
])('colours of the %s theme', (_, selector) => {
  const values = colours(selector)

  it('are told apart where they meet', () => {
    const poor = pairs.flatMap(([fore, back, least]) => {
      const found = contrast(values.get(fore)!, values.get(back)!)
      return found >= least ? [] : [`${fore} on ${back}: ${found.toFixed(2)}, not ${least}`]
    })
    expect(poor).toEqual([])
  })
})

it('the dark theme is the same by choice and by the system', () => {
  const chosen = colours(':root[data-theme="dark"] {')
  expect(chosen.size).toBeGreaterThan(20)
  expect(colours(':root:not([data-theme="light"]) {')).toEqual(chosen)
})
