import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cleanCss } from './css.ts'

describe('CSS of a template', () => {
  it('keeps boxes, text, colours, transitions and hovering', () => {
    const { css, leftOut } = cleanCss(`
      /* a comment */
      .text-panel { display: flex; box-shadow: 0px 5px 15px rgba(0,0,0,0.1); font-size: 1.0em; transition: transform .2s; }
      .text-panel:hover { transform: scale(1.01) }
      .a > .b, li:nth-child(2n+1) { color: #333 !important }`)
    expect(leftOut).toEqual([])
    expect(css.split('\n')).toEqual([
      '.text-panel{display:flex;box-shadow:0px 5px 15px rgba(0,0,0,0.1);font-size:1.0em;transition:transform .2s}',
      '.text-panel:hover{transform:scale(1.01)}',
      '.a>.b,li:nth-child(2n+1){color:#333!important}',
    ])
  })

  it.each([
    ['.a{background:url(https://evil.example/x)}'],
    ['.a{background:URL("https://evil.example/x")}'],
    ['.a{background:\\75rl(https://evil.example/x)}'],
    ['.a{background:u\\72l("https://evil.example/x")}'],
    ['.a{background:image-set("https://evil.example/x" 1x)}'],
    ['.a{background:-webkit-image-set(url(x) 1x)}'],
    ['@import "https://evil.example/x.css";'],
    ['@\\69mport url(//evil.example/x.css);'],
    ['@font-face{font-family:x;src:url(//evil.example/x)}'],
    ['@media screen{.a{color:red}}'],
    ['@namespace url(http://evil.example);'],
    ['.a{width:expression(alert(1))}'],
    ['.a{behavior:url(x.htc)}'],
    ['.a{-moz-binding:url(x#y)}'],
    ['.a{position:fixed;inset:0}'],
    ['.a{POSITION:Fixed}'],
    ['.a{pos\\69tion:fixed}'],
    ['.a{position:absolute;z-index:9999}'],
    ['.a::before{content:"hello"}'],
    ['.a{--x:url(//evil.example)}'],
    ['.a{color:var(--x)}'],
    ['input[value^=a]{color:red}'],
    [':has(.x){color:red}'],
    [':root{color:red}'],
    ['.a{cursor:url(x),auto}'],
    ['.a{filter:url(#x)}'],
    ['.a{animation:x 1s infinite}'],
    ['.a{color:attr(x)}'],
    ['.a{font-family:"</style><script>alert(1)</script>"}'],
    ['</style><script>alert(1)</script>'],
    ['.a{color:red\\9}'],
    ['.a{mask:url(x)}.b{list-style:url(x)}'],
    ['.a{.b{position:fixed}}'],
  ])('leaves nothing of %s', (text) => {
    const { css, leftOut } = cleanCss(text)
    expect(css).toBe('')
    expect(leftOut.length).toBeGreaterThan(0)
  })

  it('drops one declaration and keeps the others', () => {
    expect(cleanCss('.a{color:red;background:url(x);margin:1px}').css).toBe('.a{color:red;margin:1px}')
  })

  it('whatever the text, holds no address, no import, no escape and no way out of its place, and is its own result', () => {
    const pieces = fc.constantFrom(
      ...[
        '.a',
        '{',
        '}',
        ';',
        ':',
        'url(',
        ')',
        '"',
        "'",
        '\\',
        '@import',
        '/*',
        '*/',
        'position',
        'fixed',
        'color',
        'red',
      ],
      ...[
        'u\\72l',
        'x',
        ' ',
        '\n',
        'background',
        'image-set(',
        '<',
        '!important',
        'expression(',
        '--a',
        'var(',
        '\\0',
        '(',
      ],
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 })), { maxLength: 30 }), (parts) => {
        const { css } = cleanCss(parts.join(''))
        expect(css).not.toMatch(/url|image-set|@|\\|expression|position|var\(|<|--/i)
        expect(cleanCss(css)).toEqual({ css, leftOut: [] })
      }),
      { numRuns: 300 },
    )
  })
})
