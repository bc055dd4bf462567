/**
 * Charts of the documents. GitHub shows their SVG files as images, which follow the colour scheme of the system; here they stand in the
 * page itself, so that they follow the switch of the site, and on a phone they are drawn for its width.
 */
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import type { MarkdownRenderer } from 'vitepress'
import { comparisonPlots } from '../../src/labs/compare/report.ts'
import { plotChart } from '../../src/report/plot.ts'
import { chartStyle, switchedColors, withoutStyle } from '../../src/report/svg.ts'

/** The style of the charts of all pages. */
export const chartsStyle = `${switchedColors('.dark')}\n${chartStyle}`

/** A chart as a phone shows it, from the numbers beside its file; undefined where there are none. */
const narrowChart = (file: string): string | undefined => {
  const read = (path: string) => existsSync(path) && JSON.parse(readFileSync(path, 'utf8'))
  const plot = read(file.replace(/svg$/, 'json'))
  if (plot) return plotChart(plot, true)
  const findings = read(resolve(dirname(file), 'findings.json'))
  return findings ? comparisonPlots(findings, true)[basename(file, '.svg')] : undefined
}

/** A plugin of markdown-it that puts images of SVG files into the page. */
export const inlineCharts = (md: MarkdownRenderer) =>
  md.core.ruler.push('inline-charts', ({ tokens, env, Token }) => {
    const from: string | undefined = env.realPath ?? env.path
    if (!from) return
    for (const inline of tokens)
      inline.children =
        inline.children?.map((token) => {
          const src = token.type === 'image' ? (token.attrGet('src') ?? '') : ''
          if (!/^(?![a-z]+:|\/).*\.svg$/i.test(src)) return token
          const file = resolve(dirname(from), src)
          const wide = withoutStyle(readFileSync(file, 'utf8'))
          const narrow = narrowChart(file)
          const content = narrow
            ? `<span v-pre class="on-wide">${wide}</span><span v-pre class="on-narrow">${narrow}</span>`
            : `<span v-pre>${wide}</span>`
          return Object.assign(new Token('html_inline', '', 0), { content })
        }) ?? null
  })
