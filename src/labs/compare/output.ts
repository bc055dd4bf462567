/** Writes what a comparison found: the page, each plot as SVG, and all findings in one file (null: not known). */
import { join } from 'node:path'
import { writeDrawings, writeJson, writeText } from '../../report/files.node.ts'
import { inWords } from './conclusions.ts'
import type { CompareFindings } from './findings.ts'
import { type CompareReport, compareReport } from './report.ts'
import type { CompareSettings } from './settings.ts'

export type ReportFiles = { report: string; findings: string; plots: string }

type Made = Pick<CompareReport, 'warnings' | 'examples' | 'command'> & {
  findings: CompareFindings
  settings: CompareSettings
}

export const writeReport = async (
  root: string,
  { findings, warnings, examples, settings, command }: Made,
): Promise<{ words: string[]; files: ReportFiles }> => {
  const files = { report: join(root, 'report.html'), findings: join(root, 'findings.json'), plots: join(root, 'plots') }
  const words = inWords(findings)
  const { html, plots } = compareReport({ findings, words, warnings, examples, settings: shown(settings), command })
  await writeDrawings(files.plots, plots)
  await writeText(files.report, html)
  const { samples, maxNewTokens, temperature, seed } = settings
  await writeJson(files.findings, {
    words,
    warnings,
    settings: { samples, maxNewTokens, temperature, seed },
    ...findings,
  })
  return { words, files }
}

const shown = (settings: CompareSettings): [string, string][] => [
  ['prompts', settings.data.join(', ')],
  ['answers of each to a prompt', String(settings.samples)],
  ['tokens of an answer at most', String(settings.maxNewTokens)],
  ['temperature', String(settings.temperature)],
  ['seed', String(settings.seed)],
  ['resamples of prompts, signs drawn', '2,000, 9,999'],
]
