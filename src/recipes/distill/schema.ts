/** The settings of `attune distill`. Names and defaults are those of TRL's GKDConfig unless a description says why not. */
import { z } from 'zod'
import { count, flag, fraction, grouped, positive, sharedFields, text } from '../trainer/fields.ts'
import { learningRates } from '../trainer/learningRates.ts'
import { withLike } from '../trainer/trlDefaults.ts'

const distillSettings = z.object({
  ...grouped('Method', {
    teacher: text('MODEL').describe(
      'the model to learn from: a folder, hub id or run with the same tokenizer, or a server that tells log-probs of a prompt (URL#MODEL), such as `attune serve`',
    ),
    beta: fraction()
      .default(0.5)
      .describe(
        'the divergence from the teacher: 0 is the forward KL(teacher || student), 1 the reverse KL(student || teacher), between them the generalised Jensen-Shannon divergence',
      ),
    lmbda: fraction()
      .default(0.5)
      .describe(
        'fraction of the batches whose completions the student samples itself (on-policy); the others learn on those of the data. With 1 rows need no completions',
      ),
    seqKd: flag().describe(
      'where the student does not sample, the teacher does, in place of the completions of the data (sequence-level distillation)',
    ),
    temperature: positive().default(0.9).describe('sampling temperature of completions; it does not change the loss'),
    maxNewTokens: count().default(128).describe('maximum number of tokens of a sampled completion'),
    kdTemperature: positive()
      .default(1)
      .describe(
        'the logits of both models are divided by it in the loss; 1 with a server, whose log-probs are those of 1',
      ),
    teacherContext: text('TEXT')
      .optional()
      .describe(
        'a text that the teacher alone reads before each prompt (context distillation): a system message of conversations, else the beginning of the prompt; the teacher may then be the student itself',
      ),
  }),
  ...sharedFields({ rates: learningRates.distill, loraDropout: 0 }),
})

export const distillSchema = withLike('distill', distillSettings)
