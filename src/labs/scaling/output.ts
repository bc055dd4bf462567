/** Writes a sweep's report: the page, each plot as SVG and its numbers as JSON, and all findings in one JSON file. */
import { join } from 'node:path'
import { writeJson, writeText } from '../../report/files.node.ts'
import { writePlots } from '../../report/plotFiles.node.ts'
import type { CellResult } from './cells.ts'
import { scalingConclusions } from './conclusions.ts'
import { compareAtEqualCompute } from './equalCompute.ts'
import { type ReportSettings, scalingReport } from './report.ts'
import { scalingLaw } from './scalingLaw.ts'
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
  const standard = scalingLaw(results)
  const comparisons = compareAtEqualCompute(results)
  const conclusions = scalingConclusions(standard, comparisons, plan)
  const { html, plots } = scalingReport({ standard, comparisons, conclusions, results, plan, settings, command })
  await writePlots(files.plots, plots)
  await writeText(files.report, html)
  await writeJson(files.findings, { words: conclusions, standard, comparisons })
  return { words: conclusions, files }
}
