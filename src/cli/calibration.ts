/** The calibration of a reward model on its evaluation rows, as a page and a chart in the folder of its run. */
import { readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type Calibration, calibrationFile } from '../recipes/reward/calibration.ts'
import { writeText } from '../report/files.node.ts'

/** @param result the folder of the reward model   @returns the page; no file where the run had no evaluation rows */
export const writeCalibration = async (result: string): Promise<string[]> => {
  const text = await readFile(join(result, calibrationFile), 'utf8').catch(() => undefined)
  if (text === undefined) return []
  const calibration = JSON.parse(text) as Calibration
  const run = dirname(result)
  const { calibrationPage, reliabilitySvg } = await import('../labs/pages/calibration.ts')
  const page = join(run, 'calibration.html')
  await writeText(page, calibrationPage(basename(run), calibration))
  await writeText(join(run, 'calibration.svg'), reliabilitySvg(calibration))
  return [page]
}
