/** Writes the files of a comparison: the page, each plot as SVG, and findings.json, where null is a number that is not known. */
import { join } from 'node:path'
import { writeDrawings, writeJson, writeText } from '../../report/files.node.ts'
import { defaultResamples, defaultSigns } from '../../statistics/resampling.ts'
import { whole } from '../../util/format.ts'
import { conclusionsOf, wordsOf } from './conclusions.ts'
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
  const conclusions = conclusionsOf(findings, settings.maxNewTokens)
  const words = wordsOf(conclusions)
  const { html, plots } = comparisonPage({
    findings,
    conclusions,
    warnings,
    examples,
    temperature: settings.temperature,
    settings: settingsFacts(settings, findings.clusters !== undefined),
    command,
  })
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

/** The rows of the page's table of settings. */
const settingsFacts = (settings: CompareSettings, clustered: boolean): [string, string][] => [
  ['prompts', settings.data.join(', ')],
  ['completions of each policy per prompt', String(settings.samples)],
  ['most tokens of a completion', String(settings.maxNewTokens)],
  ['temperature', String(settings.temperature)],
  ['seed', String(settings.seed)],
  [
    `resamples of ${clustered ? 'clusters' : 'prompts'}, signs drawn`,
    `${whole(defaultResamples)}, ${whole(defaultSigns)}`,
  ],
]
