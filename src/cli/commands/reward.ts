import { readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type Calibration, calibrationFile } from '../../recipes/reward/calibration.ts'
import { rewardSchema } from '../../recipes/reward/schema.ts'
import { writeText } from '../../report/files.node.ts'
import { trainCommand } from '../train.ts'

export default trainCommand({
  name: 'reward',
  summary: 'Train a reward model on pairs, rankings or best-of-N choices',
  example: 'reward --model HuggingFaceTB/SmolLM2-135M-Instruct --data preferences.jsonl --lora-r 16 --eval-split 0.1',
  schema: rewardSchema,
  load: async () => (await import('../../recipes/reward.ts')).reward,
  after: (result) => calibrationFiles(result),
})

/** Of the held-out rows a page and its curve, in the run's folder; none where no rows were held out. */
const calibrationFiles = async (result: string): Promise<string[]> => {
  const text = await readFile(join(result, calibrationFile), 'utf8').catch(() => undefined)
  if (text === undefined) return []
  const calibration = JSON.parse(text) as Calibration
  const run = dirname(result)
  const { calibrationPage, reliabilitySvg } = await import('../../labs/pages/calibration.ts')
  const page = join(run, 'calibration.html')
  const files = {
    [page]: calibrationPage(basename(run), calibration),
    [join(run, 'calibration.svg')]: reliabilitySvg(calibration),
  }
  for (const [path, content] of Object.entries(files)) await writeText(path, content)
  return [page]
}
