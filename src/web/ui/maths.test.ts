import MarkdownIt from 'markdown-it'
import { expect, it } from 'vitest'
import { addMaths } from './maths.ts'

const markdown = new MarkdownIt({ html: false })
addMaths(markdown)
const formulas = (text: string) =>
  [...markdown.render(text).matchAll(/<span class="maths( display)?" dir="ltr">([^<]*)<\/span>/g)].map(
    ([, display, tex]) => `${display ? 'display ' : ''}${tex.trim()}`,
  )

it.each([
  ['so $x^2$ and \\(y\\)', ['x^2', 'y']],
  ['$$\na\n- b\n= c\n$$', ['display a\n- b\n= c']],
  ['Then\n\\[\nx_1 * y * z\n\\]\nholds', ['display x_1 * y * z']],
  ['it costs $5 and $6', []],
  ['from $ 5 to 6 $', []],
  ['a `$x$` in code', []],
  ['an \\$x\\$ escaped', []],
  ['one $ alone', []],
  ['$a \\$ b$', ['a \\$ b']],
  ['$x < y$', ['x &lt; y']],
  ['    $x$ indented code', []],
])('%j has the formulas %j', (text, found) => expect(formulas(text)).toEqual(found))

it('markup in a formula stays text', () => {
  expect(markdown.render('$<img src=x onerror=alert(1)>$')).not.toContain('<img')
})
