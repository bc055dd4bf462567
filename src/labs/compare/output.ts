/** Writes the files of a comparison: the page, each plot as SVG, and findings.json, in which null is a number not known. */
import { join } from 'node:path'
import { writeDrawings, writeJson, writeText } from '../../report/files.node.ts'
import { conclusionsOf } from './conclusions.ts'
import type { CompareFindings } from './findings.ts'
import { type ComparisonReport, comparisonPage } from './report.ts'
import type { CompareSettings } from './settings.ts'

export type ReportFiles = { report: string; findings: string; plots: string }

type Comparison = Pick<ComparisonReport, 'warnings' | 'examples' | 'command'> & {
  findings: CompareFindings
  settings: CompareSettings
}

export const writeComparison = async (
  root: string,
  { findings, warnings, examples, settings, command }: Comparison,
): Promise<{ words: string[]; files: ReportFiles }> => {
  const files = { report: join(root, 'report.html'), findings: join(root, 'findings.json'), plots: join(root, 'plots') }
  const conclusions = conclusionsOf(findings)
  const { html, plots } = comparisonPage({
    findings,
    conclusions,
    warnings,
    examples,
    settings: settingsFacts(settings),
    command,
  })
  await writeDrawings(files.plots, plots)
  await writeText(files.report, html)
  const { samples, maxNewTokens, temperature, seed } = settings
  await writeJson(files.findings, {
    words: conclusions,
    warnings,
    settings: { samples, maxNewTokens, temperature, seed },
    ...findings,
  })
  return { words: conclusions, files }
}

const settingsFacts = (settings: CompareSettings): [string, string][] => [
  ['prompts', settings.data.join(', ')],
  ['answers of each to a prompt', String(settings.samples)],
  ['tokens of an answer at most', String(settings.maxNewTokens)],
  ['temperature', String(settings.temperature)],
  ['seed', String(settings.seed)],
  ['resamples of prompts, signs drawn', '2,000, 9,999'],
]
