/**
 * Reward models: pairwise, best-of-N, all pairs of a ranking, Plackett-Luce, and distributions over scores. Peculiar: the
 * K responses of a prompt are one packed tree, each read once, at its last token; nothing of the vocabulary is computed.
 */

import { type RankedExample, scoredExample } from '../data/examples.ts'
import { openEncoder, resolveModel } from '../models/resolve.node.ts'
import { sha256Files } from '../util/sha256.node.ts'
import { methods } from './methods.ts'
import { rewardBatches } from './reward/collate.ts'
import { openEvaluation } from './reward/evaluation.ts'
import { rewardObjective } from './reward/loss.ts'
import { paddingOf } from './reward/padding.ts'
import { rewardSchema } from './reward/schema.ts'
import { headOf, openHead } from './reward/scoreHead.ts'
import { bestFirst } from './trainer/collate.ts'
import { examplesOf, limitsOf, openDataset, vocabularyOf } from './trainer/dataset.ts'
import { openPolicy } from './trainer/policy.ts'
import { recipe } from './trainer/recipe.ts'
import { runTrainer } from './trainer/trainer.ts'

export const reward = recipe(methods.reward, rewardSchema, async function* (config, { signal, own, run }) {
  // data
  const folders = await resolveModel(config)
  const data = own(await openDataset('ranking', config))
  const encoder = await openEncoder(folders)
  // model
  const start = config.head === undefined ? undefined : await openHead(config.head)
  const padding = await paddingOf(folders.dir, encoder)
  const head = headOf(config, data, start)
  const opened = own(await openPolicy(config, folders, (base) => padding.applied(head.withHead(base))))
  const headFiles = await sha256Files(config.head === undefined ? [] : [config.head])
  const policy = { ...opened, files: [...opened.files, ...headFiles] }
  const { kind, why } = head.chosen()
  if (why)
    yield {
      event: 'warning',
      code: 'kind',
      message: `learns by --kind ${kind}, since ${why}; give --kind for another`,
    }
  const limits = limitsOf(config, policy)
  const examples = examplesOf(data, config, vocabularyOf(policy, encoder), {
    example: (row, count) => {
      const example = scoredExample(encoder, row, limits, count)
      if (typeof example === 'string') return example
      if (config.margins === 'ratings' && contradicts(example)) return 'contradiction'
      return saysNothing(example, kind === 'best-of-n') ? 'tie' : bestFirst(example)
    },
    truncated: ({ truncated }) => truncated,
    ids: ({ prompt, responses }) => [prompt, ...responses],
  })
  // objective
  const measuring = await openEvaluation(policy, kind, examples, config)
  const { bias } = measuring
  const loss = rewardObjective({
    kind,
    center: config.centerRewards,
    labelSmoothing: config.labelSmoothing,
    prob: data.rows.probable || data.evalRows?.probable === true,
    margins: config.margins !== 'none' && (kind === 'pairwise' || kind === 'ranking'),
    bias: config.initBias,
  })
  // loop
  yield* runTrainer({
    ...{ policy, examples, settings: config, run, signal, loss },
    collate: async (micros) => rewardBatches(micros, { bias, margins: config.margins }),
    objective: kind,
    tokens: ({ prompt, responses }) => responses.reduce((n, response) => n + prompt.length + response.length, 0),
    evalFirst: true,
    heldOut: measuring.evaluation,
    beside: async () => ({ ...(await measuring.texts()), ...padding.texts }),
  })
})

/** A response is rated above one that it is ranked below: its margin would ask for what the ranks deny. */
const contradicts = ({ ranks, ratings = [] }: RankedExample): boolean =>
  ratings.some((rating, i) =>
    ratings.some((other, j) => rating !== null && other !== null && rating > other && ranks[i]! > (ranks[j] ?? 0)),
  )

/** No pair is in order; or, where the best is to be told from the rest, two are the best. */
const saysNothing = ({ ranks }: RankedExample, oneBest: boolean): boolean => {
  const best = Math.min(...ranks.map((rank) => rank ?? Number.POSITIVE_INFINITY))
  const first = ranks.filter((rank) => rank === best).length
  return oneBest ? first > 1 : first === ranks.length
}
