/** The prompts of a comparison: the same for all policies, tokenized once for each tokenizer and chat template. */
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import { encodePrompt } from '../../data/examples.ts'
import { openRows } from '../../data/openRows.node.ts'
import type { PromptExample } from '../../data/prompts.ts'
import { readBy } from '../../generate/tokenization.node.ts'
import { unreadWarnings } from '../../recipes/trainer/dataset.ts'
import { rewardColumns } from '../../rewards/open.ts'
import { atPlace, badInput } from '../../util/fault.ts'
import { plural } from '../../util/format.ts'
import type { Judge } from './judges.ts'
import type { ComparedPolicy } from './policies.ts'
import type { CompareSettings } from './settings.ts'

export type Warning = { event: 'warning'; code: string; message: string }

export type Prompts = {
  /** By the policies' `promptKey`, in the same order. */
  prompts: Map<string, PromptExample[]>
  /** Of each prompt the value of --cluster's column. */
  clusters?: string[]
  warnings: Warning[]
}

/** Reads the prompts that are not empty and leave room for a completion under every tokenizer and template. */
export const readPrompts = async (
  settings: CompareSettings,
  policies: readonly ComparedPolicy[],
  judges: readonly Pick<Judge, 'requirePrompt'>[],
): Promise<Prompts> => {
  const { data, column, chat, maxSamples, cluster, reward = [], judge = [], maxNewTokens } = settings
  const rows = await openRows(data, {
    as: 'prompt',
    columns: column,
    chat,
    maxSamples,
    resolve: resolveDataset,
    record: [...rewardColumns([...reward, ...judge]), ...(cluster === undefined ? [] : [cluster])],
  })
  const readers = [...new Map(policies.map((policy) => [policy.promptKey, policy])).values()]
  const room = Math.min(...policies.map(({ tokenization }) => tokenization.limits.maxLength)) - maxNewTokens
  const prompts = new Map(readers.map(({ promptKey }) => [promptKey, [] as PromptExample[]]))
  let leftOut = 0
  try {
    for (let i = 0; i < rows.length; i++) {
      const { prompt, template, record = {} } = await rows.row(i)
      const encoded = atPlace(rows.where(i), () => {
        const byReader = readers.map(({ title, promptKey: key, tokenization: { encoder } }) => ({
          key,
          ids: readBy(title, () => encodePrompt(encoder, prompt, template)),
        }))
        for (const judge of judges) judge.requirePrompt?.({ prompt, template, ids: byReader[0].ids, record })
        return byReader
      })
      if (encoded.some(({ ids }) => ids.length === 0 || ids.length > room)) leftOut++
      else for (const { key, ids } of encoded) prompts.get(key)!.push({ prompt, template, ids, record })
    }
  } finally {
    await rows.close()
  }
  if (leftOut === rows.length)
    throw badInput('empty-data', `none of ${leftOut} prompts leaves room for an answer; lower --max-new-tokens`, {
      file: rows.files.join(', '),
    })
  const read = [...prompts.values()][0]
  const clusters = cluster === undefined ? undefined : clustersOf(read, cluster)
  const warnings: Warning[] = [...unreadWarnings([rows]), ...(cluster === undefined ? repeatedWarning(read) : [])]
  if (leftOut)
    warnings.unshift({
      event: 'warning',
      code: 'prompts-left-out',
      message: `${leftOut} of ${rows.length} prompts are empty or leave no room for a completion of ${maxNewTokens} tokens; they are left out.`,
    })
  return { prompts, clusters, warnings }
}

const repeatedWarning = (prompts: readonly PromptExample[]): Warning[] => {
  const repeated = prompts.length - new Set(prompts.map(({ ids }) => Array.from(ids).join())).size
  if (!repeated) return []
  const message = `${repeated} of ${prompts.length} prompts repeat another one but count as prompts of their own, so that intervals are too narrow; leave them out, or give --cluster COLUMN with a column that is the same in them.`
  return [{ event: 'warning', code: 'repeated-prompts', message }]
}

/** With fewer no test could find a difference: of five clusters, two of 32 ways to choose their signs are as extreme as all alike. */
const leastClusters = 6

const clustersOf = (prompts: readonly PromptExample[], column: string): string[] => {
  const clusters = prompts.map(({ record }) => JSON.stringify(record[column]))
  const count = new Set(clusters).size
  if (count < leastClusters)
    throw badInput(
      'bad-flag',
      `puts the prompts into ${plural(count, 'cluster')}; with fewer than ${leastClusters} no test can find a difference; take a column that parts them finer, or leave it out`,
      { flag: '--cluster' },
    )
  return clusters
}
