/** Plots as files: each as SVG and, as JSON, the numbers behind it. */
import { join } from 'node:path'
import { writeDrawings, writeJson } from './files.node.ts'
import { type Plot, plotCharts } from './plot.ts'

/** Writes NAME.svg and NAME.json of each plot into a folder of their own, which is emptied first. */
export const writePlots = async (dir: string, plots: Readonly<Record<string, Plot>>) => {
  await writeDrawings(dir, plotCharts(plots))
  for (const [name, plot] of Object.entries(plots)) await writeJson(join(dir, `${name}.json`), sixDigits(plot))
}

/** No number of a report is known to more digits. */
const sixDigits = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, x) => (typeof x === 'number' ? Number(x.toPrecision(6)) : x)))
