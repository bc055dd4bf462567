/** Writes what the lab found: the page, each plot as SVG with its numbers as JSON, every run, and all findings in one file. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeJson, writeText } from '../files.ts'
import { plotChart } from '../plot.ts'
import { standalone } from '../svg.ts'
import { resultsFile } from './folder.ts'
import { cartpoleReport, type Found } from './report.ts'

export type Files = { report: string; findings: string; plots: string; runs: string }

export const writeFindings = async (root: string, found: Found): Promise<Files> => {
  const files = {
    ...{ report: join(root, 'report.html'), findings: join(root, resultsFile) },
    ...{ plots: join(root, 'plots'), runs: join(root, 'runs') },
  }
  const { words, findings, results, settings } = found
  await writeJson(files.findings, { words, settings, findings })
  const { html, plots } = cartpoleReport(found)
  for (const dir of [files.plots, files.runs]) {
    await rm(dir, { recursive: true, force: true })
    await mkdir(dir)
  }
  for (const [name, plot] of Object.entries(plots)) {
    await writeText(join(files.plots, `${name}.svg`), standalone(plotChart(plot)))
    await writeJson(join(files.plots, `${name}.json`), plot)
  }
  for (const result of results) await writeJson(join(files.runs, `${result.method}-${result.seed}.json`), result)
  await writeText(files.report, html)
  return files
}
