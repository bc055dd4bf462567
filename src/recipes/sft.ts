/** Supervised fine-tuning. Peculiar: the loss is one mean over the targets of the whole optimizer step. */
import { textExample } from '../data/examples.ts'
import { textBatches } from './collate.ts'
import { locate, openEncoder } from './encoder.ts'
import { sftObjective } from './losses.ts'
import { openPolicy } from './policy.ts'
import { recipe } from './recipe.ts'
import { examplesOf, limitsOf, openData, vocabularyOf } from './runRows.ts'
import { sftSchema } from './schema.ts'
import { session } from './session.ts'

export const sft = recipe(
  'sft',
  {
    summary: 'fine-tune a model on texts, conversations or prompts with completions',
    example: 'attune sft --model HuggingFaceTB/SmolLM2-135M --data rows.jsonl --lora-r 16 --output runs/sft',
  },
  sftSchema,
  async function* (config, { signal, own, run }) {
    // data
    const place = await locate(config)
    const data = own(await openData('sft', config))
    const encoder = await openEncoder(place)
    // model
    const policy = own(await openPolicy(config, place))
    const limits = limitsOf(config, policy)
    const options = { assistantOnly: config.assistantOnlyLoss, completionOnly: config.completionOnlyLoss }
    const examples = examplesOf(data, config, vocabularyOf(policy, encoder), {
      example: (row, count) => textExample(encoder, row, limits, options, count),
      truncated: ({ truncated }) => truncated,
      ids: ({ ids }) => [ids],
    })
    // objective
    const loss = sftObjective(config.loss)
    // loop
    yield* session({
      ...{ policy, examples, settings: config, run, signal, loss },
      head: { labelSmoothing: config.labelSmoothing },
      collate: async (micros) => textBatches(micros),
      tokens: ({ ids }) => ids.length,
    })
  },
)
