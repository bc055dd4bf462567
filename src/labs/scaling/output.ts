/** Writes what a sweep found: the page, each plot as SVG with the numbers behind it as JSON, and all findings in one file. */
import { join } from 'node:path'
import { writeJson, writeText } from '../../report/files.node.ts'
import { writePlots } from '../../report/plotFiles.node.ts'
import type { CellResult } from './cells.ts'
import { inWords } from './conclusions.ts'
import { modifiedLaws } from './modified.ts'
import { type ReportSettings, scalingReport } from './report.ts'
import type { Plan } from './settings.ts'
import { standardLaw } from './standard.ts'

export type ReportFiles = { report: string; findings: string; plots: string }

export const writeScalingReport = async (
  root: string,
  {
    results,
    plan,
    settings,
    command,
  }: { results: readonly CellResult[]; plan: Plan; settings: ReportSettings; command: readonly string[] },
): Promise<{ words: string[]; files: ReportFiles }> => {
  const files = { report: join(root, 'report.html'), findings: join(root, 'findings.json'), plots: join(root, 'plots') }
  const standard = standardLaw(results)
  const comparisons = modifiedLaws(results)
  const words = inWords(standard, comparisons, plan)
  const { html, plots } = scalingReport({ standard, comparisons, words, results, plan, settings, command })
  await writePlots(files.plots, plots)
  await writeText(files.report, html)
  await writeJson(files.findings, { words, standard, comparisons })
  return { words, files }
}
