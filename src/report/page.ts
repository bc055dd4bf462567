/**
 * A report as one HTML file, and its elements: tables, lists of facts, commands. It holds no script, font or image from
 * elsewhere, and its content security policy forbids the browser every request, so it opens from a disk or an e-mail.
 */
import { type Html, html, raw } from './html.ts'
import { chartStyle, colors } from './svg.ts'

/** @returns the whole document */
export const page = ({ title, body }: { title: string; body: readonly Html[] }): string => `<!doctype html>
${
  html`<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
<title>${title}</title>
<style>${raw(`${colors}\n${chartStyle}\n${style}`)}</style>
</head>
<body>
${body}
</body>
</html>`.html
}
`

type Rows = readonly (readonly (string | Html)[])[]

/** @param rows of the table, the first its head   @param kinds CSS classes of the columns: 'n' for numbers */
export const table = (rows: Rows, kinds: readonly string[] = []): Html => {
  const cells = (tag: string, row: readonly (string | Html)[]) =>
    row.map((cell, i) => {
      const name = kinds[i] ? html` class="${kinds[i]}"` : raw('')
      return html`<${raw(tag)}${name}>${cell}</${raw(tag)}>`
    })
  const [head, ...rest] = rows
  return html`<div class="scroll"><table>
<thead><tr>${cells('th', head)}</tr></thead>
<tbody>
${rest.map((row) => html`<tr>${cells('td', row)}</tr>`)}
</tbody>
</table></div>`
}

/** A table that becomes a list on a phone: under the first cell of a row each other one with the name of its column. */
export const stackedTable = (head: readonly string[], rest: Rows): Html => {
  const kind = (i: number) => (i ? html` class="n"` : raw(''))
  const cells = (row: Rows[number]) =>
    row.map((cell, i) => html`<td${kind(i)} data-head="${i ? head[i] : ''}"><span>${cell}</span></td>`)
  return html`<div class="scroll"><table class="stack">
<thead><tr>${head.map((cell, i) => html`<th${kind(i)}>${cell}</th>`)}</tr></thead>
<tbody>
${rest.map((row) => html`<tr>${cells(row)}</tr>`)}
</tbody>
</table></div>`
}

/** A list of names and values. */
export const facts = (entries: readonly (readonly [string, string])[]): Html => html`<dl>
${entries.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
</dl>`

/** Commands for a shell. */
export const shell = (text: string): Html => html`<pre><code>${text}</code></pre>`

const style = `* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 3rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.6 ui-sans-serif, system-ui, -apple-system, "Segoe UI", sans-serif; -webkit-text-size-adjust: 100%; }
h1 { font-size: clamp(1.7rem, 5vw, 2.5rem); line-height: 1.15; letter-spacing: -0.02em; font-weight: 650; margin: 0 0 1rem; text-wrap: balance; }
h2 { font-size: 1.25rem; letter-spacing: -0.01em; margin: 3.5rem 0 0.75rem; }
h3 { font-size: 0.95rem; margin: 0; }
p { margin: 0 0 1rem; max-width: 42rem; }
.kicker { color: var(--soft); font-size: 0.85rem; margin: 0 0 0.75rem; }
.lead { font-size: 1.1rem; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.before { color: var(--c1); font-weight: 650; }
.after { color: var(--c0); font-weight: 650; }
.card { border: 1px solid var(--line); border-radius: 10px; background: var(--card); padding: 1.25rem; margin: 1.5rem 0; }
.card p { max-width: none; }
.card p:last-child { margin-bottom: 0; }
.side { display: flex; flex-wrap: wrap; align-items: center; gap: 1rem 2rem; }
.side .chart { flex: 1 1 20rem; width: auto; max-width: 34rem; }
.side p { flex: 1 1 14rem; margin: 0; }
.chart .value { font-weight: 650; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 0.75rem 2rem; margin-top: 0.9rem; }
.said { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.95rem; line-height: 1.5; margin: 0.15rem 0 0; }
ol.acts { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 16rem), 1fr)); gap: 1.75rem; }
ol.acts h3 { font-size: 1rem; margin: 0 0 0.35rem; }
ol.acts .number { color: var(--soft); font-weight: 400; margin-right: 0.4rem; }
ol.acts p { font-size: 0.95rem; margin: 0 0 0.6rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1.25rem; margin: 1.25rem 0; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 10px; background: var(--card); padding: 1.1rem 1.25rem 0.9rem; display: flex; flex-direction: column; }
figcaption p { color: var(--soft); font-size: 0.85rem; line-height: 1.45; margin: 0.25rem 0 0.9rem; }
figure .chart { margin-top: auto; }
figure.wide { margin: 1.5rem 0; }
.on-narrow { display: none; }
@media (max-width: 40rem) { .on-wide { display: none; } .on-narrow { display: block; } figure { padding: 1rem 0.75rem 0.75rem; } }
.scroll { overflow-x: auto; margin: 1rem 0; max-width: 42rem; }
.scroll:has(th:nth-child(5)) { max-width: none; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 0.95rem; }
th { text-align: left; font-weight: 500; font-size: 0.85rem; color: var(--soft); }
th, td { padding: 0.4rem 1.25rem 0.4rem 0; border-bottom: 1px solid var(--line); vertical-align: baseline; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
.n { text-align: right; }
.stack th, .stack td:first-child { white-space: normal; }
.mono, code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: 0.9em; }
th.mono { font-family: inherit; font-size: 0.85rem; }
.good { color: var(--good); }
.bad { color: var(--bad); }
@media (max-width: 40rem) {
  table { font-size: 0.85rem; }
  th, th.mono { font-size: 0.78rem; }
  th, td { padding-right: 0.6rem; white-space: normal; }
  .n { padding-left: 0.2rem; }
  .stack, .stack tbody, .stack tr { display: block; }
  .stack thead { display: none; }
  .stack tr { border-bottom: 1px solid var(--line); padding: 0.6rem 0; }
  .stack td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: 0.15rem 0; white-space: nowrap; }
  .stack td:first-child { font-weight: 650; white-space: normal; overflow-wrap: anywhere; }
  .stack td:not(:first-child)::before { content: attr(data-head); color: var(--soft); white-space: normal; text-align: left; }
}
td.wrap { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 9rem; }
.card ul { margin: 0.5rem 0 0; padding-left: 1.2rem; }
.card li { margin: 0.4rem 0; }
ul.spaced { max-width: 42rem; padding-left: 1.2rem; }
ul.spaced li { margin: 0.4rem 0; }
details { margin: 1rem 0; }
summary { cursor: pointer; color: var(--soft); }
a { color: var(--c2); }
pre { background: var(--shade); border-radius: 8px; padding: 0.9rem 1.1rem; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.75rem 0 1.25rem; font-size: 0.9rem; line-height: 1.55; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 2.5rem; margin: 1rem 0; font-size: 0.9rem; }
dl div { display: flex; justify-content: space-between; gap: 1rem; border-bottom: 1px solid var(--line); padding: 0.35rem 0; }
dt { color: var(--soft); }
dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
footer { margin-top: 3.5rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: 0.85rem; }`
