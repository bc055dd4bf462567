import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cleanCss } from './css.ts'
import { parseTemplate } from './parseTemplate.ts'
import { writeTemplate } from './writeTemplate.ts'

const notebook = readFileSync(new URL('../../../test/fixtures/labelStudio/ranker.xml', import.meta.url), 'utf8')

describe('a template of Label Studio', () => {
  it("of a list with a ranker and styles (the notebook's) works as it is", () => {
    const template = parseTemplate(notebook)
    expect(template).toMatchObject({
      mode: 'rank',
      prompts: [{ name: 'prompt', key: 'prompt' }],
      list: {
        name: 'response_choices',
        key: 'items',
        title: 'Response Choices',
        classes: { item: 'text-panel', title: 'text-title' },
      },
      rank: { name: 'rank' },
      questions: [],
      leftOut: [],
    })
    expect(template.rank).toEqual({ name: 'rank' })
    expect(template.css).toContain('.text-panel:hover{transform:scale(1.01)}')
    expect(template.css.split('\n')).toHaveLength(3)
  })

  it('of two texts asks which is better, and by how much', () => {
    const template = parseTemplate(`<View><Header value="Choose"/><HyperText name="q" value="$question"/>
      <View><Text name="l" value="$left"/><Text name="r" value="$right"/></View>
      <Pairwise name="pw" toName="l,r" leftClass="a" selectionStyle="color:red"/>
      <Rating name="strength" toName="q" maxRating="3"/>
      <Choices name="both_bad" toName="q" choice="multiple"><Choice value="Both are bad"/></Choices>
      <TextArea name="why" toName="q"/></View>`)
    expect(template).toMatchObject({
      mode: 'pair',
      title: 'Choose',
      prompts: [{ name: 'q', key: 'question' }],
      responses: [{ key: 'left' }, { key: 'right' }],
      pair: { name: 'pw', strength: { name: 'strength', steps: 3 } },
      bothBad: { name: 'both_bad', option: 'Both are bad' },
      note: { name: 'why' },
      questions: [],
    })
  })

  it('of one response asks whether it is good, whatever the words for it', () => {
    const of = (a: string, b: string) =>
      parseTemplate(
        `<View><Text name="p" value="$p"/><Text name="r" value="$r"/><Choices name="c" toName="r"><Choice value="${a}"/><Choice value="${b}"/></Choices></View>`,
      ).good
    expect(of('Bad', 'Good')).toEqual({ name: 'c', good: 'Good', bad: 'Bad' })
    expect(of('thumbs up', 'thumbs down')).toEqual({ name: 'c', good: 'thumbs up', bad: 'thumbs down' })
    expect(() => of('cat', 'dog')).toThrow('Choices "c" on line 1')
  })

  const asks = (mode: string, inner: string) =>
    [mode, `<View>\n<Text name="p" value="$p"/>\n${inner}\n</View>`] as const
  it.each([
    asks('asks nothing', ''),
    asks('line 3: Image "i" on line 3 is a tag that attune has nothing for', '<Image name="i" value="$i"/>'),
    asks('line 4: Labels', '<View>\n<Labels name="l" toName="p"><Label value="x"/></Labels></View>'),
    asks(
      'line 5: Bucket "worst" on line 5 is a second Bucket',
      '<List name="l" value="$items"/><Ranker name="r" toName="l">\n<Bucket name="best"/>\n<Bucket name="worst"/></Ranker>',
    ),
    asks('is about "nobody"', '<Rating name="r" toName="nobody"/>'),
    asks('the attribute "perregion"', '<TextArea name="t" toName="p" perRegion="true"/>'),
    asks('the attribute "visiblewhen"', '<View visibleWhen="choice-selected"/>'),
    asks('the attribute "valuetype"', '<Text name="u" value="$u" valueType="url"/>'),
    asks(
      'differs from task to task',
      '<Text name="r" value="$r"/><Choices name="c" toName="r"><Choice value="$x"/></Choices>',
    ),
    asks('attune reads plain keys', '<Text name="u" value="$a.b[0]"/>'),
    asks('has no Ranker about it', '<List name="l" value="$items"/>'),
    asks('names must differ', '<Text name="p" value="$q"/>'),
    asks('cannot be inside of a List', '<List name="l" value="$items"><Image name="x" value="$y"/></List>'),
  ])('is refused: %s', (message, xml) => {
    expect(() => parseTemplate(xml, 'label.xml')).toThrow(message)
  })

  it.each([
    ['a DOCTYPE', '<!DOCTYPE x [<!ENTITY a "aaaa">]><View>&a;</View>', 'has a DOCTYPE'],
    ['entities that nobody declared', '<View><Header value="&lol;"/></View>', 'line 1: is not XML'],
    ['tags that do not close', '<View>\n<Text></View>', 'line 2: is not XML'],
    ['depth', '<View>'.repeat(60), 'deeper than 40'],
    ['many tags', `<View>${'<View/>'.repeat(3000)}</View>`, 'more than 2000 tags'],
    ['length', `<View>${' '.repeat(300_000)}</View>`, 'at most 262144'],
    ['another outermost tag', '<html/>', 'where View must be'],
    ['nothing', '', 'is not XML'],
  ])('is refused for %s', (_, xml, message) => {
    expect(() => parseTemplate(xml)).toThrow(message)
  })

  it('of a project is read as the same again', () => {
    const name = fc
      .stringMatching(/^[a-z][a-z &<"'-]{0,10}[a-z]$/)
      .filter((text) => !/edit|better|rewrite|correct|strength/.test(text))
    const settings = fc.record({
      mode: fc.constantFrom('rank', 'pair', 'rate', 'best', 'good', 'edit'),
      title: fc.string({ minLength: 1 }).map((text) => `Q ${text}`.trim()),
      responses: fc.integer({ min: 2, max: 5 }),
      unranked: fc.boolean(),
      strengths: fc.integer({ min: 1, max: 3 }),
      scales: fc.uniqueArray(fc.record({ name, max: fc.integer({ min: 2, max: 10 }) }), {
        minLength: 1,
        maxLength: 3,
        selector: (scale) => scale.name,
      }),
      edits: fc.boolean(),
      bothBad: fc.boolean(),
    })
    const css = cleanCss('.a > .b{color:red}').css
    fc.assert(
      fc.property(settings, (given) => {
        const template = parseTemplate(writeTemplate({ ...given, css } as never))
        const { mode } = given
        expect(template).toMatchObject({ mode, css, title: given.title, guidelines: [], questions: [], leftOut: [] })
        expect(template.prompts).toEqual([{ name: 'prompt', key: 'prompt' }])
        expect([template.note, template.bothBad !== undefined]).toEqual([{ name: 'note' }, given.bothBad])
        expect(template.edit !== undefined).toBe(given.edits || mode === 'edit')
        if (mode === 'rank') expect(template.rank?.bucket).toBe(given.unranked ? 'best' : undefined)
        if (mode === 'pair') expect(template.pair?.strength?.steps ?? 1).toBe(given.strengths)
        if (mode === 'rate') expect(template.scales.map(({ name, max }) => ({ name, max }))).toEqual(given.scales)
        if (mode === 'rate' || mode === 'best') expect(template.responses).toHaveLength(given.responses)
      }),
      { numRuns: 100 },
    )
  })

  it('cannot be written for a scale that stars cannot be', () => {
    expect(() => writeTemplate({ mode: 'rate', responses: 2, scales: [{ name: 'mood', min: -2, max: 2 }] })).toThrow(
      '"mood" is from -2 to 2',
    )
  })
})
