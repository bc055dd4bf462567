import { describe, expect, it } from 'vitest'
import { defaultLimits } from './budget.ts'
import { compileTemplate, renderTemplate } from './render.ts'

const messages = [{ role: 'user', content: 'hi' }]
/** A tenth of the usual work, so that the tests are quick. */
const limits = { ...defaultLimits, work: defaultLimits.work / 10 }
const render = (template: string) => renderTemplate(compileTemplate(template), { messages }, { limits }).text
const grow = (step: string) => `{% set ns = namespace(s='ab', l=[1]) %}{% for i in range(60) %}${step}{% endfor %}`

describe('a hostile template', () => {
  it.each([
    '{{ range(300000000) }}',
    '{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}',
    "{{ 'a' * 1000000000 }}",
    grow('{% set ns.s = ns.s ~ ns.s %}'),
    grow('{% set ns.s = ns.s + ns.s %}'),
    grow('{% set ns.l = ns.l + ns.l %}'),
    `${grow('{% set ns.l = [ns.l, ns.l] %}')}{{ ns.l }}`,
    `${grow('{% set ns.l = [ns.l, ns.l] %}')}{{ ns.l | tojson }}`,
    `${grow('{% set ns.l = [ns.l, ns.l] %}')}{{ ns.l == [ns.l[0], ns.l[1]] }}`,
    '{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}',
    '{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}',
    `{{ ${'('.repeat(100_000)}1${')'.repeat(100_000)} }}`,
    `{{ ${'-'.repeat(100_000)}1 }}`,
    `{{ ${'1 + '.repeat(100_000)}1 }}`,
    `${'{% if 1 %}'.repeat(5000)}${'{% endif %}'.repeat(5000)}`,
    "{{ 'a'.center(999999999) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '{:>999999999}'.format(1) }}",
    "{{ 'a' | indent(999999999, true) }}",
    '{{ [1] | tojson(indent=999999999) }}',
    "{{ ('a' * 1000000).replace('a', 'b' * 1000) }}",
    "{{ ('a' * 1000000) | list | join('b' * 1000) }}",
    "{% set b = 'a' * 30000000 %}{% for i in range(100000) %}{{ 'b' in b }}{% endfor %}",
    '{{ [1] | batch(999999999, 0) | list }}',
    `{{ x${'.a'.repeat(100_000)} }}`,
    'x'.repeat(2 ** 20 + 1),
    "{% include 'secrets' %}",
    '{{ messages.append(1) }}',
  ])(
    'is stopped: %.80s',
    (template) => {
      const start = performance.now()
      expect(() => render(template)).toThrow(expect.objectContaining({ name: 'Fault', code: 'template', exitCode: 2 }))
      expect(performance.now() - start).toBeLessThan(15_000)
    },
    20_000,
  )

  it.each(['__class__', 'constructor', '__proto__', 'toString', 'hasOwnProperty'])(
    'reaches nothing of JavaScript by %s',
    (name) => {
      expect(
        render(
          `{{ messages.${name} is defined }}{{ messages[0].${name} is defined }}{{ 'a'['${name}'] is defined }}{{ namespace().${name} is defined }}{{ ${name} is defined }}`,
        ),
      ).toBe('False'.repeat(5))
    },
  )

  it('does not stop an honest one', () => {
    const many = Array.from({ length: 3000 }, (_, i) => ({ role: 'user', content: `${i} ${'word '.repeat(50)}` }))
    const template = compileTemplate(
      "{% for m in messages %}{{ '<' ~ m.role ~ '>' + m.content | trim + '\\n' }}{{ messages | length if loop.last }}{% endfor %}",
    )
    expect(renderTemplate(template, { messages: many }).text).toMatch(/word\n3000$/)
  })
})
