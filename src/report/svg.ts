/**
 * SVG elements and styles that all charts share. Colours are CSS variables, so the same drawing serves a light page, a dark
 * page and a file of its own.
 */

export const escapeText = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`)

/** To a tenth of a unit of the drawing. */
export const round = (x: number) => Math.round(x * 10) / 10

type Anchor = 'start' | 'middle' | 'end'

export const svgText = (x: number, y: number, text: string, anchor: Anchor, name = 'label'): string =>
  `<text class="${name}" x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escapeText(text)}</text>`

/** @param title for readers who do not see it   @param parts elements, as text */
export const svg = (title: string, width: number, height: number, parts: readonly string[]): string =>
  [
    `<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeText(title)}">`,
    ...parts,
    '</svg>',
  ].join('\n')

/** Colours of charts and of pages. Those of series differ in lightness too (after Okabe and Ito), for colour-blind readers. */
const light = `--paper: #fdfdfc; --card: #ffffff; --ink: #1d1d1b; --soft: #65655f; --line: #e5e4df;
  --c0: #0f6e5c; --c1: #b4540a; --c2: #0b62a8; --c3: #9c3d7c; --c4: #7a6400; --c5: #4d4d4a;
  --good: #0f6e5c; --bad: #b3261e; --shade: #f4f3ef;`
const dark = `--paper: #151514; --card: #1c1c1a; --ink: #ecebe6; --soft: #a3a29b; --line: #33322f;
    --c0: #56c7ae; --c1: #eb9b57; --c2: #6fb7f0; --c3: #e59bc8; --c4: #dcc24a; --c5: #bdbcb5;
    --good: #56c7ae; --bad: #f2867d; --shade: #232320;`

/** The colours as the reader's system has it. */
export const colors = `:root {
  color-scheme: light dark;
  ${light}
}
@media (prefers-color-scheme: dark) {
  :root {
    ${dark}
  }
}`

/** The colours of the charts of a page that has a switch of its own. @param darkPage selects what the page is in while it is dark */
export const switchedColors = (darkPage: string): string => `.chart { ${light} }
${darkPage} .chart { ${dark} }`

export const chartStyle = `.chart { display: block; width: 100%; height: auto; font: 12px ui-sans-serif, system-ui, sans-serif; }
.chart text { fill: var(--ink); font-variant-numeric: tabular-nums; }
.chart .label, .chart .name { fill: var(--soft); }
.chart path { fill: none; stroke-width: 1; }
.chart .grid { stroke: var(--line); }
.chart .axis { stroke: var(--soft); }
.chart .guide { stroke: var(--soft); stroke-dasharray: 3 4; }
.chart .curve { stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.chart .faint { stroke-width: 1; opacity: 0.4; }
.chart .dashed { stroke-dasharray: 6 4; }
.chart .band { stroke: none; opacity: 0.14; }
${[0, 1, 2, 3, 4, 5]
  .map(
    (i) => `.chart .s${i} { stroke: var(--c${i}); }
.chart .d${i} { fill: var(--c${i}); }`,
  )
  .join('\n')}
.chart .whisker { stroke-width: 2; }
.chart circle { stroke: none; }`

/** An `<svg>` element as a file of its own, with its style. */
export const standalone = (drawing: string): string => {
  const namespace = 'xmlns="http://www.w3.org/2000/svg"'
  const style = `<style>${colors}\nsvg { background: var(--paper); }\n${chartStyle}</style>`
  return `${drawing.replace('<svg ', `<svg ${namespace} `).replace('>', `>\n${style}`)}\n`
}

/** The `<svg>` element of such a file, for a page that has the style itself. */
export const withoutStyle = (file: string): string =>
  file
    .replace(' xmlns="http://www.w3.org/2000/svg"', '')
    .replace(/\n<style>[\s\S]*?<\/style>/, '')
    .trim()
