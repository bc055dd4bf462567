/**
 * What the lab leaves: the page, each plot as SVG with its numbers as JSON, every run, and all findings in one file.
 * Peculiar: it may replace what a former lab wrote, never anything else.
 */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { claimFolder, foreignFault, writeJson, writeText } from '../../report/files.node.ts'
import { writePlots } from '../../report/plotFiles.node.ts'
import { cartpoleReport, type Found } from './report.ts'

const resultsFile = 'cartpole.json'

/** @returns its path. Throws Fault 'taken' for a file, or a folder that holds anything else. */
export const claim = async (output: string): Promise<string> => {
  const root = resolve(output)
  return claimFolder(root, async () => {
    const names = await readdir(root)
    if (names.length && !names.includes(resultsFile)) throw foreignFault(root, names[0], 'no lab of this kind')
    return root
  })
}

export type Files = { report: string; findings: string; plots: string; runs: string }

export const writeFindings = async (root: string, found: Found): Promise<Files> => {
  const files = {
    ...{ report: join(root, 'report.html'), findings: join(root, resultsFile) },
    ...{ plots: join(root, 'plots'), runs: join(root, 'runs') },
  }
  const { words, findings, results, settings } = found
  await writeJson(files.findings, { words, settings, findings })
  const { html, plots } = cartpoleReport(found)
  await writePlots(files.plots, plots)
  await rm(files.runs, { recursive: true, force: true })
  await mkdir(files.runs)
  for (const result of results) await writeJson(join(files.runs, `${result.method}-${result.seed}.json`), result)
  await writeText(files.report, html)
  return files
}
