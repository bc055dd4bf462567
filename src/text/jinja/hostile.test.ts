import { describe, expect, it } from 'vitest'
import { hostileTemplates } from '../../../test/support/hostileTemplates.ts'
import { defaultLimits } from './budget.ts'
import { compileTemplate, renderTemplate } from './render.ts'

const messages = [{ role: 'user', content: 'hi' }]
/** A part of the usual work, so that the tests are quick. */
const limits = { ...defaultLimits, work: defaultLimits.work / 50 }
const render = (template: string) => renderTemplate(compileTemplate(template), { messages }, { limits }).text

describe('a hostile template', () => {
  it.each(hostileTemplates.map((template) => [template.slice(0, 80), template]))(
    'is stopped: %s',
    (_, template) => {
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
