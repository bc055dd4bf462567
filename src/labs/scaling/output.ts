/** Writes a study's report: the page, each plot as SVG and its numbers as JSON, and all findings in one JSON file. */
import { join } from 'node:path'
import { writeJson, writeText } from '../../report/files.node.ts'
import { writePlots } from '../../report/plotFiles.node.ts'
import type { CellResult } from './cells.ts'
import { compareMethods } from './comparison.ts'
import { scalingConclusions } from './conclusions.ts'
import { scalingLaws } from './laws.ts'
import { type ReportSettings, scalingReport } from './report.ts'
import type { Plan } from './settings.ts'

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
  const laws = scalingLaws(results)
  const study = compareMethods(results)
  const conclusions = scalingConclusions(laws, study, plan)
  const { html, plots } = scalingReport({ laws, study, conclusions, results, plan, settings, command })
  await writePlots(files.plots, plots)
  await writeText(files.report, html)
  await writeJson(files.findings, { words: conclusions, laws, study, results })
  return { words: conclusions, files }
}
