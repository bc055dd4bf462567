/**
 * Writes the lab's results: the page, each plot as SVG and its numbers as JSON, every run, and all findings in one file.
 * Only the results of an earlier lab are ever replaced.
 */

import { mkdir, readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { claimFolder, foreignFault, writeJson, writeText } from '../../report/files.node.ts'
import { writePlots } from '../../report/plotFiles.node.ts'
import { isTemporary } from '../../util/files.node.ts'
import { cartpoleReport, type LabResults } from './report.ts'

const resultsFile = 'cartpole.json'

/** @returns the folder's absolute path. Throws a Fault 'taken' for a file, or a folder with other content. */
export const claimCartpoleFolder = async (output: string): Promise<string> => {
  const root = resolve(output)
  return claimFolder(root, async () => {
    const names = (await readdir(root)).filter((name) => !isTemporary(name))
    if (names.length && !names.includes(resultsFile)) throw foreignFault(root, names[0], 'no lab of this kind')
    return root
  })
}

export type ReportFiles = { report: string; findings: string; plots: string; runs: string }

export const writeFindings = async (root: string, lab: LabResults): Promise<ReportFiles> => {
  const files = {
    report: join(root, 'report.html'),
    findings: join(root, resultsFile),
    plots: join(root, 'plots'),
    runs: join(root, 'runs'),
  }
  const { conclusions, findings, results, settings } = lab
  await writeJson(files.findings, { words: conclusions, settings, findings })
  const { html, plots } = cartpoleReport(lab)
  await writePlots(files.plots, plots)
  await rm(files.runs, { recursive: true, force: true })
  await mkdir(files.runs)
  for (const result of results) await writeJson(join(files.runs, `${result.method}-${result.seed}.json`), result)
  await writeText(files.report, html)
  return files
}
