/**
 * Chat templates compared with Jinja2 3.1 as transformers 5 sets it up: random snippets, and every name that Jinja2 knows.
 * The fixture has the text that Jinja2 made of each snippet, or null where it refused. It was made by
 * `npm run check:templates -- --peer PYTHON --count 460 --seed 21 --keep FILE`.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { compileTemplate, renderTemplate } from '../../src/text/jinja/render.ts'
import { withWritten } from '../../src/util/jsonNotes.ts'

type Case = { template: string; document: number; text: string | null }
const file = gunzipSync(readFileSync(new URL('../fixtures/text/templates.json.gz', import.meta.url))).toString()
const { documents, cases }: { documents: string[]; cases: Case[] } = JSON.parse(file)

const outcome = (template: string, data: object): string | null => {
  try {
    return renderTemplate(compileTemplate(template), data as Record<string, unknown>).text
  } catch (error) {
    expect(error).toMatchObject({ name: 'Fault', code: 'template' })
    return null
  }
}
const ours = ({ template, document }: Case) => {
  const text = documents[document]
  return outcome(template, withWritten(JSON.parse(text), text) as object)
}

describe('random template snippets', () => {
  it('render as in Jinja2, or are refused as in Jinja2', () => {
    expect(cases.length).toBeGreaterThan(300)
    expect(cases.filter(({ text }) => text !== null).length).toBeGreaterThan(200)
    const wrong = cases.flatMap((one) => {
      const got = ours(one)
      return got === one.text ? [] : [{ ...one, got }]
    })
    expect(wrong).toEqual([])
  })
})

describe('null is rendered as in Jinja2', () => {
  it.each([
    ['{{ m.a }}|{{ m.a is defined }}|{{ m.a is none }}', 'None|True|True'],
    ['{% macro f(x, y=2) %}{{ x }} {{ y }}{% endmacro %}{{ f(none, none) }}|{{ f(1) }}', 'None None|1 2'],
    [
      "{{ m.a | default('x') }}|{{ m.a | default(none) }}|{{ m.b | default(none) }}|{{ m.a | d('x', true) }}",
      'None|None|None|x',
    ],
    ["{{ {'a': none}.get('a', 'x') }}|{{ {'a': none}.get('b', 'x') }}|{{ {'a': none}['a'] }}", 'None|x|None'],
    ['{{ [none] | first }}|{{ [none] | last }}|{{ [none, 1] | min if false else [none] | max }}', 'None|None|None'],
    ["{{ 'x' | int(none) }}|{{ 'x' | float(none) }}|{{ none | int }}", 'None|None|0'],
    ['{% for x in [1, none] %}{{ loop.nextitem }},{{ loop.previtem }};{% endfor %}', 'None,;,1;'],
    ["{{ none | selectattr('a') | list }}{{ none | map('upper') | list }}{{ none | select | list }}", '[][][]'],
    ['{% set ns = namespace(a=1) %}{% set ns.a = none %}{{ ns.a }}|{{ ns.b is defined }}', 'None|False'],
    ["{{ [{'a': none}, {}] | map(attribute='a', default='d') | list }}", "[None, 'd']"],
    [
      "{{ [1, none, 2.0] | tojson }}{{ '%s' % none }}{{ none ~ 'a' }}{{ [none, none] | unique | list }}",
      '[1, null, 2.0]NoneNonea[None]',
    ],
  ])('%s', (template, text) => {
    expect(outcome(template, { m: { a: null } })).toBe(text)
  })
})

describe('a name of Jinja2', () => {
  const names = (text: string) => text.split(' ')
  const filters = names(
    'abs attr batch capitalize center count d default dictsort e escape filesizeformat first float forceescape format groupby indent int items join last length list lower map max min pprint reject rejectattr replace reverse round safe select selectattr slice sort string striptags sum title tojson trim truncate unique upper urlencode wordcount wordwrap xmlattr',
  )
  const tests = names(
    'boolean callable defined divisibleby eq equalto escaped even false filter float ge greaterthan gt in integer iterable le lessthan lower lt mapping ne none number odd sameas sequence string test true undefined upper',
  )
  const methods = {
    "''": names(
      'capitalize casefold center count encode endswith expandtabs find format format_map index isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip maketrans partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title translate upper zfill',
    ),
    '{}': names('copy fromkeys get items keys values'),
    '[]': names('copy count index'),
    '()': names('count index'),
  }

  it('is known, whether filter, test, method or global', () => {
    const unknown = [
      ...filters.filter((name) => outcome(`{{ '${name}' is filter }}`, {}) !== 'True'),
      ...tests.filter((name) => outcome(`{{ '${name}' is test }}`, {}) !== 'True'),
      ...Object.entries(methods).flatMap(([of, all]) =>
        all.filter((name) => outcome(`{{ ${of}.${name} is defined }}`, {}) !== 'True'),
      ),
      ...names('range dict cycler joiner namespace lipsum raise_exception strftime_now').filter(
        (name) => outcome(`{{ ${name} is callable }}`, {}) !== 'True',
      ),
    ]
    expect(unknown).toEqual([])
  })

  it.each(['random', 'urlize'])('that is not supported is refused by name: %s', (name) => {
    expect(() => renderTemplate(compileTemplate(`{{ ['a'] | ${name} }}`), {})).toThrow(`the filter ${name} is refused`)
  })

  it.each([
    ["{{ '<p>a <b>b</b>\\n c &amp; &#39;d&#39;<!-- e --></p>' | striptags }}", "a b c & 'd'"],
    ["{{ 'The quick-brown fox' | wordwrap(10) }}", 'The quick-\nbrown fox'],
    [
      '{{ [0, 1, 999, 1000, 1500000, 1e30] | map("filesizeformat") | join(", ") }}',
      '0 Bytes, 1 Byte, 999 Bytes, 1.0 kB, 1.5 MB, 1000000.0 YB',
    ],
    ['{{ 2048 | filesizeformat(true) }}', '2.0 KiB'],
  ])('gives the result of Jinja2: %s', (template, text) => {
    expect(outcome(template, {})).toBe(text)
  })
})
