import { describe, expect, it } from 'vitest'
import { defaultLimits } from './budget.ts'
import { compileTemplate, renderTemplate } from './render.ts'

const messages = [{ role: 'user', content: 'hi' }]
/** A part of the usual work, so that the tests are quick. */
const limits = { ...defaultLimits, work: defaultLimits.work / 50 }
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
    `{{ ${'('.repeat(10_000)}1${')'.repeat(10_000)} }}`,
    `{{ ${'-'.repeat(10_000)}1 }}`,
    `{{ ${'1 + '.repeat(10_000)}1 }}`,
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
    `${grow("{% set ns.s = ns.s ~ 'abcdefgh' * 100000 %}")}{{ ns.s | wordwrap(1) }}`,
    `{% set s = 'a' * 30000000 %}{{ s.split('a') | length }}`,
    `{% set s = 'a ' * 15000000 %}{{ s.split() | length }}`,
    `{% set s = 'a\\n' * 15000000 %}{{ s.splitlines() | length }}{{ s | indent('x' * 1000) }}`,
    "{{ ('\\t' * 100) .expandtabs(1000000000) }}",
    "{{ 'a'.zfill(4000000000) }}",
    "{{ 'a'.ljust(99999999999999999999) }}",
    "{{ range(100000) | map('string') | join('x' * 100000) }}",
    "{{ [('a' * 1000)] * 1000000 }}",
    "{% set l = ['a' * 1000] * 1000 %}{{ [l] * 1000 }}",
    "{% set l = ['a' * 1000] * 1000 %}{{ ([l] * 1000) | tojson }}",
    '{{ (range(10000) | list) | tojson(indent=100000) }}',
    "{{ ([1] * 100000) | tojson(separators=('x' * 10000, ':')) }}",
    "{{ {'a': ([1] * 100000)} | tojson(indent='x' * 100000) }}",
    '{{ [1] | slice(4000000000) | list }}',
    "{{ [1] | slice(4000000000, 'x') | list }}",
    '{{ (10 ** 4000) ** (10 ** 4000) }}',
    '{{ 10 ** 5000 }}',
    '{% set ns = namespace(n=3) %}{% for i in range(60) %}{% set ns.n = ns.n * ns.n %}{% endfor %}',
    '{% set ns = namespace(t=()) %}{% for i in range(60) %}{% set ns.t = (ns.t, ns.t) %}{% endfor %}{{ {ns.t: 1} }}',
    "{{ '{:0999999999,}'.format(1) }}",
    "{{ '{:.999999999f}'.format(1.5) }}",
    "{{ '{:{}}'.format(1, 999999999) }}",
    "{{ '%.*f' % (999999999, 1.5) }}",
    "{{ ('&' * 30000000) | e }}",
    "{{ ('é' * 30000000) | urlencode }}",
    "{{ ('é' * 30000000) | tojson(true) }}",
    '{% for i in range(100000) %}{% set x = range(100000) | sort %}{% endfor %}',
    "{% for i in range(100000) %}{% set x = 'b' * 1000000 in 'ab' * 1000000 %}{% endfor %}",
    "{% set s = 'ab' * 1000000 %}{% for i in range(100000) %}{{ s.find('c') }}{% endfor %}",
    "{% set s = 'ab' * 1000000 %}{% for i in range(100000) %}{{ s[0] ~ s | length }}{% endfor %}",
    "{% set s = '😀' * 1000000 %}{% for i in range(100000) %}{{ s[i] }}{% endfor %}",
    '{% macro a(n) %}{{ a(n + 1) ~ a(n + 1) }}{% endmacro %}{{ a(0) }}',
    '{% macro a(n) %}{% call b() %}{{ a(n) }}{% endcall %}{% endmacro %}{% macro b() %}{{ caller() }}{% endmacro %}{{ a(0) }}',
    `{{ ${'['.repeat(10_000)}${']'.repeat(10_000)} }}`,
    `{{ ${'not '.repeat(10_000)}1 }}`,
    `{{ x${"['a']".repeat(10_000)} }}`,
    `{{ x${'|e'.repeat(10_000)} }}`,
    `{{ x${' is none'.repeat(10_000)} }}`,
    `{{ 1${' if 1 else 1'.repeat(10_000)} }}`,
    `{{ f${'()'.repeat(10_000)} }}`,
    `{{ ${'1'.repeat(10_000)} }}`,
    `{{ x${'.a'.repeat(10_000)} }}`,
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

  it.each([
    ['{{ [] * 1000000000 }}{{ () * 4000000000 }}', '[]()'],
    ["{{ '' * 99999999999999999999 }}{{ [1] * -99999999999999999999 }}", '[]'],
    ["{{ 'a\nb' | indent(-1000000000) }}", 'a\nb'],
    ['{{ [1] | tojson(indent=-1000000000) }}', '[\n1\n]'],
    ["{{ 'a'.center(-5) }}{{ '%-0d' % 3 }}", 'a3'],
  ])('makes nothing of nothing: %s', (template, text) => {
    expect(render(template)).toBe(text)
  })

  it('gets no work back', () => {
    expect(() =>
      render(
        "{% for i in range(100000) %}{{ 'a' | indent(-1000000000, true) }}{% for j in range(100) %}{% endfor %}{% endfor %}",
      ),
    ).toThrow(/steps/)
  })

  it('is stopped by the clock where its steps are slow', () => {
    const slow = { ...defaultLimits, work: Number.POSITIVE_INFINITY, seconds: 0.2 }
    const start = performance.now()
    const template = compileTemplate('{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}')
    expect(() => renderTemplate(template, { messages }, { limits: slow })).toThrow(/seconds/)
    expect(performance.now() - start).toBeLessThan(5000)
  })

  it('does not stop an honest one', () => {
    const many = Array.from({ length: 3000 }, (_, i) => ({ role: 'user', content: `${i} ${'word '.repeat(50)}` }))
    const template = compileTemplate(
      "{% for m in messages %}{{ '<' ~ m.role ~ '>' + m.content | trim + '\\n' }}{{ messages | length if loop.last }}{% endfor %}",
    )
    expect(renderTemplate(template, { messages: many }).text).toMatch(/word\n3000$/)
  })
})
