/** Charts on a page, each in a figure with a caption. */
import { type Html, html, raw } from './html.ts'
import { type Chart, lineChart } from './lineChart.ts'
import { type Plot, plotChart } from './plot.ts'

/** Charts side by side where there is room, each with a note on how to read it. */
export const chartGrid = (charts: readonly { chart: Chart; note: Html }[]): Html => html`<div class="charts">
${charts.map(
  ({ chart, note }) => html`<figure>
<figcaption><h3>${chart.title}</h3><p>${note}</p></figcaption>
${raw(lineChart(chart))}
</figure>`,
)}
</div>`

/** A plot over the whole width, with a note on how to read it. */
export const figure = (plot: Plot, note: string): Html => html`<figure class="wide">
<figcaption><h3>${plot.title}</h3><p>${note}</p></figcaption>
${eitherWidth(plotChart(plot), plotChart(plot, true))}
</figure>`

/** A drawing for wide pages and one for phones, of which the page shows the one that fits. */
export const eitherWidth = (wide: string, narrow: string): Html => html`<div class="on-wide">${raw(wide)}</div>
<div class="on-narrow">${raw(narrow)}</div>`
