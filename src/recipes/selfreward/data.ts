/** The rows of a run of self-rewarding: instruction data, rows that teach judging, and rankings of people. */
import type { Completion, Ranking } from '../../data/rows.ts'
import { isIds, isMessages } from '../../data/rows.ts'
import type { RowSource } from '../../data/source.ts'
import { loadPrompt } from '../../feedback/selfReward/prompts.ts'
import { badInput } from '../../util/fault.ts'
import type { Resources } from '../../util/resources.ts'
import { type Dataset, openDataset, splitRows } from '../trainer/dataset.ts'
import type { SelfRewardContext, Settings } from './context.ts'

export type SeedData = Pick<SelfRewardContext, 'rows' | 'eftRows' | 'rankings' | 'heldOut' | 'chat' | 'templates'> & {
  dataset: Dataset<'completion'>
  /** Every file that results depend on. */
  files: string[]
}

/** @param chats whether the model has a chat template: then rows that teach judging are conversations */
export const openSeedData = async (config: Settings, chats: boolean, own: Resources['own']): Promise<SeedData> => {
  const alone = { column: {}, maxSamples: undefined, evalData: undefined }
  const dataset = own(await openDataset('completion', { ...config, evalData: undefined }))
  const eft =
    config.eftData && own(await openDataset('completion', { ...config, ...alone, data: config.eftData, chat: chats }))
  const people = await rankingsOf(config, own)
  const files = [dataset, eft, ...people.datasets].flatMap((each) => [
    ...(each?.rows.files ?? []),
    ...(each?.evalRows?.files ?? []),
  ])
  const prompts = [config.judgePrompt, config.instructPrompt].filter((path) => path !== undefined)
  return {
    ...{ dataset, rows: dataset.rows, eftRows: eft?.rows },
    ...{ rankings: people.rankings, heldOut: people.heldOut },
    chat: await areConversations(dataset.rows),
    templates: {
      judge: await loadPrompt('judge', config.judgePrompt),
      instruct: await loadPrompt('instruct', config.instructPrompt),
    },
    files: [...files, ...prompts],
  }
}

type People = { rankings?: RowSource<Ranking>; heldOut?: RowSource<Ranking>; datasets: Dataset<'ranking'>[] }

const rankingsOf = async (config: Settings, own: Resources['own']): Promise<People> => {
  const { rankings, evalData, evalSplit } = config
  if (evalSplit !== undefined && !rankings)
    throw badInput('bad-flag', 'holds out a part of --rankings, which is missing', { flag: '--eval-split' })
  if (!rankings && !evalData) return { datasets: [] }
  const given = { ...config, column: {}, maxSamples: undefined }
  const dataset = own(
    await openDataset('ranking', { ...given, data: rankings ?? evalData!, evalData: rankings && evalData }),
  )
  if (!rankings) return { heldOut: dataset.rows, datasets: [dataset] }
  const { train, evalRows } = splitRows(dataset, config)
  return { rankings: train, heldOut: evalRows, datasets: [dataset] }
}

/** Whether new prompts are turns of a user: as the first row is. Throws a Fault for token ids, which no judge reads. */
const areConversations = async (rows: RowSource<Completion>): Promise<boolean> => {
  const { prompt } = await rows.row(0)
  if (isIds(prompt))
    throw badInput(
      'wrong-kind',
      'holds token ids, and self-rewarding writes and judges texts; give texts or messages',
      {
        flag: '--data',
      },
    )
  return isMessages(prompt)
}
