/** The prompts of a comparison: the same for all, each by the tokenizer that it needs. */

import { resolveDataset } from '../../checkpoint/hub.node.ts'
import { encodePrompt } from '../../data/examples.ts'
import { openRows } from '../../data/openRows.node.ts'
import type { PromptExample } from '../../data/prompts.ts'
import { readBy } from '../../generate/tokenization.node.ts'
import { unreadWarnings } from '../../recipes/trainer/dataset.ts'
import { rewardColumns } from '../../rewards/open.ts'
import { atPlace, badInput } from '../../util/fault.ts'
import type { Judge } from './judges.ts'
import type { ComparedPolicy } from './policies.ts'
import type { CompareSettings } from './settings.ts'

export type Warning = { event: 'warning'; code: string; message: string }

export type Prompts = {
  /** By the `promptKey`. */
  prompts: Map<string, PromptExample[]>
  warnings: Warning[]
}

/** The same prompts by every tokenizer and template: those that leave room for an answer by all of them. */
export const promptsFor = async (
  settings: CompareSettings,
  subjects: readonly ComparedPolicy[],
  judges: readonly Pick<Judge, 'requirePrompt'>[],
): Promise<Prompts> => {
  const { data, maxSamples, reward = [], judge = [], maxNewTokens } = settings
  const rows = await openRows(data, {
    ...{ as: 'prompt', maxSamples, resolve: resolveDataset, record: rewardColumns([...reward, ...judge]) },
  })
  const readers = [...new Map(subjects.map((each) => [each.promptKey, each])).values()]
  const room = Math.min(...subjects.map(({ tokenization }) => tokenization.limits.maxLength)) - maxNewTokens
  const prompts = new Map(readers.map(({ promptKey }) => [promptKey, [] as PromptExample[]]))
  let left = 0
  try {
    for (let i = 0; i < rows.length; i++) {
      const { prompt, template, record = {} } = await rows.row(i)
      const each = atPlace(rows.where(i), () => {
        const read = readers.map(({ title, promptKey: key, tokenization: { encoder } }) => ({
          key,
          ids: readBy(title, () => encodePrompt(encoder, prompt, template)),
        }))
        for (const judge of judges) judge.requirePrompt?.({ prompt, template, ids: read[0].ids, record })
        return read
      })
      if (each.some(({ ids }) => ids.length === 0 || ids.length > room)) left++
      else for (const { key, ids } of each) prompts.get(key)!.push({ prompt, template, ids, record })
    }
  } finally {
    await rows.close()
  }
  if (left === rows.length)
    throw badInput('empty-data', `none of ${left} prompts leaves room for an answer; lower --max-new-tokens`, {
      file: rows.files.join(', '),
    })
  const message = `${left} of ${rows.length} prompts are empty or leave no room for ${maxNewTokens} tokens of an answer; they are left out.`
  const leftOut: Warning[] = left ? [{ event: 'warning', code: 'prompts-left-out', message }] : []
  return { prompts, warnings: [...leftOut, ...unreadWarnings([rows])] }
}
